"""R0-P20: who deploys sets the board's clock; how good a clock is and how old travels with each record."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from sipmote.board import files
from sipmote.board.compile import _OLDEST, Build, _compile, compile_packages
from tests.mote.running import deploy, running
from tests.tools import Tool
from tests.vm import run_program

_DAY_S = 86400

_PROGRAM = """
import os
import machine
from mote import Mote

def date():
    with open("/date") as file:
        machine.RTC().datetime(tuple([int(word) for word in file.read().split()]))
    os.remove("/date")

mote = Mote()

@mote.every(0.1)
def again():
    if "again" in os.listdir("/"):
        os.remove("/again")
        if "date" in os.listdir("/"):
            date()
        machine.reset()

mote.run()
"""


def test_deploy_sets_the_clock_and_its_age_goes_on_over_resets_until_it_is_lost(tmp_path: Path) -> None:
    with running(tmp_path, _PROGRAM) as board:
        board.monitor.stop()
        deploy(board.port, board.flash / "main.py", "--no-start")
        with Tool("monitor", "--port", board.port, "--reset") as monitor:

            def boots() -> list[dict[str, Any]]:
                return [line for line in monitor.lines if line.get("name") == "boot"]

            def next_boot() -> tuple[str, int | None]:
                seen = len(boots())
                (board.flash / "again").touch()
                monitor.wait_for(event="log", name="boot", seq=lambda _: len(boots()) > seen)
                return boots()[-1]["clock"], boots()[-1]["clock_age_s"]

            first = monitor.wait_for(event="log", name="boot")
            assert first["clock"] == "host" and 0 <= first["clock_age_s"] < 60
            set_at = int((board.flash / "clock").read_text())
            assert abs(set_at - time.time()) < 60
            ago_s = min(3600, set_at % _DAY_S)  # not before the day of the sources, which may be today
            (board.flash / "clock").write_text(str(set_at - ago_s))
            quality, age_s = next_boot()
            assert quality == "host" and age_s is not None and ago_s <= age_s < ago_s + 120
            put_back = str(set_at + _DAY_S)  # the clock has been, since
            for garbled in ("", "soon", put_back, "-1"):
                (board.flash / "clock").write_text(garbled)
                assert next_boot() == ("rtc", None), garbled
            (board.flash / "clock").write_text(str(set_at))
            (board.flash / "date").write_text("2024 6 1 5 12 0 0 0")  # before the build, whatever year that was
            assert next_boot() == ("none", None)


_CLOCK = """
import json, sys
import mote.clock
asked = json.loads(sys.argv[1])
class Time:
    def time():
        return asked["unix"] - (946684800 if asked["epoch"] == 2000 else 0)
    def gmtime(seconds=None):
        return (asked["epoch"] if seconds == 0 else 2026,)
mote.clock.time = Time
wall = mote.clock.clock()
print(json.dumps([wall.quality, wall.told]))
"""


@pytest.mark.parametrize(("bits", "epoch"), [(32, 2000), (64, 1970)])
def test_clock_of_before_the_build_is_none(bits: int, epoch: int) -> None:
    """From sources the day is that of the text; what is deployed has a later one."""
    (oldest,) = map(int, _OLDEST.findall((files.packages()["/lib/mote"] / "clock.py").read_text()))
    year_s = 365 * _DAY_S
    for unix, quality in ((oldest - 1, 0), (oldest, 2), (oldest + 19 * year_s, 2), (oldest + 21 * year_s, 0)):
        found = run_program(_CLOCK, json.dumps({"unix": unix, "epoch": epoch}), "128k", bits).stdout
        assert json.loads(found) == [quality, 0]


def test_deploy_puts_the_day_of_the_sources_into_the_clock_and_the_build_stays_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source of tomorrow, and one without a date, as archives may have them, make no board refuse the time."""
    for path, text in {
        "agent/__init__.py": "",
        "micropython/mote/clock.py": "_OLDEST = const(1704067200)  # 2024-01-01\nprint(_OLDEST)\n",
        "micropython/mote/log.py": "_BUILD = const(0)\nprint(_BUILD)\n",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("from agent.compat import const\n" + text)
    monkeypatch.setattr(files, "HOME", tmp_path)
    clock, expected, logs = tmp_path / "micropython/mote/clock.py", tmp_path / "expected.py", set()
    today = int(time.time()) // _DAY_S * _DAY_S
    in_2025 = 1_750_000_000 // _DAY_S * _DAY_S
    for changed, oldest in ((in_2025 + 50_000, in_2025), (today + 9 * _DAY_S, today), (315532800, 1704067200)):
        for path in tmp_path.rglob("*.py"):
            os.utime(path, (changed, changed))
        compiled = compile_packages()
        expected.write_text(clock.read_text().replace("const(1704067200)", f"const({oldest})"))
        assert compiled["/lib/mote/clock.mpy"] == _compile(expected, "mote.clock", Build())
        logs.add(compiled["/lib/mote/log.mpy"])
    assert len(logs) == 1
