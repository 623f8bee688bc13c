"""What `sipmote doctor` asks about a desk: the page, its certificate, the database, who works on it, the disk."""

import contextlib
import json
import os
import shutil
import sqlite3
import ssl
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from sipmote.board.findings import FAILED, NOT_TRIED, OK, Finding
from sipmote.inbox.schema import STEPS

_PAGE_S = 5.0
_SKEW_S = 5.0  # between this computer's clock and the database's
_SOON_D = 14  # days before a certificate ends
_LEAST = 512 << 20  # octets of free disk
_NO_FILES = ("-wal", "-shm", "-journal")  # beside the file, and no turn at work
_FACTS = "SELECT extract(epoch FROM clock_timestamp())::float8, pg_is_in_recovery(), to_regclass('message') IS NOT NULL"
_MAY_WRITE = "SELECT has_table_privilege('message', 'INSERT')"
_AT_WORK = """
SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sipmote' AND datname = current_database()
"""


def check_page(url: str) -> Iterator[Finding]:
    """Ask a page who may read it, and look at its certificate. url: https://HOST:PORT or http://HOST:PORT."""
    place = urlsplit(url)
    if place.scheme not in ("http", "https") or not place.hostname:
        yield Finding("page", FAILED, f"{url} is no URL of a page", "say for example --desk http://127.0.0.1:8080")
        return
    try:
        request = f"{place.scheme}://{place.netloc}/api/session"
        context = ssl._create_unverified_context()  # its end is told below; who vouches for it is the browser's matter
        with urllib.request.urlopen(request, timeout=_PAGE_S, context=context) as answer:
            said: dict[str, Any] = json.load(answer)
        yield Finding("page", OK, f"{url} answers, sipmote {said['version']}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        words = str(getattr(error, "reason", error))
        yield Finding("page", FAILED, f"{url}: {words}", "start the inbox with --http, check host, port and scheme")
        return
    if place.scheme == "https":
        yield _certificate(place.hostname, place.port or 443)


def _certificate(host: str, port: int) -> Finding:
    from cryptography import x509

    try:
        pem = ssl.get_server_certificate((host, port), timeout=_PAGE_S)
    except OSError as error:
        return Finding("certificate", FAILED, str(error), "look at the inbox's stderr")
    ends = x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc
    days = int((ends.timestamp() - time.time()) // 86400)
    text = f"ends on {ends:%Y-%m-%d}, in {days} days" if days >= 0 else f"has ended on {ends:%Y-%m-%d}"
    remedy = "renew it: the inbox takes the new file of --tls-cert by itself"
    return Finding("certificate", OK if days >= _SOON_D else FAILED, text, "" if days >= _SOON_D else remedy)


def check_database(place: str) -> Iterator[Finding]:
    """Look at a store, without changing it. place: a file, or postgresql://..., as --db has it."""
    if place.startswith(("postgresql://", "postgres://")):
        yield from _check_server(place)
    else:
        yield from _check_file(Path(place))


def _check_file(path: Path) -> Iterator[Finding]:
    try:
        with contextlib.closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            count = db.execute("SELECT count(*) FROM message").fetchone()[0]
    except sqlite3.Error as error:
        yield Finding("database", FAILED, f"{path}: {error}", "name the file that the inbox has after --db")
        return
    if version > len(STEPS):
        yield Finding("database", FAILED, f"{path}: made by a newer sipmote", "update this one")
    elif not (os.access(path, os.W_OK) and os.access(path.resolve().parent, os.W_OK)):
        remedy = "give it to the user that the inbox runs as, or ask as that one"
        yield Finding("database", FAILED, f"{path} or its folder can't be written to from here", remedy)
    else:
        yield Finding("database", OK, f"{path}: {count} messages, schema {version} of {len(STEPS)}")
    works = [suffix for suffix in _turns(path) if _is_locked(path, suffix)]
    yield _at_work(bool(works), f"an inbox does its work ({', '.join(sorted(works))})")
    yield _disk(path.resolve().parent)


def _turns(path: Path) -> list[str]:
    """Return the kinds of work that somebody has had the turn of."""
    names = [other.name.removeprefix(path.name) for other in path.resolve().parent.glob("*")]
    return [name[1:] for name in names if name.startswith("-") and name not in _NO_FILES]


def _is_locked(path: Path, work: str) -> bool:
    """Has an inbox this turn? Looking takes no turn from anybody: a reader doesn't lock."""
    with contextlib.closing(sqlite3.connect(f"file:{quote(f'{path}-{work}')}?mode=ro", uri=True, timeout=0)) as lock:
        try:
            lock.execute("SELECT count(*) FROM sqlite_master")
        except sqlite3.OperationalError as error:
            return error.sqlite_errorname.startswith("SQLITE_BUSY")
        except sqlite3.Error:
            return False
    return False


def _at_work(is_there: bool, text: str) -> Finding:
    if is_there:
        return Finding("work", OK, text)
    return Finding("work", FAILED, "no inbox does the work: --exec, replies, webhooks wait", "start one with this --db")


def _disk(folder: Path) -> Finding:
    found = shutil.disk_usage(folder)
    text = f"{found.free >> 20} MB are free where {folder} is"
    return Finding("disk", FAILED, text, "make room") if found.free < _LEAST else Finding("disk", OK, text)


def _check_server(url: str) -> Iterator[Finding]:
    try:
        import psycopg
    except ImportError:
        yield Finding("database", FAILED, "psycopg is not installed", "pip install 'sipmote[desk]'")
        return
    host = f"{urlsplit(url).hostname or 'the local server'}{urlsplit(url).path}"
    try:
        with psycopg.connect(url, connect_timeout=3, options="-c statement_timeout=5s") as db:
            before = time.time()
            [(theirs, is_standby, has_tables)] = db.execute(_FACTS).fetchall()
            skew = theirs - (before + time.time()) / 2
            may_write = has_tables and db.execute(_MAY_WRITE).fetchall()[0][0]
            inboxes = db.execute(_AT_WORK).fetchall()[0][0]
    except psycopg.Error as error:
        words = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        remedy = "start it, check host, user and password, and what filters between"
        yield Finding("database", FAILED, f"{host}: {words}", remedy)
        return
    if is_standby:
        yield Finding("database", FAILED, f"{host} is a standby", "name the server that can be written to")
    elif not has_tables:
        yield Finding(
            "database", FAILED, f"{host} has no tables of ours", "start an inbox with this --db: it makes them"
        )
    elif not may_write:
        yield Finding("database", FAILED, f"{host}: this user may not write", "GRANT INSERT, UPDATE, DELETE, SELECT")
    else:
        yield Finding("database", OK, f"{host} answers and can be written to")
    text = f"{host} is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} this computer"
    if abs(skew) < _SKEW_S:
        yield Finding("clock", OK, text)
    else:
        yield Finding("clock", FAILED, text, "have both follow a time server")
    yield _at_work(inboxes > 0, f"{inboxes} inboxes are connected")
    yield Finding("disk", NOT_TRIED, f"look on {host}: df, and pg_database_size")
