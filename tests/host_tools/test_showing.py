"""What was stored and never shown is shown by the next inbox, however much it is and however slowly it is read."""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sipmote.inbox.store import Store
from sipmote.printer import Printer
from tests.host_tools.peers import PATIENCE, ROOT, inbox, message, until
from tests.host_tools.test_store import received

_COUNT = 500  # of 40 kB: more than twice what the printer takes


class _Inbox:
    """An inbox whose lines wait in its pipe until a test reads them."""

    def __init__(self, db: Path) -> None:
        command = [sys.executable, "-m", "sipmote", "inbox", "--json", "--db", str(db), "--bind", "udp:127.0.0.1:0"]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert self.process.stdout
        self._lines = self.process.stdout
        self.port = int(json.loads(self._lines.readline())["bind"][0].rpartition(":")[2])

    def line(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._lines.readline())
        return found

    def end(self, number: int) -> list[dict[str, Any]]:
        """End it; returns the rest of its lines that are whole."""
        self.process.send_signal(number)
        rest = self._lines.read()
        self.process.wait(PATIENCE)
        self._lines.close()
        return [json.loads(line) for line in rest.splitlines(keepends=True) if line.endswith(b"\n")]


@contextlib.contextmanager
def stalled(db: Path) -> Iterator[_Inbox]:
    running = _Inbox(db)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.end(signal.SIGKILL)


def send(port: int, *call_ids: str, body: bytes = b"now") -> None:
    """Send messages, and wait for the 200 of each."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(("127.0.0.1", port))
        for call_id in call_ids:
            sock.send(message(call_id, body))
            assert sock.recv(65535).startswith(b"SIP/2.0 200 ")


def fill(db: Path) -> list[str]:
    """Store more messages than a printer takes, as an inbox does that is killed before it shows them."""
    call_ids = [f"old{number}" for number in range(_COUNT)]
    with contextlib.closing(Store(str(db))) as store:
        store.add([received(call_id=call_id, body=b"x" * 40_000) for call_id in call_ids])
    return call_ids


def left(db: Path) -> set[str]:
    """Return what the file has as not shown yet."""
    with contextlib.closing(sqlite3.connect(db)) as opened:
        query = "SELECT call_id FROM message WHERE id IN (SELECT id FROM backlog) OR id > (SELECT shown FROM progress)"
        return {call_id for (call_id,) in opened.execute(query)}


def test_all_of_it_is_shown_in_one_go_and_new_messages_between(tmp_path: Path) -> None:
    """R0-P1, R0-P19: nobody reads for a while; what is new waits for what the printer has, and for no more"""
    db = tmp_path / "db"
    old = fill(db)
    with stalled(db) as running:
        send(running.port, "new1", "new2")
        shown = [running.line()["call_id"] for _ in range(_COUNT + 2)]
        until(lambda: not left(db))
        assert running.end(signal.SIGTERM) == []
    assert [call_id for call_id in shown if call_id.startswith("old")] == old
    assert [call_id for call_id in shown if call_id.startswith("new")] == ["new1", "new2"]
    assert shown.index("new2") < _COUNT
    with inbox(db=str(db)) as next_one:
        send(next_one.ports["udp"], "last")
        assert next_one.event("message")["call_id"] == "last"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_an_end_in_the_middle_of_it_loses_nothing_and_doubles_only_what_is_marked(tmp_path: Path, number: int) -> None:
    """R0-P1: what counts as shown has left for its reader; whoever ends well has written all of that down"""
    db = tmp_path / "db"
    everything = {*fill(db), "new"}
    with stalled(db) as running:
        first = [running.line() for _ in range(_COUNT // 2)]
        send(running.port, "new")
        until(lambda: len(left(db)) < 0.6 * _COUNT)
        first += running.end(number)
    shown = {line["call_id"] for line in first if line["event"] == "message"}
    not_shown = left(db)
    assert everything - not_shown <= shown and not_shown
    with inbox(db=str(db)) as running_next:
        second = Counter(running_next.event("message")["call_id"] for _ in not_shown)
        until(lambda: not left(db))
    assert second == Counter(not_shown)
    if number == signal.SIGTERM:
        assert shown & not_shown == set()


def test_what_came_while_nobody_read_is_shown_at_the_next_start(tmp_path: Path) -> None:
    """R0-P1, R0-P19: it was counted and not printed"""
    db = tmp_path / "db"
    call_ids = [f"{number}" for number in range(_COUNT)]
    with stalled(db) as running:
        send(running.port, *call_ids, body=b"x" * 40_000)
        shown = {line.get("call_id") for line in running.end(signal.SIGTERM)}
    missing = set(call_ids) - shown
    assert missing and missing <= left(db)
    with inbox(db=str(db)) as running_next:
        again = [running_next.event("message")["call_id"] for _ in left(db)]
    assert missing <= set(again) and len(again) == len(set(again))


def test_who_can_wait_is_told_of_room_once_half_of_it_is_free() -> None:
    reading, writing = os.pipe()
    told: list[bool] = []
    printer = Printer(most=400_000)
    assert printer.has_room(lambda: told.append(True))
    for _ in range(3):
        printer.write(writing, b"x" * 100_000)
    assert not printer.has_room(lambda: told.append(True)) and not told
    taken = 0
    while taken < 300_000:
        taken += len(os.read(reading, 10_000))
        assert taken > 30_000 or not told
    until(lambda: told)
    printer.close()
    assert told == [True]
    os.close(reading)
    os.close(writing)
