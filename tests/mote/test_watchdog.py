"""The watchdog: the event loop feeds it, a loop that is held up doesn't, and who stops the program has time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.dns_server import closed_port
from tests.mote.running import HURRY, running
from tests.vm import run_program

_TIMEOUT_S = 2
_PROGRAM = (
    HURRY % 1
    + """
import machine
import time
from mote import Mote

print("reset cause", machine.reset_cause())
mote = Mote()


@mote.every(3)
async def stuck():
    if mote.uptime() > 2 and machine.reset_cause() != machine.WDT_RESET:
        print("stuck")
        while True:
            time.sleep(0.1)


@mote.every(1)
def lives():
    print("up", mote.uptime())


mote.run()
"""
)
_ALIVE = (
    HURRY % 1
    + """
from mote import Mote

mote = Mote()


@mote.every(1)
def lives():
    print("up", mote.uptime())
    if mote.uptime() == 1:
        mote.alert("nobody hears it")


mote.run()
"""
)


def test_loop_that_is_held_up_starts_the_board_anew_and_one_that_goes_round_does_not(tmp_path: Path) -> None:
    with running(tmp_path, _PROGRAM, watchdog=_TIMEOUT_S) as board:
        record = board.monitor.wait_for(event="log", name="watchdog")
        assert (record["level"], record["fields"]) == ("info", {"timeout_ms": 1000 * _TIMEOUT_S})
        board.printed("stuck")
        board.printed("reset cause 3", 5 * _TIMEOUT_S)
        after = len(board.monitor.lines)
        board.printed(f"up {3 * _TIMEOUT_S}")
        assert not [line for line in board.monitor.lines[after:] if line.get("text", "").startswith("reset cause")]


def test_network_where_nobody_answers_is_no_reason_to_start_anew(tmp_path: Path) -> None:
    """R0-P13: and nothing is said of a board that does well."""
    with running(tmp_path, _ALIVE, f"sip:desk@127.0.0.1:{closed_port()}", watchdog=_TIMEOUT_S) as board:
        board.printed(f"up {3 * _TIMEOUT_S + 1}")
        boots = [line for line in board.monitor.lines if line.get("name") == "boot"]
        assert len(boots) == 1


def test_stopped_program_leaves_time_at_the_prompt(tmp_path: Path) -> None:
    """A deploy isn't cut by it."""
    with running(tmp_path, _ALIVE, watchdog=_TIMEOUT_S) as board:
        board.monitor.wait_for(event="log", name="watchdog")
        board.monitor.stop()
        code = f"import time; time.sleep({2 * _TIMEOUT_S}); print('still here')"
        done = subprocess.run(
            [sys.executable, "-m", "mpremote", "connect", board.port, "resume", "exec", code],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.stdout.strip() == "still here", done.stdout + done.stderr


_LIMITED = """
import json, sys

class machine:
    class WDT:
        def __init__(self, timeout):
            if not LEAST <= timeout <= MOST:
                raise ValueError
if LEAST is None:
    del machine.WDT
sys.modules["machine"] = machine
from mote.watchdog import start
print(json.dumps(start(int(sys.argv[1]))[1]))
"""


@pytest.mark.parametrize(
    ("least", "most", "asked", "got"),
    [
        (1, 10**9, 60000, 60000),  # esp32
        (1, 8388, 60000, 8388),  # rp2040
        (1, 8388, 6000, 6000),
        (1, 16777, 60000, 16777),  # rp2350
        (5000, 5000, 60000, 5000),  # esp8266
        (5000, 5000, 6000, 5000),
        (None, None, 6000, 0),  # a port without one
    ],
)
def test_port_that_can_not_wait_so_long_waits_as_long_as_it_can(
    least: int | None, most: int | None, asked: int, got: int
) -> None:
    program = f"LEAST, MOST = {least}, {most}" + _LIMITED
    assert json.loads(run_program(program, str(asked), "256k").stdout) == got
