"""R3428-11.7, R3428-11.11, R0-P12: signed commands that come again, and a flood of strangers'."""

import socket
from pathlib import Path

from tests.host_tools.peers import message, read_messages
from tests.interop.peers import free_port, wait_until
from tests.mote.test_unprotect import BOARD, DESK, PROGRAM, Bench, bench, eve_key, inside, protect
from tests.sip_peer import Peer

# The board is gone when a command is marked, and before anybody is told; once
CUT = """
import machine
import os
from mote import commands

write = commands.write


def write_and_end(mark, has_ended):
    write(mark, has_ended)
    if "cut" not in os.listdir("/"):
        open("/cut", "w").close()
        machine.reset()


commands.write = write_and_end
"""
COUNTED = PROGRAM.replace(
    "    runs += 1",
    """    runs += 1
    open("/runs", "a").write("x")
    if "restart" in message.words:
        import machine
        machine.reset()""",
)


def ask_again(board: Bench, command: tuple[bytes, bytes]) -> int:
    """Send a command from another address, under another name; returns the status."""
    with Peer(b"sip:eve@127.0.0.1", "127.0.0.2") as eve:
        return eve.ask(board.port, *command, to=BOARD).status


def ask_by_tcp(port: int, content_type: bytes, body: bytes) -> bytes:
    """Send a command in a stream; returns the line of its answer."""
    request = message("c", body, transport="TCP", content_type=content_type.decode(), uri=BOARD.decode())
    with socket.create_connection(("127.0.0.1", port), 20) as stream:
        stream.sendall(request)
        return read_messages(stream, 1)[0].partition(b"\r\n")[0]


def restart(board: Bench) -> None:
    """Wait until the board has started anew."""
    assert b"begun" in board.desk.answer(200).body
    board.port = board.desk.from_port


def test_what_was_taken_is_known_over_restarts_and_from_whoever_sends_it(tmp_path: Path) -> None:
    """R3428-11.7: whatever stands outside: its sender has another name and address, and comes by TCP"""
    place = {"transport": "tcp", "bind": f"127.0.0.1:{free_port()}"}  # of UDP, too
    with bench(tmp_path, "192k", program=COUNTED, outbox=False, require="signed", **place) as board:
        command = protect("sign", inside())
        assert board.runs(*command) == "1 by sip:desk@127.0.0.1"
        assert ask_again(board, command) == 200
        assert ask_by_tcp(board.port, *command) == b"SIP/2.0 200 OK"
        assert board.status(*protect("sign", inside(b"count restart", 1))) == 200
        restart(board)
        assert ask_again(board, command) == 200
        assert board.runs(*protect("sign", inside(ahead=2))) == "1 by sip:desk@127.0.0.1"
        assert (tmp_path / "flash/runs").read_text() == "xxx"


def test_a_command_that_was_marked_when_power_went_does_not_run_and_its_sender_is_told(tmp_path: Path) -> None:
    """R0-P4: it came again, since nobody had answered"""
    with bench(tmp_path, "192k", program=CUT + COUNTED, outbox=False, require="signed") as board:
        command = protect("sign", inside())
        board.desk.send(board.port, *command, to=BOARD)
        restart(board)
        assert board.runs(*command).startswith("interrupted: ")
        assert board.status(*command) == 200
        assert board.runs(*protect("sign", inside(ahead=1))) == "1 by sip:desk@127.0.0.1"
        assert (tmp_path / "flash/runs").read_text() == "x"


def test_a_board_without_a_clock_takes_what_is_newer_than_all_before(tmp_path: Path) -> None:
    """R3428-11.11: it says what it could not check, and takes nothing twice"""
    with bench(tmp_path, "192k", options=["--no-clock"], outbox=False, require="signed") as board:
        first, second = (protect("sign", inside(ahead=ahead)) for ahead in (-9000, 0))
        assert board.runs(*first) == "1 by sip:desk@127.0.0.1"
        board.monitor.wait_for(name="age_unchecked")
        assert board.runs(*second) == "2 by sip:desk@127.0.0.1"
        assert ask_again(board, second) == 200
        assert board.status(*protect("sign", inside(ahead=-60))) == 400
        board.ignored("Incorrect Date or Time: it is older than the newest one")
        assert board.runs(*protect("sign", inside(ahead=1))) == "3 by sip:desk@127.0.0.1"


def test_a_board_whose_clock_is_wrong_says_so_and_tells_who_is_stale_no_more_than_twice(tmp_path: Path) -> None:
    """R3428-11.7, R3428-11.8: by the phrase of RFC 3428; then silence"""
    wrong = "import machine\nmachine.RTC().datetime((2031, 1, 1, 0, 0, 0, 0, 0))\n"
    with bench(tmp_path, "192k", program=wrong + PROGRAM, outbox=False, require="signed") as board:
        for ahead in (0, 1):
            answer = board.desk.ask(board.port, *protect("sign", inside(ahead=ahead)), to=BOARD)
            assert answer.data.startswith(b"SIP/2.0 400 Incorrect Date or Time\r\n")
            board.ignored("Incorrect Date or Time: its DateTime is")
        board.desk.send(board.port, *protect("sign", inside(ahead=2)), to=BOARD)
        wait_until(lambda: sum(line.get("name") == "message_ignored" for line in board.monitor.lines) == 3)
        assert board.desk.silent()


def test_strangers_that_flood_a_board_keep_no_known_signer_waiting(tmp_path: Path) -> None:
    """R0-P12: what they have encrypted costs arithmetic each time; it sends alerts meanwhile"""
    program = PROGRAM.replace("    runs += 1", '    runs += 1\n    mote.alert("run %d" % runs)')
    with bench(tmp_path, "192k", program=program, outbox=False, require="signed") as board:
        assert board.runs(*protect("sign", inside())) == "run 1"
        assert board.desk.answer(200).body == b"1 by sip:desk@127.0.0.1"
        strange = [protect("sign+encrypt", inside(ahead=n), eve_key) for n in range(12)]
        with Peer(DESK, "127.0.0.2") as eve:
            for one in strange:
                eve.send(board.port, *one, to=BOARD)
            assert board.runs(*protect("sign", inside(ahead=1))) == "run 2"
            assert board.desk.answer(200).body == b"2 by sip:desk@127.0.0.1"
            assert {eve.receive()[0].status for _ in strange} == {480, 493}
