"""A board without a network: its messages go over its serial line, and `sipmote bridge` passes them on."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.host_tools.virtual import fill, virtual_board
from tests.sip_peer import Peer
from tests.soak_bridge import soak
from tests.tools import Tool
from tests.vm import terminal
from tests.wire import Wire

_PROGRAM = """
from mote import Mote
mote = Mote()

@mote.command("hot")
def hot(message):
    mote.alert(" ".join(message.words[1:]))
    return "sent"

@mote.every(86400)
async def begin():
    await mote.alert("it began")

mote.run()
"""


@contextlib.contextmanager
def serial_board(folder: Path, program: str = _PROGRAM, **settings: Any) -> Iterator[str]:
    """Start a program on a virtual board that has no network but its serial line; gives its port."""
    with virtual_board(folder / "flash", "128k", "--no-network") as port:
        with terminal(port) as person:
            person.write(b"\r")
            person.read_until(b">>> ")
            known = {"aor": "sip:boiler@board.invalid", "transport": "serial"}
            fill(folder / "flash", program, {**known, **settings})
            person.write(b"\x04")
            person.read_until(b"soft reboot")
        yield port


def bridge(folder: Path, port: str, *arguments: str) -> Tool:
    """Return a bridge for the board at a port."""
    return Tool("bridge", "--port", port, "--bind", "udp:127.0.0.1:0", "--db", str(folder / "bridge.db"), *arguments)


@pytest.mark.timeout(100)
def test_an_alert_gets_out_and_a_command_in(tmp_path: Path) -> None:
    with Peer(b"sip:desk@127.0.0.1") as desk:
        to = f"sip:desk@127.0.0.1:{desk.port}"
        with serial_board(tmp_path, to=to) as port, bridge(tmp_path, port) as tool:
            alert = desk.answer(200)
            assert alert.body == b"it began"
            assert b"<sip:boiler@board.invalid>" in (alert.get(b"from") or b"")
            said = tool.wait_for(event="message", body="it began")
            assert said["call_id"].encode() == alert.get(b"call-id")
            tool.wait_for(event="relayed", outcome="delivered")
            response = desk.ask(desk.from_port, b"text/plain", b"hot 81 C", to=b"sip:boiler@board.invalid")
            assert response.status == 202
            assert sorted([desk.answer(200).body, desk.answer(200).body]) == [b"81 C", b"sent"]


@pytest.mark.timeout(100)
def test_a_line_of_115200_baud_carries_it_and_the_board_never_holds_more_than_259_octets(tmp_path: Path) -> None:
    with Peer(b"sip:desk@127.0.0.1") as desk:
        to = f"sip:desk@127.0.0.1:{desk.port}"
        with (
            serial_board(tmp_path, to=to) as port,
            Wire(port, octets_s=11520) as wire,
            bridge(tmp_path, wire.port) as tool,
        ):
            assert desk.answer(200).body == b"it began"
            long = b"hot " + b"x" * 600
            assert desk.ask(desk.from_port, b"text/plain", long, to=b"sip:boiler@board.invalid").status == 202
            assert sorted([desk.answer(200).body, desk.answer(200).body]) == [b"sent", long[4:]]
            assert 0 < wire.most_unread <= 259
            assert not [line for line in tool.lines if line["event"] in ("damaged", "warning")]


@pytest.mark.timeout(100)
def test_noise_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    """One octet of 1,000 is another: half of the datagrams are hit, and some of the pieces and acknowledgements"""
    with Peer(b"sip:desk@127.0.0.1") as desk:
        to = f"sip:desk@127.0.0.1:{desk.port}"
        with serial_board(tmp_path, to=to) as port, Wire(port) as wire, bridge(tmp_path, wire.port) as tool:
            assert desk.answer(200).body == b"it began"
            wire.noise = 0.001
            texts = [b"%d C" % n for n in range(81, 86)]
            for text in texts:
                assert desk.ask(desk.from_port, b"text/plain", b"hot " + text, to=b"sip:boiler@board.invalid").status
            came = [desk.answer(200).body for _ in range(2 * len(texts))]
            assert sorted(came) == sorted(texts + [b"sent"] * len(texts))
            assert desk.silent()
            tool.wait_for(event="damaged")


@pytest.mark.timeout(100)
def test_a_command_waits_for_its_board_also_over_a_kill_of_the_bridge(tmp_path: Path) -> None:
    with Peer(b"sip:desk@127.0.0.1") as desk:
        to = f"sip:desk@127.0.0.1:{desk.port}"
        with serial_board(tmp_path, to=to) as port, bridge(tmp_path, port) as tool:
            assert desk.answer(200).body == b"it began"
            tool.wait_for(event="relayed")
            os.kill(tool.pid, signal.SIGKILL)
            tool.wait()
            with bridge(tmp_path, port) as again:
                bound = again.wait_for(event="ready")["bind"][0]
                at = int(bound.rpartition(":")[2])
                assert desk.ask(at, b"text/plain", b"hot 81 C", to=b"sip:boiler@board.invalid").status == 202
                assert sorted([desk.answer(200).body, desk.answer(200).body]) == [b"81 C", b"sent"]


@pytest.mark.timeout(100)
def test_nobody_but_boards_can_write_to_others(tmp_path: Path) -> None:
    """And what a board sends to nobody in particular goes to --to"""
    with (
        Peer(b"sip:desk@127.0.0.1") as desk, serial_board(tmp_path, to="sip:desk@serial.invalid") as port,
        bridge(tmp_path, port, "--to", f"sip:desk@127.0.0.1:{desk.port}") as tool,
    ):
        assert desk.answer(200).body == b"it began"
        assert desk.ask(desk.from_port, b"text/plain", b"hello", to=b"sip:bob@192.0.2.9").status == 480
        tool.wait_for(event="relayed")
        assert desk.silent()


@pytest.mark.timeout(200)
def test_what_a_board_has_accepted_arrives_once_over_kills_of_either_end() -> None:
    """A small `make soak`: with lost answers, challenges and 503"""
    figures = soak(5)
    assert figures.accepted and figures.is_good, figures
