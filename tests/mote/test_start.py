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
