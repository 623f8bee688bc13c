"""The board's wall clock: whole seconds, an epoch and a date of its own. The ticks are the VM's."""

import os

import vfs
from utime import *  # noqa: F403
from utime import gmtime as _gmtime
from utime import mktime as _mktime
from utime import time_ns as _time_ns

_host = vfs.VfsPosix("")  # the host's files, wherever the board's root is
_file = os.getenv("BOARD_CLOCK")  # seconds the clock is ahead of the host's: outlives a reset, as an RTC does
_EPOCH = int(os.getenv("BOARD_EPOCH") or 0)  # of time.time(), in Unix seconds

with _host.open(_file, "r") as _opened:
    _ahead = int(_opened.read())


def time():
    return time_ns() // 1_000_000_000


def time_ns():
    return _time_ns() + (_ahead - _EPOCH) * 1_000_000_000


def gmtime(seconds=None):
    return _gmtime((time() if seconds is None else int(seconds)) + _EPOCH)[:8]


localtime = gmtime  # a board has no time zone


def mktime(date):
    return _mktime(tuple(date[:6]) + (0, 0, 0)) - _EPOCH  # the host process has TZ=UTC


def set_clock(date):
    """Set the wall clock to a date (year, month, day, hour, minute, second), UTC: machine.RTC calls this."""
    global _ahead
    _ahead += mktime(date) - time()
    with _host.open(_file, "w") as opened:
        opened.write(str(_ahead))
