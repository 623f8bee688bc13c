"""What a beginner's slip looks like on a board: an error in his own line, or a record; never silence."""

from pathlib import Path

import pytest

from tests.mote.running import running

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


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("@mote.every", ""),
        ("@mote.command", ""),
        ("@mote.command('pump on')", "UsageError: command: 'pump on' is not one word"),
        ("@mote.command('')", "UsageError: command: '' is not one word"),
        ("mote.sleep(0)\n", "UsageError: sleep: 0 is no number of seconds from 0.001 to 2147483"),
        ("mote.sleep('10m')\n", "TypeError"),
    ],
)
def test_slip_stops_the_program_in_its_own_line(tmp_path: Path, line: str, told: str) -> None:
    with running(tmp_path, _SLIP % line) as board:
        board.printed('  File "main.py", line 7, in <module>')
        board.monitor.wait_for(event="console", text=lambda text: text.startswith(told))


def test_alert_that_expired_while_the_board_was_held_up_is_expired(tmp_path: Path) -> None:
    with running(tmp_path, _HELD_UP) as board:
        board.desk.answer(503)
        record = board.monitor.wait_for(event="log", name="ended")
        assert record["fields"] == {"outcome": "expired"}
