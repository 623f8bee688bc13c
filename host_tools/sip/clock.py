"""The computer's clocks, as the core wants them."""

import time

from sipmote.agent.qualities import NTP
from sipmote.agent.wall_clock import WallClock


def now_ms() -> int:
    """Return the core's `now`."""
    return time.monotonic_ns() // 1_000_000 & 0x3FFFFFFF


def wall_clock() -> WallClock:
    """Return a clock for a UserAgent, right at the moment; the Shell keeps it so."""
    clock = WallClock()
    clock.set(int(time.time()), NTP, now_ms())
    return clock
