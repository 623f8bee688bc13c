"""What a beginner's slip looks like on a board: an error in his own line, or a record; never silence."""

import json
from pathlib import Path

import pytest

from tests.host_tools.virtual import virtual_board
from tests.sip_peer import Peer as Desk
from tests.tools import Tool

_HELD_UP = """
import asyncio
import time
from mote import Mote

mote = Mote()


@mote.every(3600)
async def boiler():
    alert = mote.alert("hot", expires=3)
    await asyncio.sleep(1)
    time.sleep(4)  # a sensor that waits without await
    mote.log(1, "ended", outcome=await alert)


mote.run()
"""
_SLIP = """
from mote import Mote

mote = Mote()


%s
def boiler(*_):
    mote.alert("hot")


mote.run()
"""


def _deployed(tmp_path: Path, program: str, port: str, desk_port: int = 9) -> None:
    (tmp_path / "main.py").write_text(program)
    settings = {"aor": "sip:boiler@127.0.0.1", "to": f"sip:desk@127.0.0.1:{desk_port}", "bind": "127.0.0.1:0"}
    (tmp_path / "mote.json").write_text(json.dumps(settings))
    with Tool(
        "deploy", str(tmp_path / "main.py"), "--port", port, "--config", str(tmp_path / "mote.json"), "--no-start"
    ) as deploy:
        assert deploy.wait(120) == 0, deploy.transcript()


@pytest.mark.parametrize("line", ["@mote.every", "@mote.command"])
def test_decorator_without_what_it_needs_stops_the_program_in_its_own_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "flash").mkdir()
    with virtual_board(tmp_path / "flash", "128k") as port:
        _deployed(tmp_path, _SLIP % line, port)
        with Tool("monitor", "--port", port, "--reset") as monitor:
            said = monitor.wait_for(event="console", text='  File "main.py", line 7, in <module>')
            assert said


def test_alert_that_expired_while_the_board_was_held_up_is_expired(tmp_path: Path) -> None:
    (tmp_path / "flash").mkdir()
    with Desk(b"sip:desk@127.0.0.1") as desk, virtual_board(tmp_path / "flash", "128k") as port:
        _deployed(tmp_path, _HELD_UP, port, desk.port)
        with Tool("monitor", "--port", port, "--reset") as monitor:
            desk.answer(503)
            record = monitor.wait_for(event="log", name="ended")
            assert record["fields"] == {"outcome": "expired"}
