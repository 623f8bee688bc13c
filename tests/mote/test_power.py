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
    with running(tmp_path, _PROGRAM % 1) as board:
        board.printed("reset cause 5")
        first = board.desk.receive()[0]
        for _ in range(5):  # 0.5, 1.5, 3.5, 7.5, 11.5 s
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
