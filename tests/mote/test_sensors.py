"""R0-P13: sensors of every kind, whatever they return or raise, at any period."""

import json
from pathlib import Path

import pytest

from tests.mote.test_commands import bench
from tests.vm import run_program

PROGRAM = """
import asyncio
import gc
from mote import Mote

mote = Mote()
gc.threshold(8192)  # as MicroPython's documentation advises
runs = {}


class Port:
    def send(self, octets):
        raise OSError


def count(name):
    runs[name] = runs.get(name, 0) + 1


@mote.every(0.02)
def port():
    count("port")
    return Port()


@mote.every(0.02)
async def values():
    await asyncio.sleep(0)
    count("values")
    return [1, "two"]


mote.every(0.02)(lambda: values())


@mote.every(0.02)
def divide():
    count("divide")
    return 1 // 0


class Own(Exception):
    def __repr__(self):
        return self.text
    __str__ = __repr__


@mote.every(0.02)
def own():
    count("own")
    raise Own


@mote.every(0.02)
async def cancel():
    count("cancel")
    raise asyncio.CancelledError


@mote.every(3600)
async def report():
    alert = mote.alert("begun")
    while len(runs) < 5 or min(runs.values()) < 3:
        await asyncio.sleep_ms(10)
    mote.log(1, "ran", outcome=await alert, threshold=gc.threshold())


mote.run()
"""
_WEEKS = """
import asyncio, json, sys
from mote import Mote

class fake:
    _sensors = []

slept = []
async def sleep_ms(ms):
    if len(slept) == 40:
        raise SystemExit
    slept.append(ms)

runs = []
Mote.every(fake, float(sys.argv[1]))(lambda: runs.append(1))
asyncio.sleep_ms = sleep_ms
try:
    asyncio.run(Mote._repeat(fake, fake._sensors[0]))
except SystemExit:
    pass
print(json.dumps([slept, len(runs)]))
"""


@pytest.mark.parametrize("bits", ["32", "64"])
def test_sensors_go_on_whatever_they_return_or_raise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bits: str
) -> None:
    """R0-P13: the program's own gc.threshold() stays, too"""
    monkeypatch.setenv("VIRTUAL", bits)
    with bench(tmp_path, PROGRAM) as board:
        fields = board.monitor.wait_for(event="log", name="ran")["fields"]
        assert fields == {"outcome": "delivered", "threshold": 8192}
        lines = PROGRAM.splitlines()
        for line, function, error in (
            ("    return 1 // 0", "divide", "ZeroDivisionError('divide by zero',)"),
            ("    raise asyncio.CancelledError", "cancel", "CancelledError()"),
        ):
            fields = {"error": error, "at": f"main.py:{lines.index(line) + 1} {function}"}
            board.monitor.wait_for(event="log", name="sensor_failed", level="error", fields=fields)
        board.monitor.wait_for(event="log", name="sensor_failed", fields={"error": "Own"})
        failed = {line["fields"].get("at") for line in board.monitor.lines if line.get("name") == "sensor_failed"}
        assert len(failed) == 3


@pytest.mark.parametrize(("seconds", "runs"), [("0.25", 41), ("604800", 6), ("2419200", 2)])
def test_periods_may_be_weeks(seconds: str, runs: int) -> None:
    """ticks of a 32-bit board wrap after 12 days"""
    slept, ran = json.loads(run_program(_WEEKS, seconds, "128k").stdout)
    assert ran == runs and max(slept) <= 86400_000
    pieces = max(1, int(float(seconds)) // 86400)
    assert sum(slept[:pieces]) == float(seconds) * 1000
