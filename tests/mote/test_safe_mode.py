"""Safe mode: where a watchdog is set, a program that never gets far is left alone after five quick restarts."""

import json
import time
from pathlib import Path

from tests.mote.running import HURRY, deploy, running
from tests.tools import Tool

_CRASHES = """
import machine
import os
from mote import Mote

mote = Mote()
print("the program runs", machine.reset_cause())


@mote.every(60)
def crash():
    if "calm" not in os.listdir("/"):
        machine.reset()
    print("it lives")
    mote.alert("it lives")


@mote.command("limit")
def limit(message):
    return "80"


mote.run()
"""
_LIVES = HURRY % 1 + _CRASHES


def _starts(lines: list[dict[str, object]]) -> int:
    return len([line for line in lines if str(line.get("text", "")).startswith("the program runs")])


def test_program_is_left_alone_after_five_quick_restarts_until_somebody_says_restart(tmp_path: Path) -> None:
    """R0-P13: a message and a record, and the remedy in the message."""
    with running(tmp_path, _CRASHES, watchdog=3600) as board:
        text = board.alert()
        assert text == "safe mode: 5 quick restarts, the last by reset or power; send restart, or deploy"
        record = board.monitor.wait_for(event="log", name="safe_mode")
        assert (record["level"], record["fields"]) == ("warning", {"restarts": 5, "cause": "reset or power"})
        assert _starts(board.monitor.lines) == 6  # the first one, which deploy has started, isn't a restart
        assert board.ask("help") == "commands: ack, help, interval, restart, sleep, status"
        (board.flash / "calm").touch()
        assert board.ask("restart") == "restarting"
        board.printed("it lives")
        assert _starts(board.monitor.lines) == 7
        assert json.loads((board.flash / "restarts").read_text())[0] == 1
        assert board.alert() == "it lives"
        assert board.ask("limit") == "80"


def test_start_that_lasts_makes_those_before_it_count_no_more(tmp_path: Path) -> None:
    with running(tmp_path, _LIVES, watchdog=3600) as board:
        board.printed("the program runs 2")
        (board.flash / "calm").touch()
        board.printed("it lives")
        deadline = time.monotonic() + 20
        while (board.flash / "restarts").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_another_program_begins_at_nought(tmp_path: Path) -> None:
    with running(tmp_path, _CRASHES, watchdog=3600) as board:
        board.alert()
        board.monitor.stop()
        other = tmp_path / "other.py"
        other.write_text(_CRASHES.replace("import os", "import os  # as ever"))
        deploy(board.port, other, "--no-start")
        with Tool("monitor", "--port", board.port, "--reset") as monitor:
            monitor.wait_for(event="log", name="safe_mode")
            assert _starts(monitor.lines) == 6


_SPOILS = """
import machine
if machine.reset_cause() == machine.SOFT_RESET:
    with open("/restarts", "w") as file:
        file.write('[5, "')
    machine.reset()
"""


def test_count_that_power_was_cut_from_is_none(tmp_path: Path) -> None:
    with running(tmp_path, _SPOILS + _CRASHES, watchdog=3600) as board:
        (board.flash / "calm").touch()
        board.printed("the program runs 2")
        board.printed("it lives")
        assert (board.flash / "restarts").read_text().startswith("[1, ")


def test_board_without_a_watchdog_counts_nothing(tmp_path: Path) -> None:
    with running(tmp_path, _CRASHES) as board:
        for _ in range(7):
            board.printed("the program runs 2")
            board.monitor.lines.clear()
        assert not (board.flash / "restarts").exists()
