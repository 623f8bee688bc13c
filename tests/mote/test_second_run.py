"""A program that runs mote once more: what the first run held has ended with it."""

from pathlib import Path

import pytest

from tests.host_tools.peers import until
from tests.mote.running import running

_PROGRAM = """
import asyncio
import machine
from mote import Mote

_uptime = Mote.uptime
Mote.uptime = lambda mote: _uptime(mote) + 10  # the time for a deploy is over
mote = Mote()
print("reset cause", machine.reset_cause())
is_first = True


@mote.every(1000000)
async def measure():
    alert = mote.alert("first" if is_first else "second")
    if is_first:
        await alert
    print("measured")


@mote.command("hold")
async def hold(message):
    await asyncio.sleep(1000)


@mote.command("halt")
def halt(message):
    raise KeyboardInterrupt


async def halt_soon():
    await asyncio.sleep(%s)
    raise KeyboardInterrupt


asyncio.create_task(halt_soon())
try:
    mote.run()
except KeyboardInterrupt:
    is_first = False
mote.run()
"""


def test_commands_of_the_first_run_count_no_more(tmp_path: Path) -> None:
    """R0-P4: neither for sleep, which waits for those that run, nor for how many may"""
    with running(tmp_path, _PROGRAM % 1000) as board:
        assert board.alert() == "first"
        to = b"sip:boiler@127.0.0.1"
        for _ in range(7):
            assert board.desk.ask(board.desk.from_port, b"text/plain", b"hold", to=to).status == 200
        board.desk.send(board.desk.from_port, b"text/plain", b"halt", to=to)
        assert board.desk.receive()[0].status == 200
        assert board.alert() == "second"
        assert board.ask("sleep 1 s").startswith("sleeping for 1 s")
        board.printed("reset cause 4")


@pytest.mark.parametrize("outbox", [True, False])
def test_alert_that_paused_is_sent_in_the_second_run_and_wakes_no_task_of_the_first(
    tmp_path: Path, outbox: bool
) -> None:
    """R0-P5: the sensor that awaited it runs once at a time"""
    with running(tmp_path, _PROGRAM % 1, outbox=outbox) as board:
        assert board.desk.answer(503).body == b"first"
        assert {board.alert(), board.alert()} == {"first", "second"}
        assert board.ask("status").endswith(" 0 alerts waiting")
        board.printed("measured")
        assert [line.get("text") for line in board.monitor.lines].count("measured") == 1


def test_an_interval_that_somebody_changes_finds_no_task_of_the_first(tmp_path: Path) -> None:
    """A sensor that waited then runs now, for its alert pauses: it isn't woken"""
    with running(tmp_path, _PROGRAM.replace("if is_first:", "if True:") % 1) as board:
        assert board.alert() == "first"
        board.printed("measured")
        assert board.desk.answer(503).body == b"second"
        assert board.ask("interval 1000") == "measure every 1000 s"
        assert [line.get("text") for line in board.monitor.lines].count("measured") == 1
        assert board.alert() == "second"
        assert board.ask("status").endswith(" 0 alerts waiting")
        until(lambda: [line.get("text") for line in board.monitor.lines].count("measured") == 2)
