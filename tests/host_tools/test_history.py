"""`sipmote history`: out of a file that an inbox has open, and of files of other versions."""

import contextlib
import csv
import errno
import io
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.host_tools.peers import inbox, message, sipmote

_OLDEST = """
CREATE TABLE message (id INTEGER PRIMARY KEY, call_id TEXT NOT NULL, cseq INTEGER NOT NULL, sender TEXT NOT NULL,
    recipient TEXT NOT NULL, subject TEXT, content_type TEXT NOT NULL, body BLOB NOT NULL, date INTEGER,
    received REAL NOT NULL, expired INTEGER, stale INTEGER, transport TEXT NOT NULL, source TEXT NOT NULL);
PRAGMA user_version = 1;
"""
_INSERT = """
INSERT INTO message (call_id, cseq, sender, recipient, content_type, body, received, transport, source)
    VALUES ('c', 1, 'sip:a@example.org', 'sip:desk@example.org', 'text/plain', ?, ?, 'udp', '192.0.2.1:5060')
"""


def history(*arguments: str) -> list[dict[str, Any]]:
    """Return the events of the command."""
    code, out, err = sipmote("history", *arguments, "--json")
    assert (code, err) == (0, "")
    return [json.loads(line) for line in out.splitlines()]


@contextlib.contextmanager
def old(path: Path) -> Iterator[sqlite3.Connection]:
    """A file as the first version made it."""
    db = sqlite3.connect(path, isolation_level=None)
    db.executescript(_OLDEST)
    yield db
    db.close()


def test_messages_are_read_while_the_inbox_runs_and_after(tmp_path: Path) -> None:
    """R0-P13: as the inbox has told them, the newest last; nothing is left beside the file"""
    path = tmp_path / "inbox.db"
    with inbox(db=str(path)) as running, running.udp() as sock:
        told = []
        for number in range(3):
            sock.send(message(f"call-{number}", f"grüß {number}\nyou".encode(), fields=["Subject: Kessel"]))
            told.append(running.event("message"))
        found = history("--db", str(path))
        for line, event in zip(found, told, strict=True):
            assert {key: line[key] for key in event} == event
        assert [line["id"] for line in found] == [1, 2, 3]
    names = sorted(tmp_path.iterdir())
    assert history("--db", str(path)) == found and sorted(tmp_path.iterdir()) == names == [path]
    code, out, _ = sipmote("history", "--db", str(path), "--limit", "1")
    first, second = out.splitlines()
    assert (
        code == 0
        and first[19:] == ' sip:boiler@example.org says "Boiler" Kessel: grüß 2'
        and second == " " * 18 + "| you"
    )


def test_a_search_is_by_text_sender_and_time_and_has_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "inbox.db"
    now = time.time()
    with old(path) as db:
        for age, text in ((400000, "Boiler hot"), (7000, "boiler COLD"), (60, "door open"), (5, "straße")):
            db.execute(_INSERT, (text.encode(), now - age))
        db.execute("UPDATE message SET sender = 'sip:Door@example.org', subject = 'Alarm' WHERE id = 3")

    def found(*arguments: str) -> list[int]:
        return [line["id"] for line in history("--db", str(path), *arguments)]

    assert found("BOILER") == [1, 2] and found("alarm") == [3] and found("STRASSE") == [4] and found("x") == []
    assert found("--from", "door@") == [3] and found("open", "--from", "sip:a@") == []
    assert found("--since", "2h") == [2, 3, 4] and found("--since", "100s") == [3, 4] and found("--until", "1d") == [1]
    day = time.strftime("%Y-%m-%d", time.localtime(now))
    assert found("--until", day) == [1, 2, 3, 4] and found("--since", "2w", "--until", "1w") == []
    assert (
        found("--limit", "2") == [3, 4] and found("boiler", "--limit", "1") == [2] and len(found("--limit", "0")) == 4
    )


def test_a_search_that_finds_nothing_says_so_and_one_that_can_t_find_anything_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "inbox.db")
    with old(tmp_path / "inbox.db"):
        pass
    assert sipmote("history", "--db", path) == (0, "", f"sipmote: {path} has no message\n")
    assert sipmote("history", "--db", path, "--from", "nosuch") == (0, "", f"sipmote: {path} has no such message\n")
    code, _, err = sipmote("history", "--db", path, "--since", "2026-11-26", "--until", "2026-11-20")
    assert code == 1 and "--until is before --since" in err


def test_a_file_of_any_version_is_read_and_a_bad_row_hides_no_other(tmp_path: Path) -> None:
    """R0-P13: columns may be missing, be more, or hold what nobody can show"""
    path = tmp_path / "inbox.db"
    with old(path) as db:
        db.executescript("ALTER TABLE message ADD COLUMN new TEXT DEFAULT 'x'; PRAGMA user_version = 999")
        for text, received in (("one", 1.0), ("two", 1e300), ("three", 3.0), (4, 4.0)):
            db.execute(_INSERT, (text, received))
        db.execute("UPDATE message SET date = 9e18 WHERE id = 2")  # off the calendar: that costs the field alone
        db.execute("UPDATE message SET content_type = x'00' WHERE id = 3")
    for more in ((), ("--limit", "0")):
        events = history("--db", str(path), *more)
        assert [line.get("body") for line in events if line["event"] == "message"] == ["one", "two", "4"]
        assert [line["text"][:9] for line in events if line["event"] == "warning"] == ["message 3"]


def test_a_table_is_for_spreadsheets_and_computes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "inbox.db"
    texts = ("=1+1", "+15 C", "@x", 'a,"b"\nc', "\x1b[2J")
    with old(path) as db:
        for text in texts:
            db.execute(_INSERT, (text.encode(), 1.0))
    code, out, err = sipmote("history", "--db", str(path), "--csv")
    assert (code, err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["body"] for row in rows] == ["'=1+1", "'+15 C", "'@x", 'a,"b"\nc', "\\x1b[2J"]
    assert {row["from"] for row in rows} == {"sip:a@example.org"}
    assert sipmote("history", "--db", str(path), "--csv", "--json")[0] == 1


def test_what_a_sender_calls_itself_and_damaged_text_are_told_in_every_form(tmp_path: Path) -> None:
    """R0-P13: as the inbox has told them"""
    path = tmp_path / "inbox.db"
    with inbox(db=str(path)) as running, running.udp() as sock:
        sock.send(message("a", b"81 \xff C"))
        sock.send(message("b", b"81 C").replace(b"From: Boiler ", b"From: "))
        told = [running.event("message") for _ in range(2)]
    assert [(line.get("display_name"), line.get("encoding_error")) for line in told] == [("Boiler", True), (None, None)]
    _, out, _ = sipmote("history", "--db", str(path))
    damaged, whole = [line[20:] for line in out.splitlines()]
    assert damaged == 'sip:boiler@example.org says "Boiler" [damaged text] 81 \ufffd C'
    assert whole == "sip:boiler@example.org 81 C"
    rows = list(csv.DictReader(io.StringIO(sipmote("history", "--db", str(path), "--csv")[1])))
    assert [(row["display_name"], row["encoding_error"]) for row in rows] == [("Boiler", "True"), ("", "")]


@pytest.mark.parametrize("kind", ["directory", "no database", "other database", "unreadable"])
def test_what_is_no_inboxs_file_is_told_in_our_words(tmp_path: Path, kind: str) -> None:
    """R0-P13: with the remedy"""
    path = tmp_path / "file"
    expected = f"{path} is no inbox's file: name one with --db"
    if kind == "directory":
        path.mkdir()
        expected = f"{path} is a directory: name a file in it with --db, such as {path}/inbox.db"
    elif kind == "other database":
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute("CREATE TABLE cake (id)")
    else:
        path.write_bytes(b"what is in here is text, and not a database")
    if kind == "unreadable":
        path = Path("/proc/self/mem")  # nobody reads its beginning: permissions are nothing to root
        if not path.exists():
            pytest.skip("no /proc here")
        reason = os.strerror(errno.EIO)
        expected = f"can't read messages from {path}: {reason}; ask its owner, or name another file with --db"
    assert sipmote("history", "--db", str(path)) == (1, "", f"sipmote: {expected}\n")


@pytest.mark.parametrize("content", [None, b"", b"no database, by its look"])
def test_what_is_no_inboxs_file_is_one_line_and_stays_as_it_is(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    code, out, err = sipmote("history", "--db", str(path))
    assert (code, out, err.count("\n")) == (1, "", 1) and str(path) in err and "--db" in err
    assert [one.read_bytes() for one in tmp_path.iterdir()] == ([] if content is None else [content])


def test_a_time_that_is_none_is_wrong_use() -> None:
    for arguments in (("--since", "soon"), ("--until", "25:00"), ("--since", "999999w"), ("--limit", "-1")):
        assert sipmote("history", *arguments)[0] == 2
