"""What mote does for a program when it begins to run."""

from pathlib import Path

from tests.mote.running import running

_PROGRAM = """
import sys
import micropython

class Board:
    const = micropython.const

    def alloc_emergency_exception_buf(octets):
        print("set aside", octets)

sys.modules["micropython"] = Board
from mote import Mote

mote = Mote()
print("made")
mote.run()
"""


def test_memory_is_set_aside_for_an_interrupt_handler_that_fails(tmp_path: Path) -> None:
    """A boot.py of the user's needn't do it."""
    with running(tmp_path, _PROGRAM) as board:
        board.printed("set aside 100")


_SHORT = """
from mote import Mote

mote = Mote()
agent = mote.agent
_reply = agent.reply
_log = mote.log
failing = []

def reply(*arguments):
    if len(failing) < 3:
        failing.append(None)
        raise MemoryError
    return _reply(*arguments)

def log(level, event, **fields):
    if event == "command" and len(failing) < 2:
        failing.append(None)
        raise MemoryError
    _log(level, event, **fields)

agent.reply = reply
mote.log = log

@mote.command("count")
def count(_):
    print("counted", len(failing))
    return "once"

@mote.every(3600)
def begin():
    mote.alert("begun")

mote.run()
"""


def test_a_command_that_memory_runs_out_for_is_told_run_once_and_answered(tmp_path: Path) -> None:
    """R0-P4, R0-P13: its record comes before it runs, and its answer as soon as there is room."""
    with running(tmp_path, _SHORT) as board:
        assert board.alert() == "begun"
        assert board.ask("count") == "once"
        board.printed("counted 2")
        board.monitor.wait_for(event="log", name="command", fields=lambda fields: fields["word"] == "count")
        assert board.monitor.transcript().count("counted") == 1
