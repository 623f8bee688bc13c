"""A board's clock, set by that of this machine."""

import time

from sipmote.board.compile import day_of
from sipmote.board.files import packages
from sipmote.link.repl import Board

_MARK = "/clock"  # says to mote.clock when that was

_SET = """
try:
 from machine import RTC
 RTC().datetime(%r)
 with open(%r,'w') as f:
  f.write('%d')
except Exception as e:
 print(e)
"""


def set_clock(board: Board) -> str | None:
    """Set the clock of a board that is stopped; returns why it isn't set, None when it is.

    Its own clock goes on over a reset; without power it begins anew, with a date that mote.clock doesn't take.
    """
    unix = time.time()
    if unix < day_of([path for folder in packages().values() for path in folder.rglob("*.py")]):
        return "this machine's clock is wrong"
    date = time.gmtime(unix)
    moment = (*date[:3], date.tm_wday, *date[3:6], int(unix % 1 * 1_000_000))
    said = board.run(_SET % (moment, _MARK, int(unix)))
    return said.strip() or None
