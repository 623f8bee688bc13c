"""Arithmetic on `now`, durations as SIP writes them, and what is known of the time of day.

`now` is milliseconds that wrap at 2**30, so that an instant stays a small int on every board. No instant may be
compared with < or >: one just after the wrap is later, though smaller.
"""

from .compat import const

_MASK = const(0x3FFFFFFF)
_HALF = const(0x20000000)
_REANCHOR = const(86400000)  # ms; `now` can be compared for 6 days, so a wall clock's anchor moves on once a day

NONE = 0  # qualities of a wall clock, worst first
LEARNED = 1  # from the Date of a response to a request of ours
RTC = 2
NTP = 3
QUALITIES = ("none", "learned", "rtc", "ntp")


def later(now: int, delay_ms: int) -> int:
    """Return the instant delay_ms (below 2**29, which is 6.2 days) after now."""
    return (now + delay_ms) & _MASK


def until(deadline: int, now: int) -> int:
    """Return the ms from now to deadline: negative once it has passed, right for 6.2 days either way."""
    return (((deadline - now) & _MASK) ^ _HALF) - _HALF


def parse_delta(value: bytes | None) -> int | None:
    """Return delta-seconds 0..2**32-1 (Expires, section 20.19), or None for a value that can't be used."""
    if value is None or not value.isdigit() or len(value) > 10:
        return None
    seconds = int(value)
    return seconds if seconds <= 0xFFFFFFFF else None


class WallClock:
    """What we know about the time of day, and how we know it. Deadlines never come from here."""

    def __init__(self) -> None:
        self.quality = NONE
        self._unix = 0
        self._anchor_at = 0

    def set(self, unix: int, quality: int, now: int) -> bool:
        """Take unix (seconds since 1970) as the time at now, unless a better source has spoken; True if taken."""
        if quality < self.quality:
            return False
        self._unix = unix
        self._anchor_at = now
        self.quality = quality
        return True

    def unix(self, now: int) -> int | None:
        """Return the seconds since 1970, or None while nobody has told. To be asked at least every six days."""
        if self.quality == NONE:
            return None
        passed = until(now, self._anchor_at)
        if passed > _REANCHOR:
            self._unix += passed // 1000
            self._anchor_at = (now - passed % 1000) & _MASK
            passed %= 1000
        return self._unix + passed // 1000
