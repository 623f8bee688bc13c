"""R0-P4: a command runs at most once, over restarts, a torn or garbled file, and memory that runs out."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.mote.running import Running, running
from tests.vm import run_program

BOARD = b"sip:boiler@127.0.0.1"
_PROGRAM = """
import asyncio
import machine
from mote import Mote

mote = Mote()


@mote.every(1000000)
def begin():
    mote.alert("begun")


def ran(name):
    with open("/runs", "a") as file:
        file.write(name + " ")


@mote.command("count")
def count(message):
    ran("count")
    return "counted"


@mote.command("crash")
def crash(message):
    ran("crash")
    machine.reset()


%s
mote.run()
"""


def send(board: Running, text: bytes, number: int, branch: bytes, tag: bytes = b"1") -> int:
    """Send a command whose Call-ID has this number, again or for the first time; returns the status of its answer."""
    data = b"MESSAGE %s SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%d;branch=z9hG4bK%s;rport\r\nMax-Forwards: 70\r\n"
    data += b"From: <sip:desk@127.0.0.1>;tag=%s\r\nTo: <%s>\r\nCall-ID: call-%d\r\nCSeq: 1 MESSAGE\r\n"
    data += b"Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s"
    parts = BOARD, board.desk.port, branch, tag, BOARD, number, len(text), text
    board.desk.put(data % parts, board.desk.from_port)
    return board.desk.receive()[0].status


@pytest.mark.parametrize("bits", ["32", "64"])
def test_a_command_runs_once_over_a_restart_and_who_repeats_one_that_was_interrupted_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bits: str
) -> None:
    """The board is gone between its 200 and the end of what was asked; the same octets, then a new transaction"""
    monkeypatch.setenv("VIRTUAL", bits)
    monkeypatch.setattr("tests.mote.running._HEAP", f"{4 * int(bits)}k")
    with running(tmp_path, _PROGRAM % "", outbox=False) as board:
        assert board.alert() == "begun"
        assert send(board, b"count", 1, b"a") == 200 and board.alert() == "counted"
        assert send(board, b"crash", 2, b"b") == 200
        assert board.alert() == "begun"
        assert send(board, b"crash", 2, b"b") == 200
        assert board.alert().startswith("interrupted: ")
        assert send(board, b"crash", 2, b"c", b"2") == 200
        board.monitor.wait_for(name="message_ignored", fields=lambda fields: fields["reason"] == "repeated")
        assert send(board, b"count", 1, b"a") == 200
        assert board.ask("status").endswith(", commands that a restart interrupted: 1")
        assert board.ask("count") == "counted"
        assert (board.flash / "runs").read_text() == "count crash count "


def test_memory_that_runs_out_before_the_answer_costs_no_command(tmp_path: Path) -> None:
    program = """
import os

respond = mote.agent.respond
fails = 3


def respond_late(*arguments):
    global fails
    os.stat("/commands")  # before any answer
    fails -= 1
    if fails >= 0:
        raise MemoryError
    return respond(*arguments)


mote.agent.respond = respond_late
"""
    """And its mark is on flash before the answer"""
    with running(tmp_path, _PROGRAM % program, outbox=False) as board:
        assert board.alert() == "begun"
        assert send(board, b"count", 1, b"a") == 200 and board.alert() == "counted"
        assert send(board, b"count", 1, b"b", b"2") == 200
        board.monitor.wait_for(name="message_ignored", fields=lambda fields: fields["reason"] == "repeated")
        assert (board.flash / "runs").read_text() == "count "
        assert (board.flash / "commands").stat().st_size == 2 * 21


def test_a_flash_that_takes_no_mark_lets_nothing_act(tmp_path: Path) -> None:
    """R0-P13: its sender gets 500; what only asks is answered"""
    with running(tmp_path, _PROGRAM % "import os\nos.mkdir('/commands')", outbox=False) as board:
        assert board.alert() == "begun"
        assert [send(board, text, len(text), text[:1]) for text in (b"count", b"sleep 1")] == [500, 500]
        board.monitor.wait_for(name="mark_failed", level="error")
        assert board.ask("status").startswith("up ")
        assert not (board.flash / "runs").exists()


_MARKS = """
import json, os, sys

path = sys.argv[1] + "/commands"
found = []


def octets(data=None):
    with open(path, "rb" if data is None else "wb") as file:
        return file.read() if data is None else file.write(data)


def restart():
    if sys.modules.pop("mote.limits", None):
        del sys.modules["mote"].limits
    from mote import limits

    limits.PATH = path
    return limits


def mark(call, tag=b"tag1", cseq=1):
    return bytes((call,)) * 8 + tag + bytes((0, 0, 0, cseq))


limits = restart()
"""


def _run(program: str, folder: Path) -> Any:
    return json.loads(run_program(_MARKS + program + "\nprint(json.dumps(found))", str(folder), "256k").stdout)


def test_a_file_of_marks_torn_at_any_octet_or_garbled_keeps_what_is_whole(tmp_path: Path) -> None:
    """And takes the next one"""
    program = """
for call in range(4):
    limits.write(mark(call), call % 2)
whole = octets()
for cut in range(len(whole) + 1):
    octets(whole[:cut])
    limits = restart()
    known = [limits.seen(mark(call), False) for call in range(4)]
    wanted = [(b"" if call % 2 else mark(call)) if 21 * call + 21 <= cut else None for call in range(4)]
    limits.write(mark(9), True)
    if known != wanted or restart().seen(mark(9), False) != b"":
        found.append(cut)
for at in range(len(whole)):
    octets(whole[:at] + bytes((whole[at] ^ 64,)) + whole[at + 1 :])
    known = [restart().seen(mark(call), False) is None for call in range(4)]
    if known != [call == at // 21 for call in range(4)]:
        found.append([at, known])
"""
    assert _run(program, tmp_path) == []


def test_the_last_marks_are_known_and_the_file_stays_small(tmp_path: Path) -> None:
    program = """
most = 0
for call in range(200):
    if call % 30 == 0:
        limits = restart()
    limits.write(mark(call), False)
    limits.write(mark(call), True)
    most = max(most, len(octets()))
    if [seen for seen in range(max(0, call - 15), call + 1) if limits.seen(mark(seen), False) != b""]:
        found.append(call)
found.append([most, limits.seen(mark(1), False), os.listdir(sys.argv[1])])
"""
    assert _run(program, tmp_path) == [[48 * 21, None, ["commands"]]]


def test_a_repetition_is_known_by_its_tag_and_its_cseq_and_after_a_restart_by_the_next_one(tmp_path: Path) -> None:
    """There a board asks for the password anew: the same message comes with the CSeq after its own"""
    program = """
limits.write(mark(1, cseq=2), False)
limits.write(mark(1, cseq=2), True)


def look():
    cases = ((b"tag1", 2), (b"tag2", 7), (b"tag1", 3), (b"tag1", 4))
    found.append([limits.seen(mark(1, *case), asked) is None for case in cases for asked in (False, True)])


look()
limits = restart()
look()
"""
    once, after = _run(program, tmp_path)
    assert once == [False] * 4 + [True] * 4
    assert after == [False] * 4 + [True, False, True, True]


def test_what_senders_have_asked_for_takes_a_bounded_memory_and_keeps_no_recipient_waiting() -> None:
    """R0-P11: made-up addresses share what one may ask for; those of before are forgotten when they have paid"""
    program = """
import json
from mote import limits

class mote:
    at = 5
    def uptime_ms():
        return mote.at

taken = [limits.has_credit(mote, b"desk %d" % n, 1000, 9000) for n in range(200)]
found = [taken.count(True), len(limits._paid), limits.has_credit(mote, b">sip:desk@x", 1000, 0)]
mote.at += 20000
found += [limits.has_credit(mote, b"desk 300", 1000, 9000), len(limits._paid)]
print(json.dumps(found))
"""
    assert json.loads(run_program(program, "", "256k").stdout) == [26, 17, True, True, 1]
