"""The time of day from the Date of a response (RFC 3428 section 11). Loaded by a board that has no better clock."""

from .headers.date_reader import parse_date
from .wall_clock import LEARNED, WallClock


def learned(clock: WallClock | None, date: bytes, now: int) -> WallClock | None:
    """Return the clock, set by a Date's value; a new one where there was none, or None if the value tells nothing."""
    unix = parse_date(date)
    if unix is None:
        return clock
    clock = clock or WallClock()
    clock.set(unix, LEARNED, now)
    return clock
