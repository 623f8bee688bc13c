"""A program on a virtual board with a desk to write to, for tests of what happens between its starts."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.host_tools.virtual import started
from tests.sip_peer import Peer
from tests.tools import Tool

_HEAP = "256k" if os.environ.get("VIRTUAL") == "64" else "128k"
HURRY = """
import asyncio
_sleep = asyncio.sleep
asyncio.sleep = lambda seconds: _sleep(min(seconds, %s))  # the half minute, the minute
"""


@dataclass(frozen=True)
class Running:
    """A board that runs a program: its port, its flash, the desk that it writes to, its monitor."""

    port: str
    flash: Path
    desk: Peer
    monitor: Tool

    def printed(self, text: str, seconds: float = 30) -> None:
        """Wait until the board has printed this line."""
        self.monitor.wait_for(seconds, event="console", text=text)

    def alert(self) -> str:
        """Take the next message and return its text."""
        return self.desk.answer(200).body.decode()

    def ask(self, text: str) -> str:
        """Send a command and return the board's answer to it."""
        to = b"sip:boiler@127.0.0.1"
        assert self.desk.ask(self.desk.from_port, b"text/plain", text.encode(), to=to).status == 200
        return self.alert()


def deploy(port: str, program: Path, *arguments: str) -> None:
    """Deploy a program; it has to come out well."""
    with Tool("deploy", str(program), "--port", port, *arguments) as tool:
        assert tool.wait(120) == 0, tool.transcript()


@contextmanager
def running(folder: Path, program: str, to: str = "", **settings: Any) -> Iterator[Running]:
    """Start a program with these settings, which no deploy has checked. to: instead of the desk."""
    flash = folder / "flash"
    with Peer(b"sip:desk@127.0.0.1") as desk:
        known = {"aor": "sip:boiler@127.0.0.1", "to": to or f"sip:desk@127.0.0.1:{desk.port}", "bind": "127.0.0.1:0"}
        settings = {**known, "allow": ["sip:desk@127.0.0.1"], **settings}
        with started(flash, program, settings, _HEAP) as (port, monitor):
            yield Running(port, flash, desk, monitor)
