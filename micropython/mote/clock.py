"""The board's own clock: what it shows if somebody has set it, and how it is set."""

import time

from agent.compat import const
from agent.wall_clock import WallClock
from mote.net.sockets import now

_OLDEST = const(1704067200)  # 2024-01-01: no earlier date is today's; deploy puts the day of its sources here
_RTC = const(2)  # of agent.qualities
_HOST = const(3)
_NTP = const(4)
_SPAN_S = const(630720000)  # 20 years: nor is a later one
_EPOCH_2000 = const(946684800)
_SET = "/clock"  # when a host has set the board's clock, in Unix seconds; deploy writes it


def clock() -> WallClock:
    """Return a clock, set by the board's own if that has been set."""
    wall = WallClock()
    unix = int(time.time()) + _epoch()
    if can_be(unix):
        told = _told(unix)
        wall.set(unix, _HOST if told else _RTC, now(), told)
    return wall


def _told(unix: int) -> int:
    """Return when a host has set the board's clock, which shows unix; 0 where none has, or somebody has put it back."""
    try:
        with open(_SET) as file:
            told = int(file.read(12))
    except (OSError, ValueError):
        return 0
    return told if _OLDEST <= told <= unix else 0


def can_be(unix: int) -> bool:
    """Can these Unix seconds be the time, as far as a program knows that is older than them?"""
    return 0 <= unix - _OLDEST < _SPAN_S


def set_clocks(wall: WallClock, unix: int) -> None:
    """Take the Unix seconds of an NTP server, for the board's own clock, too. Raises what that does."""
    wall.set(unix, _NTP, now())
    try:
        from machine import RTC as Clock
    except ImportError:
        return
    year, month, day, hour, minute, second, weekday = time.gmtime(unix - _epoch())[:7]
    Clock().datetime((year, month, day, weekday + 1, hour, minute, second, 0))


def _epoch() -> int:
    """Return what the port counts from, in Unix seconds: 1970 or 2000."""
    return _EPOCH_2000 if time.gmtime(0)[0] == 2000 else 0
