"""Where a board gets the time of day from: its own clock when somebody has set it, else an NTP server."""

import time

from agent.compat import const
from agent.wall_clock import NTP, RTC, WallClock
from mote.net.sockets import now

_OLDEST = const(2024)  # a clock that shows an earlier year was never set
_EPOCH_2000 = const(946684800)


def clock() -> WallClock:
    """Return a clock, set by the board's own if that has been set."""
    wall = WallClock()
    if time.gmtime()[0] >= _OLDEST:
        wall.set(_unix_now(), RTC, now())
    return wall


def ask_ntp(wall: WallClock, server: str) -> bool:
    """Ask an NTP server, which also sets the board's clock; blocks for a second at most. True if it answered."""
    import ntptime

    ntptime.host = server
    try:
        ntptime.settime()
    except OSError:
        return False
    return wall.set(_unix_now(), NTP, now())


def _unix_now() -> int:
    """Return the board's clock in Unix seconds, whether its port counts from 1970 or from 2000."""
    return int(time.time()) + (_EPOCH_2000 if time.gmtime(0)[0] == 2000 else 0)
