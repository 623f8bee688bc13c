"""R0-P11, R0-P13: what comes to a board as a command, whoever sends it, and what he is told."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.host_tools.virtual import started
from tests.sip_peer import Peer
from tests.tools import Tool

BOARD = b"sip:boiler@127.0.0.1"
DESK = b"sip:desk@127.0.0.1"
TEXT = b"text/plain"
PROGRAM = """
import asyncio
from mote import Mote

mote = Mote()
runs = 0


@mote.every(3600)
async def begin():
    mote.alert("begun")
    while not runs:
        await asyncio.sleep_ms(5)
    if mote.settings.get("log") == "debug":
        mote.alert("fire")


@mote.command("COUNT")
def count(message):
    global runs
    runs += 1
    return runs


@mote.command("none")
def none(message):
    pass


@mote.command("zero")
async def zero(message):
    await asyncio.sleep_ms(1)
    return 0


@mote.command("list")
def values(message):
    return [1, "two"]


@mote.command("long")
def long(message):
    return "x" * 1199 + " " + "y" * 1200


@mote.command("cancel")
async def cancel(message):
    raise asyncio.CancelledError


@mote.command("break")
def stop(message):
    return 1 // 0


mote.run()
"""


class Bench:
    """A virtual board that runs a program, the desk that it obeys, and what it logs."""

    def __init__(self, desk: Peer, monitor: Tool) -> None:
        self.desk = desk
        self.monitor = monitor
        assert desk.answer(200).body == b"begun"
        self.port = desk.from_port

    def status(self, body: bytes, content_type: bytes = TEXT, fields: bytes = b"") -> int:
        """Send a message; returns the status of its answer."""
        return self.desk.ask(self.port, content_type, body, fields, BOARD).status

    def ask(self, text: str) -> str:
        """Send a command and return what the board says to it, by its name."""
        response = self.desk.ask(self.port, TEXT, text.encode(), b"", BOARD)
        assert response.status == 200
        reply = self.desk.answer(200)
        assert reply.get(b"in-reply-to") == response.get(b"call-id")
        return reply.body.decode()

    def ignored(self, reason: str, sender: bytes = DESK) -> None:
        """Wait for the record of a message that was ignored for this reason."""
        fields = {"sender": sender.decode(), "address": "127.0.0.1", "reason": reason}
        self.monitor.wait_for(name="message_ignored", level="warning", fields=fields)


@contextmanager
def bench(folder: Path, program: str = PROGRAM, **settings: object) -> Iterator[Bench]:
    with Peer(DESK) as desk:
        config = {"aor": BOARD.decode(), "to": f"sip:desk@127.0.0.1:{desk.port}", "bind": "127.0.0.1:0", **settings}
        with started(folder / "flash", program, config, "192k") as (_, monitor):
            yield Bench(desk, monitor)


@pytest.mark.parametrize("bits", ["32", "64"])
def test_what_a_command_returns_is_told_and_what_it_raises_has_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bits: str
) -> None:
    """R0-P13"""
    monkeypatch.setenv("VIRTUAL", bits)
    with bench(tmp_path) as board:
        assert (board.ask("Count"), board.ask("zero"), board.ask("LIST")) == ("1", "0", "[1, 'two']")
        assert board.status(b"none") == 200
        assert board.ask("count") == "2"
        assert board.ask("cancel") == "failed: CancelledError()"
        record = board.monitor.wait_for(name="command_failed")
        lines = PROGRAM.splitlines()
        line = lines.index("    raise asyncio.CancelledError") + 1
        assert record["fields"] == {"word": "cancel", "error": "CancelledError()", "at": f"main.py:{line} cancel"}
        assert board.ask("break").startswith("failed: ZeroDivisionError(")
        line = lines.index("    return 1 // 0") + 1
        board.monitor.wait_for(name="command_failed", fields=lambda fields: fields["at"] == f"main.py:{line} stop")


def test_words_of_its_own_and_words_that_nobody_has_defined(tmp_path: Path) -> None:
    words = "commands: ack, break, cancel, count, help, interval, list, long, none, sleep, status, zero"
    (tmp_path / "flash").mkdir()
    (tmp_path / "flash" / "clock").write_text(str(int(time.time())))  # when a deploy has set it
    with bench(tmp_path) as board:
        assert board.ask("help") == words
        up, clock, free, waiting = board.ask("Status now").split(", ")
        assert up[:3] == "up " and clock == "clock: host" and free.endswith(" octets free")
        assert waiting == "0 alerts waiting"
        assert [board.ask(word) for word in ("hlep", "two words", "")] == [words] * 3
        board.monitor.wait_for(name="command", fields=lambda fields: fields["word"] == "")
        known = [line["fields"]["known"] for line in board.monitor.lines if line.get("name") == "command"]
        assert known == [True, True, False, False, False]
        # automata don't talk to each other for ever
        assert board.status(words.encode()) == board.status(b"away", fields=b"Auto-Submitted: auto-replied\r\n") == 200
        assert board.status(b"hlep") == 200  # the fourth
        assert board.ask("count") == "1"  # nothing came before it


def test_a_body_that_can_not_be_read_is_no_command(tmp_path: Path) -> None:
    """R0-P13: its sender is told by the status, never 200"""
    with bench(tmp_path) as board:
        assert board.status(b"\xe9tat") == 400
        assert board.status(b"\xe9tat", b'text/plain; charset = "ISO-8859-1"') == 415
        assert board.status("count".encode("utf-16-be"), b"text/plain;charset=utf-16") == 415
        board.ignored("no text in UTF-8")
        assert board.status(b"<count/>", b"text/xml") == 415
        assert board.status(b"<count/>", b"text/xml", b"Content-Disposition: render;handling=optional\r\n") == 200
        assert board.status(b"count", b"text/plain;charset=ISO-8859-15") == 200
        assert board.desk.answer(200).body == b"1"


@pytest.mark.parametrize("policy", ["split", "compact", "truncate"])
def test_a_long_reply_goes_by_the_budget(tmp_path: Path, policy: str) -> None:
    """R3428-8.2, R0-P13"""
    with bench(tmp_path, budget=policy) as board:
        assert board.status(b"long") == 200
        first = board.desk.answer(200)
        assert len(first.data) <= 1300
        if policy == "split":
            bodies = [first.body, *(board.desk.answer(200).body for _ in range(int(first.body[3:4]) - 1))]
            assert [body[:6] for body in bodies] == [b"(%d/%d) " % (i + 1, len(bodies)) for i in range(len(bodies))]
            assert b"".join(body[6:] for body in bodies) == b"x" * 1199 + b" " + b"y" * 1200
        elif policy == "truncate":
            assert first.body.endswith("x…".encode()) and len(first.data) > 1280
        else:
            assert first.body.startswith(b"failed: the text of 2400 octets is ")
            board.monitor.wait_for(name="reply_failed", level="error")


def test_a_repetition_runs_nothing_also_when_its_transaction_is_forgotten(tmp_path: Path) -> None:
    """R0-P2, R3261-17.2-1: the same octets, the same again in a new transaction, and a new one that says the same"""
    with bench(tmp_path) as board:
        assert board.ask("count") == "1"
        call_id = b"%d-%d" % (board.desk.port, 1)
        again = b"MESSAGE %s SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%d;branch=z9hG4bK%s;rport\r\nMax-Forwards: 70\r\n"
        again += b"From: <%s>;tag=%s\r\nTo: <%s>\r\nCall-ID: " + call_id + b"\r\nCSeq: %d MESSAGE\r\n"
        again += b"Content-Type: text/plain\r\nContent-Length: 5\r\n\r\ncount"
        for branch, tag, cseq in ((b"1", b"1", 1), (b"new", b"1", 1), (b"n2", b"2", 7), (b"n3", b"1", 2)):
            for _ in range(16):  # the board forgets the transaction before
                assert board.status(b"x", b"text/xml") == 415
            board.desk.put(again % (BOARD, board.desk.port, branch, DESK, tag, BOARD, cseq), board.port)
            assert board.desk.receive()[0].status == 200
            if branch == b"n3":
                assert board.desk.answer(200).body == b"2"
        board.ignored("repeated")
        assert board.ask("count") == "3"


def test_a_flood_of_commands_costs_neither_alerts_nor_the_board(tmp_path: Path) -> None:
    """R0-P11: whoever claims to be the desk and takes no answer; the alert is raised in the middle of it"""
    with bench(tmp_path, log="debug") as board, Peer(DESK + b":%d" % board.desk.port) as forger:
        for _ in range(200):
            forger.send(board.port, TEXT, b"count", to=BOARD)
        assert board.desk.answer(200).body == b"fire"
        board.ignored("too many commands", DESK + b":%d" % board.desk.port)
        met: Counter[int] = Counter()
        while met[480] < 100:  # the system may have lost some of all
            met[forger.receive()[0].status] += 1
        assert met[200] <= 8 and set(met) <= {0, 200, 480}
        for _ in range(200):  # replies that are answered make room
            request, address = forger.receive()
            if request.method:
                forger.reply(request, address, 200)
                if board.status(b"zero") == 200:
                    break
        assert board.desk.answer(200).body == b"0"
        assert "MemoryError" not in board.monitor.transcript()


def test_who_writes_anothers_name_uses_up_nothing_of_his(tmp_path: Path) -> None:
    """R0-P11: and the log says from where that came"""
    with bench(tmp_path) as board, Peer(DESK, "127.0.0.2") as forger:
        for _ in range(14):
            forger.send(board.port, TEXT, b"none", to=BOARD)
        record = board.monitor.wait_for(name="message_ignored", level="warning")["fields"]
        assert record == {"sender": DESK.decode(), "address": "127.0.0.2", "reason": "too many commands"}
        assert board.ask("count") == "1"


def test_a_flood_of_strangers_costs_alerts_nothing(tmp_path: Path) -> None:
    """R0-P11"""
    with bench(tmp_path, log="debug") as board, Peer(b"sip:eve@127.0.0.1") as stranger:
        for i in range(200):
            stranger.send(board.port, TEXT, b"count", to=BOARD)
            if i == 100:
                board.desk.send(board.port, TEXT, b"count", to=BOARD)
        assert board.desk.receive()[0].status == 200
        assert {board.desk.answer(200).body for _ in range(2)} == {b"1", b"fire"}
        board.ignored("not allowed", b"sip:eve@127.0.0.1")
