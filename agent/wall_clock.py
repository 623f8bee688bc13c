"""What is known of the time of day, and how well. Deadlines never come from here. Loaded when the time is told."""

from .clock import until
from .compat import const

_NONE = const(0)  # of agent.qualities
_LEARNED = const(1)
_MASK = const(0x3FFFFFFF)
_REANCHOR = const(86400000)  # ms; `now` can be compared for 6 days, so a wall clock's anchor moves on once a day


class WallClock:
    """The time of day in Unix seconds. told: when its source has told it, 0 where nobody knows."""

    def __init__(self) -> None:
        self.quality = _NONE
        self.told = 0
        self._unix = 0
        self._mark = 0

    def set(self, unix: int, quality: int, now: int, told: int | None = None) -> bool:
        """Take unix (seconds since 1970) as the time at now, unless a better source has spoken; True if taken.

        told: when the source has told it, if that isn't now; 0 where nobody knows.
        """
        if quality < self.quality:
            return False
        self._unix = unix
        self._mark = now
        self.quality = quality
        self.told = unix if told is None else told
        return True

    def unix(self, now: int) -> int | None:
        """Return the seconds since 1970, or None while nobody has told. To be asked at least every six days."""
        if self.quality == _NONE:
            return None
        passed = until(now, self._mark)
        if passed > _REANCHOR:
            self._unix += passed // 1000
            self._mark = (now - passed % 1000) & _MASK
            passed %= 1000
        return self._unix + passed // 1000


def learned(clock: WallClock | None, date: bytes, now: int) -> WallClock | None:
    """Return the clock, set by the value of a response's Date (RFC 3428 section 11); a new one where there was none.

    None if there was none and the value tells nothing.
    """
    from .date_reader import parse_date

    unix = parse_date(date)
    if unix is not None:
        clock = clock or WallClock()
        clock.set(unix, _LEARNED, now)
    return clock
