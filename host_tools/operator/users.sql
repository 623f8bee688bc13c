-- Users of `sipmote passwd` become users of Kamailio: grep -v '^#' users.txt | psql -q -f users.sql kamailio
-- Who is no more in the file is taken away. SHA-256 goes before MD5 where a user has both; say
-- `psql -v algorithm=md5` for an ALGORITHM of MD5 in site.cfg, and sipmote passwd --md5.
\if :{?algorithm}
\else
\set algorithm sha-256
\endif
BEGIN;
CREATE TEMPORARY TABLE given (username text, domain text, algorithm text, ha1 text) ON COMMIT DROP;
\copy given FROM pstdin WITH (DELIMITER ':')
DELETE FROM given WHERE lower(algorithm) <> lower(:'algorithm');
DELETE FROM subscriber WHERE (username, domain) NOT IN (SELECT username, domain FROM given);
INSERT INTO subscriber (username, domain, ha1) SELECT username, domain, lower(ha1) FROM given
    ON CONFLICT (username, domain) DO UPDATE SET ha1 = excluded.ha1;
COMMIT;
