"""A virtual board whose network is its serial line, and the bridge for it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.host_tools.virtual import fill, virtual_board
from tests.tools import Tool
from tests.vm import terminal

PROGRAM = """
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
def serial_board(folder: Path, program: str = PROGRAM, **settings: Any) -> Iterator[str]:
    """Start a program on a virtual board that has no network but its serial line, or that falls back to it.

    Gives its port.
    """
    options = () if "fallback" in settings else ("--no-network",)
    with virtual_board(folder / "flash", "128k", *options) as port:
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
