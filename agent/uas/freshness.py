"""What Date and Expires say about a message that came (RFC 3428 sections 7 and 11)."""

from ..compat import const
from ..date_reader import parse_date
from ..headers.delta import parse_delta
from ..message import Message
from ..wall_clock import WallClock

_WINDOW = const(300)  # s; a Date further off is stale: "several minutes", RFC 3428 section 11


def expiry(message: Message, received: int | None) -> int | None:
    """Return the Unix second at which message expires, or None: never, or not to be known.

    received: when it came, in Unix seconds, or None on a board without a clock. Counted from its Date, or from
    received when it has none; a malformed Expires never expires (RFC 3428 section 7, RFC 3261 section 20.19).
    """
    seconds = parse_delta(message.get(b"expires"))
    start = parse_date(message.get(b"date"))
    if start is None:
        start = received
    return None if seconds is None or start is None else start + seconds


def judge(message: Message, clock: WallClock | None, now: int) -> tuple[int | None, bool | None, bool | None]:
    """Return (date, expired, stale) of a message that comes in now.

    date: Unix seconds of its Date. expired, stale: None where only a clock could tell. Without Expires nothing
    expires, without Date nothing is stale.
    """
    date = parse_date(message.get(b"date"))
    if date is None:
        return None, False, False  # with Expires but no Date it has just begun to age
    unix = None if clock is None else clock.unix(now)
    ages = parse_delta(message.get(b"expires")) is not None
    if unix is None:
        return date, None if ages else False, None
    expires_at = expiry(message, unix)
    return date, expires_at is not None and unix > expires_at, is_stale(date, unix)


def is_stale(date: int, unix: float) -> bool:
    """Is a message of this date minutes off the time, both in Unix seconds?"""
    return abs(unix - date) > _WINDOW
