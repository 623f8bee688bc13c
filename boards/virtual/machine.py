"""The virtual board's `machine` module: resets, their cause, the chip's number and the clock. It has no pins."""

import os
import sys
import time

import ffi
from umachine import *  # noqa: F403

PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3
DEEPSLEEP_RESET = 4
SOFT_RESET = 5
SOFT_RESET_RAW = 6  # our own, no board has it: a soft reset in the raw REPL, which is open again afterwards

_EXIT = 64  # the VM's exit code when it asks for a reset, plus the reset's number; host_tools/virtual starts it anew

_libc = ffi.open(None)
leave = _libc.func("v", "_exit", "i")
_alarm = _libc.func("I", "alarm", "I")
_cause = int(os.getenv("BOARD_RESET_CAUSE") or PWRON_RESET)
_id = os.getenv("BOARD_ID").encode()


def reset_cause():
    return _cause


def unique_id():
    return _id


def leave_for_reset(kind):
    leave(_EXIT + kind)


def reset():
    """Start again with a fresh VM, at once."""
    leave_for_reset(HARD_RESET)


def soft_reset():
    """Unwind the program, then start again."""
    sys.exit()


def deepsleep(ms):
    """Be deaf for so long, then start again with a fresh VM; Ctrl-C is the button that wakes it."""
    _alarm(0)  # a watchdog sleeps, too
    try:
        time.sleep_ms(ms)
    except KeyboardInterrupt:
        reset()
    leave_for_reset(DEEPSLEEP_RESET)


class WDT:
    """Kills the VM unless it is fed in time, in whole seconds, and so resets the board. A soft reset ends it, too."""

    def __init__(self, id=0, timeout=5000):
        self._seconds = -(-timeout // 1000)
        self.feed()

    def feed(self):
        _alarm(self._seconds)


class RTC:
    def datetime(self, date=None):
        """Return (year, month, day, weekday, hours, minutes, seconds, subseconds), or set the clock to such a date."""
        if date is None:
            year, month, day, hour, minute, second, weekday, _ = time.gmtime()
            return year, month, day, weekday, hour, minute, second, 0
        time.set_clock(date[:3] + date[4:7])

    def init(self, date):
        self.datetime(date)
