"""The store of the inbox: which messages are twins, files of older versions, and a file that changes under us."""

import contextlib
import os
import resource
import shutil
import sqlite3
import stat
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sipmote.inbox.parcels import Parcels
from sipmote.inbox.received import Parcel, Received
from sipmote.inbox.schema import STEPS
from sipmote.inbox.store import Store
from sipmote.smime.reader import Verdict
from tests.host_tools.peers import Running, RunningInbox, header, inbox, message

NOW = 1_800_000_000.0
DAY = 86400
GOOD = Verdict(state="good", signer="sip:boiler@example.org", reason="", signed_at=None, digest="of the signed")


def received(**more: Any) -> Received:
    facts: dict[str, Any] = {
        "call_id": "1@192.0.2.7",
        "cseq": 2,
        "sender": "sip:boiler@example.org",
        "to": "sip:desk@example.org",
        "subject": None,
        "content_type": "text/plain",
        "body": b"81 C",
        "date": None,
        "received": NOW,
        "expired": False,
        "stale": False,
        "transport": "udp",
        "source": "192.0.2.7:5060",
        "from_tag": ";tag=a",
    }
    return Received(**{**facts, **more})


@contextlib.contextmanager
def store(path: Path | str = ":memory:") -> Iterator[Store]:
    opened = Store(str(path))
    try:
        yield opened
    finally:
        opened.close()


@pytest.mark.parametrize(
    ("second", "is_twin"),
    [
        ({}, True),
        ({"content_type": "Text/Plain", "sender": "sip:boiler@EXAMPLE.org"}, True),
        ({"from_tag": ";tag=b"}, True),
        ({"from_tag": ";tag=b", "cseq": 1}, True),  # a board that lost power counts anew
        ({"from_tag": ";tag=b", "cseq": 3}, True),  # and is challenged once more
        ({"cseq": 3}, False),  # "ok", and "ok" again
        ({"cseq": 3, "challenged": True}, True),  # the next server of its list asked for credentials
        ({"cseq": 4, "challenged": True}, False),
        ({"received": NOW + 6.9 * DAY}, True),
        ({"received": NOW + 7.1 * DAY}, False),
        ({"body": b"99 C"}, False),
        ({"content_type": "text/html"}, False),
        ({"sender": "sip:pump@example.org"}, False),
        ({"sender": "sip:Boiler@example.org"}, False),
        ({"call_id": "2@192.0.2.7"}, False),
        ({"verdict": GOOD}, False),  # a forgery that came first
    ],
)
def test_what_a_twin_is(second: dict[str, Any], is_twin: bool) -> None:
    """R0-P2: Call-ID, URI of From, content and who has signed, within 7 days; CSeq where the From tag is the same"""
    with store() as kept:
        one, other = received(), received(**second)
        kept.add([one])
        kept.add([other])
        assert (one.duplicate, other.duplicate) == (False, is_twin)
        repeated = received(**second)
        kept.add([repeated])
        assert repeated.duplicate


def test_a_signed_message_is_taken_once_whoever_brings_it() -> None:
    """R0-P2, R3428-11.7: in another request, with From spelled otherwise; an unsigned copy doesn't count as it"""
    with store() as kept:
        batch = [
            received(call_id="x"),
            received(call_id="y", verdict=GOOD),
            received(call_id="z", verdict=GOOD, sender="sip:eve@example.net"),
        ]
        kept.add(batch)
        assert [one.duplicate for one in batch] == [False, False, True]


def test_many_messages_of_one_key_cost_no_more_than_few() -> None:
    """R0-P2: the same words for ever, with one Call-ID and a CSeq that counts"""
    with store() as kept:
        costs = []
        for start in (0, 5000):
            kept.add([received(cseq=cseq) for cseq in range(start + 1000)])
            batch = [received(cseq=cseq) for cseq in range(start + 1000, start + 2000)]
            begun = time.process_time()
            kept.add(batch)
            costs.append(time.process_time() - begun)
            assert not any(one.duplicate for one in batch)
        assert costs[1] < 4 * costs[0]


PAST = 1_700_000_000.0


def waiting(user: str, number: int, hops: int = 69, **more: Any) -> Received:
    parcel = Parcel(int(NOW), None, hops, user, b"", b"", 500)
    return received(call_id=f"{number}@192.0.2.7", parcel=parcel, **{"received": PAST, **more})


def count_step(steps: list[int], count: int) -> int:
    steps.append(count)
    return 0  # go on


def test_who_is_next_costs_the_same_however_many_wait() -> None:
    """R0-P3, R0-P14: behind a user who doesn't answer, and for as many users"""
    with store() as kept:
        parcels = Parcels(kept, True)
        steps: list[int] = []
        for count in (100, 5000):
            slow = [waiting("slow", number) for number in range(count)]
            kept.add([*slow, *(waiting(f"user{number}", number) for number in range(count))], [parcels.add])
            kept.add([waiting("last", 1, received=PAST + 1)], [parcels.add])
            kept.db.connection.set_progress_handler(partial(count_step, steps, count), 10)
            due = parcels.next(["to slow"], ["none"])
            kept.db.connection.set_progress_handler(None, 0)
            assert due and due.parcel.user == "user0"
        assert 0 < steps.count(5000) < 2 * steps.count(100)


def test_who_sends_much_stands_in_front_of_nobody() -> None:
    """R0-P3: to one recipient, senders take turns; a password makes a sender of his own"""
    with store() as kept:
        parcels = Parcels(kept, False)
        flood = [waiting("desk", number, source="192.0.2.66:5060") for number in range(100)]
        others = [waiting("desk", 200, received=PAST + 1), waiting("desk", 201, received=PAST + 2)]
        others[1].user = "alice"
        kept.add([*flood, *others], [parcels.add])
        order = []
        for _ in range(5):
            due = parcels.next([], [])
            assert due and not parcels.next([due.recipient], [])
            order.append(due.call_id.partition("@")[0])
            parcels.end(due, "delivered")
        assert order == ["0", "200", "201", "1", "2"]


def test_one_call_id_for_many_users_holds_up_nobody() -> None:
    """R0-P3, R0-P8: those that have to wait for it are passed over"""
    with store() as kept:
        parcels = Parcels(kept, True)
        same = [waiting(f"user{number}", 0) for number in range(300)]
        kept.add([*same, waiting("desk", 1, received=PAST + 1)], [parcels.add])
        for _ in range(10):
            due = parcels.next([], ["0@192.0.2.7"])
            if due is not None:
                break
        assert due and due.parcel.user == "desk"


def test_a_clock_that_is_set_delays_nothing_and_ends_nothing() -> None:
    """R0-P3: an attempt that was to come in four years, and the Date of what came without one"""
    with store() as kept:
        parcels = Parcels(kept, True)
        kept.add([waiting("desk", 1)], [parcels.add])
        kept.db.execute("UPDATE parcel SET date = ?", (int(PAST),))
        due = parcels.next([], [])
        assert due
        parcels.postpone(due, NOW + 4 * 365 * DAY)
        assert parcels.next([], []) is None
        parcels.shift(7 * DAY)
        due = parcels.next([], [])
        assert due and due.parcel.date == int(PAST) + 7 * DAY


def test_what_an_older_program_stores_is_passed_on() -> None:
    """R0-P3: it goes on with a file that a newer one has brought up to date"""
    with store() as kept:
        parcels = Parcels(kept, True)
        one = waiting("desk", 1)
        kept.add([one])
        kept.db.execute(
            "INSERT INTO parcel (id, date, max_forwards, user, next_at) VALUES (?, 0, 69, 'desk', 5)", (one.id,)
        )
        due = parcels.next([], [])
        assert due and due.recipient == "to desk"
        parcels.hasten(None)


def test_a_twin_is_queued_again_when_the_first_has_failed_and_not_else() -> None:
    """R0-P3: whether its sender is being told of that or not; what an attempt of before comes to counts no more"""
    with store() as kept:
        parcels = Parcels(kept, True)

        def keep() -> None:
            kept.add([waiting("desk", 1)], [parcels.add])

        def waits() -> bool:
            return parcels.next([], []) is not None

        keep()
        keep()
        due = parcels.next([], [])
        assert due and not parcels.next([due.recipient], [])
        parcels.end(due, "delivered")
        keep()
        assert not waits()
        parcels.end(due, "failed")
        keep()
        due = parcels.next([], [])
        assert due and due.notice is None
        parcels.fail(due, "refused", b"notice", "n1")
        notice = parcels.next([], [])
        assert notice and (notice.notice, notice.lane) == (b"notice", "notice for sip:boiler@example.org")
        keep()
        parcels.end(notice, "refused")
        due = parcels.next([], [])
        assert due and (due.notice, due.recipient, due.tries) == (None, "to desk", 0)
        parcels.end(due, "delivered")
        assert not waits()


def old_store(path: Path, version: int) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None)
    db.executescript("".join(STEPS[:version]) + f"PRAGMA user_version = {version};")
    return db


def test_a_store_of_the_version_before_keeps_all_and_knows_twins(tmp_path: Path) -> None:
    """R0-P2: and takes what its rule, a CSeq for each Call-ID once, kept out"""
    path = tmp_path / "inbox.db"
    with contextlib.closing(old_store(path, 6)) as db:
        insert = (
            "INSERT INTO message (call_id, cseq, sender, recipient, content_type, body, received, transport, source,"
        )
        insert += " author, message_id, cpim, signature, signer) VALUES (?, ?, 'sip:boiler@example.org', 'sip:desk@x', "
        insert += f"'text/plain', '81 C', {NOW}, 'udp', '192.0.2.7:5060', ?, ?, ?, ?, ?)"
        db.execute(insert, ("1@192.0.2.7", 2, None, None, None, None, None))
        db.execute(insert, ("1@192.0.2.7", 3, None, None, None, None, None))
        db.execute(insert, ("c", 1, "sip:a@b", "id-1", b"Subject: x\r\n\r\n\r\n", None, None))
        db.execute(insert, ("s", 1, "sip:boiler@example.org", GOOD.digest, None, "good", GOOD.signer))
        db.execute("INSERT INTO parcel (id, date, max_forwards, next_at) VALUES (2, 0, 69, 5.0)")
    with store(path) as kept:
        batch = [received(), received(cseq=7), received(sender="sip:pump@x"), received(call_id="t", verdict=GOOD)]
        kept.add(batch)
        assert [one.duplicate for one in batch] == [True, True, False, True]
        kept.set_aside(True)
        found = kept.backlog(0)
        assert found and found.sender == "sip:pump@x" and kept.backlog(found.id) is None
        due = Parcels(kept, True).next([], [])
        assert due and (due.id, due.call_id) == (2, "1@192.0.2.7")
        rows = kept.db.query("SELECT id, cseq, message_id FROM message ORDER BY id")
        assert rows == [(1, 2, None), (2, 3, None), (3, 1, "id-1"), (4, 1, GOOD.digest), (5, 2, None)]


def test_what_was_stored_and_not_shown_comes_back_as_it_was(tmp_path: Path) -> None:
    """R0-P1: marked, for it may have been shown"""
    told = received(subject="Boiler", stale=True, expired=None, user="alice", encrypted=True, date=5)
    with store(tmp_path / "inbox.db") as kept:
        batch = [received(call_id="shown"), told]
        kept.add(batch)
        kept.shown(batch[0].id)
    with store(tmp_path / "inbox.db") as kept:
        kept.set_aside(False)
        found = kept.backlog(0)
        assert found and found.again and found.line() == {**told.line(), "again": True}
    with store(tmp_path / "inbox.db") as kept:
        later = received(call_id="later")
        kept.add([later])
        kept.shown(later.id)
        assert kept.backlog(0) == found
        kept.shown(found.id, of_backlog=True)
    with store(tmp_path / "inbox.db") as kept:
        kept.set_aside(False)
        assert kept.backlog(0) is None


def ask(running: RunningInbox, call_id: str) -> int:
    with running.udp() as sock:
        sock.send(message(call_id))
        response = sock.recv(65535)
    assert header(response, "Call-ID") == call_id
    return int(response.split()[1])


def call_ids(path: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(path)) as db:
        return [row[0] for row in db.execute("SELECT call_id FROM message ORDER BY id")]


def test_a_file_that_is_deleted_or_replaced_gets_no_more_messages(tmp_path: Path) -> None:
    """R0-P1, R0-P13: the log of the old one isn't taken for that of the new one, either"""
    path, other, moved = tmp_path / "below" / "inbox.db", tmp_path / "other.db", tmp_path / "moved.db"
    with store(other) as kept:
        kept.add([received(call_id="of the other")])
    with inbox(db=str(path)) as running:
        assert ask(running, "a") == 200
        running.event("message")
        path.unlink()
        assert ask(running, "b") == 200
        assert "deleted" in running.event("warning")["text"]
        assert running.event("message")["call_id"] == "b"
        path.rename(moved)
        other.rename(path)
        assert ask(running, "c") == 200
        assert "replaced" in running.event("warning")["text"]
        running.event("message")
        shutil.rmtree(path.parent)
        assert ask(running, "d") == 200
        assert "deleted" in running.event("warning")["text"]
        running.event("message")
        assert call_ids(path) == ["d"]
        path.unlink()
        moved.rename(path)
        assert ask(running, "e") == 200
    assert call_ids(path) == ["b", "e"]


def test_a_folder_that_cannot_be_written_any_more_costs_no_message(tmp_path: Path) -> None:
    """R0-P1, R0-P13: 503 and a line, and all is well when the folder is back"""
    folder = tmp_path / "below"
    with inbox(db=str(folder / "inbox.db")) as running:
        shutil.rmtree(folder)
        folder.write_text("no folder")
        assert [ask(running, call_id) for call_id in ("a", "b")] == [503, 503]
        folder.unlink()
        assert ask(running, "c") == 200
        texts = [running.event("warning")["text"] for _ in range(3)]
    assert "can't store" in texts[0] and "a new one" in texts[1] and "again" in texts[2]
    assert call_ids(folder / "inbox.db") == ["c"]


def test_a_log_that_is_deleted_or_a_file_made_empty_is_noticed(tmp_path: Path) -> None:
    """R0-P1: nothing that was answered is lost by the first, nothing more by the second"""
    path = tmp_path / "inbox.db"
    with inbox(db=str(path)) as running:
        assert ask(running, "a") == 200
        Path(f"{path}-wal").unlink()
        assert ask(running, "b") == 200
        running.event("message")
        assert "lost its log" in running.event("warning")["text"]
        running.event("message")
        running.process.kill()
    assert call_ids(path) == ["a", "b"]


def test_a_full_disk_is_told_with_its_remedy_and_over_when_there_is_room(tmp_path: Path) -> None:
    """R0-P1, R0-P13"""
    path = tmp_path / "inbox.db"
    with inbox(db=str(path)) as running:
        assert ask(running, "a") == 200
        running.event("message")
        pid, no_limit = running.process.pid, resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, ((tmp_path / "inbox.db-wal").stat().st_size, no_limit[1]))
        assert [ask(running, call_id) for call_id in ("b", "c")] == [503, 503]
        resource.prlimit(pid, resource.RLIMIT_FSIZE, no_limit)
        assert ask(running, "d") == 200
        text = running.event("warning")["text"]
        assert "disk" in text and ": " in text
        assert "again" in running.event("warning")["text"]
    assert call_ids(path) == ["a", "d"]


def test_while_the_file_is_locked_nobody_is_kept_waiting(tmp_path: Path) -> None:
    """R0-P13: once it is known, 503 comes at once"""
    path = tmp_path / "inbox.db"
    with inbox(db=str(path)) as running, contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        assert ask(running, "a") == 503
        begun = time.monotonic()
        assert [ask(running, f"{i}") for i in range(5)] == [503] * 5
        assert time.monotonic() - begun < 1.0
        assert "end the program" in running.event("warning")["text"]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_messages_are_their_owners_alone(tmp_path: Path) -> None:
    """R0-P17: the default file and its folder, those of older versions, too"""
    environment = {**os.environ, "XDG_DATA_HOME": str(tmp_path)}
    folder = tmp_path / "sipmote"
    path = folder / "inbox.db"
    files = [folder / f"inbox.db{suffix}" for suffix in ("", "-wal", "-shm")]
    for lax in (False, True):
        if lax:
            folder.chmod(0o755)
            path.chmod(0o644)
        running = Running("inbox", "--bind", "udp:127.0.0.1:0", env=environment)
        try:
            assert running.line().startswith(b"listening")
            assert [mode(folder), *map(mode, files)] == [0o700, 0o600, 0o600, 0o600]
        finally:
            running.end()
        assert running.errors.count(b"now it is yours alone") == lax


def test_a_named_file_is_private_and_the_folder_that_was_there_stays_as_it_is(tmp_path: Path) -> None:
    """R0-P17"""
    tmp_path.chmod(0o755)
    for name in ("new.db", "old.db"):
        path = tmp_path / name
        if name == "old.db":
            path.touch(0o644)
        told: list[str] = []
        Store(str(path), told.append).close()
        assert (mode(tmp_path), mode(path), len(told)) == (0o755, 0o600, 1 if name == "old.db" else 0)
