"""A board without a network: its messages go over its serial line, and `sipmote bridge` passes them on."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.host_tools.virtual import fill, virtual_board
from tests.sip_peer import Peer
from tests.tools import Tool
from tests.vm import terminal

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
