"""R8760-1, R8760-3, R8760-4, R7616-1, R7616-2, R7616-4, R7616-5, R3261-22-1, R3261-22-3: digest as a client."""

from agent.auth.client import Challenge, choose
from agent.auth.digest import (
    hexhash,
    is_supported,
    parse_parameters,
    quote,
    response,
    secret,
    unquote,
)
from agent.errors import ParseError
from tests.helpers import raises

NEEDS = "md5"  # of hashlib; firmware without TLS has none

RFC_NONCE = b"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
RFC_CNONCE = b"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
RFC_OPAQUE = b"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"


def line_of(challenge, method, uri, body, cnonce):
    """Return the answer to a challenge, with this cnonce unless it has one."""
    challenge.cnonce = challenge.cnonce or cnonce
    return challenge.answer(method, uri, body)


def rfc_challenge(algorithm):
    return b'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=%s, nonce="%s", opaque="%s"' % (
        algorithm,
        RFC_NONCE,
        RFC_OPAQUE,
    )


def answered(challenge, body=b"", method=b"MESSAGE", uri=b"sip:desk@example.org", user=b"alice", cnonce=b"c"):
    challenge.user = user
    challenge.password = b"wonder"
    line = line_of(challenge, method, uri, body, cnonce)
    assert line[-2:] == b"\r\n"
    name, value = line[:-2].split(b": ", 1)
    scheme, params = parse_parameters(value)
    assert scheme == b"digest"
    return name, params


def first(value):
    return choose([value], b"Authorization")[0]


def test_examples_of_rfc_7616_come_out():
    """R7616-1, R8760-1: RFC 7616 section 3.9.1."""
    for algorithm, expected in (
        (b"MD5", b"8ca523f5e9506fed4657c9700eebdbec"),
        (b"SHA-256", b"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ):
        challenge = first(rfc_challenge(algorithm))
        challenge.user = b"Mufasa"
        challenge.password = b"Circle of Life"
        line = line_of(challenge, b"GET", b"/dir/index.html", b"", RFC_CNONCE)
        params = parse_parameters(line.split(b": ", 1)[1].strip())[1]
        assert params[b"response"] == expected
        assert params[b"opaque"] == RFC_OPAQUE
        assert params[b"algorithm"] == algorithm
        assert (params[b"qop"], params[b"nc"]) == (b"auth", b"00000001")


def test_example_of_rfc_7616_with_sha_512_256_comes_out():
    """R7616-1, R8760-1: section 3.9.2 with erratum 4897, for the RFC's own figures are those of a SHA-512 cut short"""
    if not is_supported(b"SHA-512-256"):
        return
    challenge = first(
        b'Digest realm="api@example.org", qop="auth", algorithm=SHA-512-256, charset=UTF-8, userhash=true, '
        b'nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", opaque="HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS"'
    )
    challenge.user = b"J\xc3\xa4s\xc3\xb8n Doe"
    challenge.password = b"Secret, or not?"
    line = line_of(challenge, b"GET", b"/doe.json", b"", b"NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v")
    params = parse_parameters(line.split(b": ", 1)[1].strip())[1]
    assert params[b"username"] == b"793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"
    assert params[b"response"] == b"3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"
    assert (params[b"userhash"], params[b"algorithm"]) == (b"true", b"SHA-512-256")


def test_example_of_rfc_2617_comes_out():
    """R7616-1: RFC 2617 section 3.5."""
    params = {
        b"nonce": b"dcd98b7102dd2f0e8b11d0f600bfb0c093",
        b"nc": b"00000001",
        b"cnonce": b"0a4f113b",
        b"qop": b"auth",
    }
    ha1 = secret(b"md5", b"Mufasa", b"testrealm@host.com", b"Circle Of Life")
    assert response(b"MD5", ha1, params, b"GET", b"/dir/index.html", b"") == b"6629fae49393a05397450978507c4ef1"


def test_session_algorithms_mix_nonce_and_cnonce_into_the_key():
    """R7616-1, R8760-1: the -sess forms, computed by hand from their definition."""
    for name in (b"md5", b"sha-256", b"sha-512-256"):
        if not is_supported(name):
            continue
        key = hexhash(name, hexhash(name, b"alice:r:wonder") + b":n:c")
        a2 = hexhash(name, b"MESSAGE:sip:desk@example.org")
        challenge = first(b'Digest realm="r", nonce="n", qop="auth", algorithm=' + name.upper() + b"-sess")
        _, params = answered(challenge)
        assert params[b"response"] == hexhash(name, key + b":n:00000001:c:auth:" + a2)
        assert params[b"algorithm"] == name.upper() + b"-sess"


def test_session_key_stays_the_same_for_all_requests_with_a_nonce():
    """R7616-1: its cnonce is that of the first request."""
    challenge = first(b'Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256-sess')
    answered(challenge, cnonce=b"first")
    challenge.count += 1
    _, params = answered(challenge, cnonce=b"second")
    assert (params[b"cnonce"], params[b"nc"]) == (b"first", b"00000002")


def test_session_algorithm_without_qop_still_tells_its_cnonce():
    _, params = answered(first(b'Digest realm="r", nonce="n", algorithm=MD5-sess'))
    assert params[b"cnonce"] == b"c"
    assert b"nc" not in params and b"qop" not in params


def test_auth_int_covers_the_body_where_nothing_else_is_offered():
    """R7616-1, R7616-5: bodies that are empty, long, or no text."""
    for body in (b"", b"hot", b"\x00\xff\r\n\r\n", b"x" * 1000):
        _, params = answered(first(b'Digest realm="r", nonce="n", qop="auth-int"'), body)
        a2 = hexhash(b"md5", b"MESSAGE:sip:desk@example.org:" + hexhash(b"md5", body))
        ha1 = hexhash(b"md5", b"alice:r:wonder")
        assert params[b"qop"] == b"auth-int"
        assert params[b"response"] == hexhash(b"md5", ha1 + b":n:00000001:c:auth-int:" + a2)


def test_without_qop_the_old_form_is_used():
    """R8760-4: RFC 2069."""
    for value in (b'Digest realm="r", nonce="n"', b'Digest realm="r", nonce="n", qop=""'):
        _, params = answered(first(value))
        ha1 = hexhash(b"md5", b"alice:r:wonder")
        a2 = hexhash(b"md5", b"MESSAGE:sip:desk@example.org")
        assert params[b"response"] == hexhash(b"md5", ha1 + b":n:" + a2)
        assert b"qop" not in params and b"nc" not in params and b"cnonce" not in params and b"algorithm" not in params


def test_what_is_quoted_and_what_is_not():
    """R7616-2: nc, qop and algorithm stand without quotes, all others in quotes."""
    challenge = first(b'Digest realm="r", nonce="n", qop="auth", algorithm="MD5", opaque="o"')
    challenge.user = b"alice"
    line = line_of(challenge, b"MESSAGE", b"sip:desk@example.org", b"", b"c")
    for part in (b'username="alice"', b'realm="r"', b'nonce="n"', b'uri="sip:desk@example.org"', b'cnonce="c"'):
        assert part in line
    for part in (b'opaque="o"', b" qop=auth,", b" nc=00000001", b" algorithm=MD5,"):
        assert part in line


def test_algorithm_is_echoed_as_it_was_sent():
    """R8760-1: also in odd capitals."""
    for algorithm in (b"md5", b"MD5", b"Sha-256", b"SHA-256-SESS"):
        _, params = answered(first(b'Digest realm="r", nonce="n", qop="auth", algorithm=' + algorithm))
        assert params[b"algorithm"] == algorithm


def test_nonce_count_is_eight_lower_case_digits_and_counts_what_was_sent():
    """R7616-2: measuring a request counts for nothing."""
    challenge = first(b'Digest realm="r", nonce="n", qop="auth"')
    for count, expected in ((0, b"00000001"), (0, b"00000001"), (9, b"0000000a"), (0xABCDE, b"000abcdf")):
        challenge.count = count
        assert answered(challenge)[1][b"nc"] == expected


def test_topmost_challenge_that_can_be_answered_is_taken_for_each_realm():
    """R8760-3: unknown algorithms, schemes and broken lines are skipped, not fatal."""
    chosen = choose(
        [
            b'Basic realm="a"',
            b'Digest realm="a", nonce="0", algorithm=SHA-512, qop="auth"',
            b'Digest realm="a, nonce="1"',
            b'Digest realm="a", nonce="2", nonce="3"',
            b'Digest realm="a", nonce="4", algorithm=SHA-256, qop="auth"',
            b'Digest realm="a", nonce="5", algorithm=MD5, qop="auth"',
            b'Digest realm="b", nonce="6"',
            b'Digest realm="A", nonce="7"',
            b'NTLM realm="c", nonce="8"',
            b'Digest realm="d"',
            b'Digest nonce="9"',
            b"Digest",
            b"",
        ],
        b"Authorization",
    )
    assert [(one.realm, one.nonce) for one in chosen] == [(b"a", b"4"), (b"b", b"6"), (b"A", b"7")]


def test_basic_is_never_answered():
    """R3261-22-3"""
    assert choose([b'Basic realm="r"', b'basic realm="r", nonce="n"'], b"Authorization") == []


def test_unknown_qop_values_are_skipped():
    """R7616-5: and a challenge with no other can't be used."""
    for offered, expected in (
        (b'"foo,auth"', b"auth"),
        (b'"AUTH"', b"auth"),
        (b"auth", b"auth"),
        (b'"auth-int,auth"', b"auth"),
        (b'" auth-int , bar"', b"auth-int"),
    ):
        assert first(b'Digest realm="r", nonce="n", qop=' + offered).qop == expected
    assert choose([b'Digest realm="r", nonce="n", qop="foo"'], b"Authorization") == []


def test_escapes_in_what_the_server_sent_are_hashed_and_returned_as_they_are():
    """R3261-22-1: realm, nonce and opaque."""
    challenge = first(b'Digest realm="the \\"r\\", here", nonce="n\\\\n", opaque="o\\"", qop="auth"')
    _, params = answered(challenge)
    assert (params[b"realm"], params[b"nonce"], params[b"opaque"]) == (b'the \\"r\\", here', b"n\\\\n", b'o\\"')
    ha1 = hexhash(b"md5", b'alice:the \\"r\\", here:wonder')
    a2 = hexhash(b"md5", b"MESSAGE:sip:desk@example.org")
    assert params[b"response"] == hexhash(b"md5", ha1 + b":n\\\\n:00000001:c:auth:" + a2)


def test_a_users_name_gets_escapes_on_the_wire_alone():
    """R3261-22-1, R7616-4: hashed as the user writes it; UTF-8 goes as it is."""
    for user, wire in ((b'a"b\\c', b'a\\"b\\\\c'), (b"J\xc3\xa4s\xc3\xb8n", b"J\xc3\xa4s\xc3\xb8n")):
        _, params = answered(first(b'Digest realm="r", nonce="n"'), user=user)
        assert params[b"username"] == wire
        ha1 = hexhash(b"md5", user + b":r:wonder")
        a2 = hexhash(b"md5", b"MESSAGE:sip:desk@example.org")
        assert params[b"response"] == hexhash(b"md5", ha1 + b":n:" + a2)


def test_a_name_is_hidden_where_the_server_asks_for_it():
    """R7616-4: username is H(user:realm)."""
    _, params = answered(first(b'Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256, userhash=true'))
    assert params[b"username"] == hexhash(b"sha-256", b"alice:r")
    assert params[b"userhash"] == b"true"
    ha1 = hexhash(b"sha-256", b"alice:r:wonder")
    a2 = hexhash(b"sha-256", b"MESSAGE:sip:desk@example.org")
    assert params[b"response"] == hexhash(b"sha-256", ha1 + b":n:00000001:c:auth:" + a2)


def test_parameters_are_read_in_all_their_forms():
    for value, expected in (
        (b'Digest a="1",b=2', {b"a": b"1", b"b": b"2"}),
        (b'  DIGEST\tA = "x, y" ,B= z', {b"a": b"x, y", b"b": b"z"}),
        (b'Digest a="",,b="<",', {b"a": b"", b"b": b"<"}),
        (b'Digest a="1 \\" 2"', {b"a": b'1 \\" 2'}),
        (b'Digest \\=1, a="1 \\" 2"', {b"\\": b"1", b"a": b'1 \\" 2'}),  # whatever comes first
    ):
        assert parse_parameters(value) == (b"digest", expected)
    for value in (
        b"",
        b"Digest",
        b"Digest ",
        b'Digest a="1',
        b"Digest a=1, a=2",
        b"Digest =1",
        b"Digest a",
        b'Digest a="1"b',
        b'Digest \0a="\\""',
        b'Digest a="\0\\""',
    ):
        raises(ParseError, parse_parameters, value)


def test_stale_is_read_in_any_case():
    """R7616-3"""
    for value, expected in ((b"true", True), (b'"TRUE"', True), (b"false", False), (b"1", False)):
        assert first(b'Digest realm="r", nonce="n", stale=' + value).stale == expected


def test_quoting_there_and_back():
    for text in (b"", b"plain", b'"', b"\\", b'\\"', b'a\\\\"b', b"\\\\\\"):
        assert unquote(quote(text)) == text
    assert unquote(b"\\a\\b") == b"ab"


def test_algorithms_are_named_with_and_without_sess():
    for name in (b"MD5", b"md5-sess", b"SHA-256", b"sha-256-SESS"):
        assert is_supported(name)
    for name in (b"SHA-512", b"", b"AKAv1-MD5", b"sess", b"-sess"):
        assert not is_supported(name)


def test_a_challenge_keeps_what_it_was_made_of():
    challenge = Challenge({b"realm": b"r", b"nonce": b"n"}, b"Proxy-Authorization", b"")
    assert answered(challenge)[0] == b"Proxy-Authorization"


def test_escapes_stay_wherever_they_stand():
    for value, expected in (
        (b"Digest a=b\\\\c", {b"a": b"b\\\\c"}),
        (b'Digest a="\\\\", b="\\\\\\"x"', {b"a": b"\\\\", b"b": b'\\\\\\"x'}),
    ):
        assert parse_parameters(value) == (b"digest", expected)
    raises(ParseError, parse_parameters, b'Digest a="\\\\\0"')
