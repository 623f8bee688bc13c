"""Deep sleep: it comes when no alert needs the board awake, and leaves time for a deploy after a cold start."""

import time
from pathlib import Path

from tests.mote.running import deploy, running

_PROGRAM = """
import machine
from mote import Mote

mote = Mote()
print("reset cause", machine.reset_cause())


@mote.every(600)
async def report():
    mote.alert("still here")
    await mote.sleep(%s)
    print("it didn't sleep")


mote.run()
"""

_LATER = """
from mote import Mote

_uptime = Mote.uptime
Mote.uptime = lambda mote: _uptime(mote) + 10  # the time for a deploy is over
"""


def test_board_sleeps_once_its_alert_has_an_outcome_and_wakes_as_from_a_reset(tmp_path: Path) -> None:
    """R0-P13: the record says how long nobody can reach it."""
    with running(tmp_path, _PROGRAM % 1) as board:
        board.printed("reset cause 5")
        began = time.monotonic()
        assert board.alert() == "still here"
        record = board.monitor.wait_for(event="log", name="sleep")
        assert (record["level"], record["fields"]) == ("info", {"ms": 1000})
        assert time.monotonic() - began > 8  # a deploy could have come in the meantime
        board.printed("reset cause 4")
        woken = time.monotonic()
        assert board.alert() == "still here"
        board.monitor.lines.clear()
        board.monitor.wait_for(event="log", name="sleep")
        assert time.monotonic() - woken < 5  # not again
        assert "it didn't sleep" not in board.monitor.transcript()


def test_board_stays_awake_for_an_alert_that_nobody_has_taken(tmp_path: Path) -> None:
    """In RAM it would be lost."""
    with running(tmp_path, _LATER + _PROGRAM % 1) as board:
        first = board.desk.receive()[0]
        for _ in range(2):  # 0.5, 1.5 s; with an outcome it would sleep after 0.2 s
            assert board.desk.receive()[0].data == first.data
        board.monitor.wait_for(event="log", name="boot")
        assert not [line for line in board.monitor.lines if line.get("name") == "sleep"]
        board.desk.answer(200)
        board.monitor.wait_for(event="log", name="sleep")


def test_deploy_gets_in_after_a_cold_start_of_a_board_that_sleeps_for_long(tmp_path: Path) -> None:
    with running(tmp_path, _PROGRAM % 3600) as board:
        board.alert()
        board.monitor.wait_for(event="log", name="boot")
        other = tmp_path / "other.py"
        other.write_text("print('another')")
        board.monitor.stop()
        deploy(board.port, other)
        assert (board.flash / "main.py").read_text() == "print('another')"


_COMMANDED = """
import machine
from mote import Mote

mote = Mote()
print("reset cause", machine.reset_cause())


@mote.every(600)
def report():
    mote.alert("still here")


mote.run()
"""


def test_who_may_command_sends_the_board_to_sleep_once_and_for_a_time_that_can_be_read(tmp_path: Path) -> None:
    """R0-P4, R0-P13: the answer comes first; the same request after the sleep doesn't put it to sleep again"""
    with running(tmp_path, _LATER + _COMMANDED) as board:
        assert board.alert() == "still here"
        assert board.ask("sleep") == "for how long? Nothing else wakes the board; for example: sleep 10m"
        assert board.ask("Sleep soon").startswith("soon is no time; for example: sleep 10m")
        assert board.ask("sleep 5 w").startswith("1 s to 7 d; for example: ")
        assert board.ask("SLEEP 1 S").startswith("sleeping for 1 s once ")
        board.printed("reset cause 4")
        assert board.alert() == "still here"
        board.desk._count -= 1  # the same octets
        board.desk.send(board.desk.from_port, b"text/plain", b"SLEEP 1 S", to=b"sip:boiler@127.0.0.1")
        assert board.desk.receive()[0].status == 200
        board.monitor.wait_for(event="log", name="message_ignored")
        assert board.ask("status").startswith("up ")
        assert len([line for line in board.monitor.lines if line.get("name") == "sleep"]) == 1
