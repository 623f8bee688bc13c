"""Wall time: how well it is known, the Date field, and what follows for Expires and replay (RFC 3428 section 7)."""

from agent.clock import until
from agent.compat import const
from agent.headers import parse_delta
from agent.message import Message

NONE = 0  # qualities of a wall clock, worst first
LEARNED = 1  # from the Date of a response to a request of ours
RTC = 2
NTP = 3
QUALITIES = ("none", "learned", "rtc", "ntp")

_REANCHOR = const(86400000)  # ms; `now` can be compared for 6 days, so the anchor moves on once a day
_WINDOW = const(300)  # s; a Date further off is stale: "several minutes", RFC 3428 section 11
_DAYS = b"MonTueWedThuFriSatSun"
_MONTHS = b"JanFebMarAprMayJunJulAugSepOctNovDec"


class WallClock:
    """What we know about the time of day, and how we know it. Deadlines never come from here."""

    __slots__ = ("_anchor_at", "_unix", "quality")

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
            self._anchor_at = (now - passed % 1000) & 0x3FFFFFFF
            passed %= 1000
        return self._unix + passed // 1000


def format_date(unix: int) -> bytes:
    """Return a Date value, e.g. b"Sat, 13 Nov 2010 23:29:00 GMT" (RFC 3261 section 20.17, RFC 1123)."""
    days = unix // 86400
    seconds = unix - days * 86400
    year, month, day = _civil(days)
    weekday = (days + 3) % 7 * 3
    return b"%s, %02d %s %d %02d:%02d:%02d GMT" % (
        _DAYS[weekday : weekday + 3],
        day,
        _MONTHS[month * 3 - 3 : month * 3],
        year,
        seconds // 3600,
        seconds // 60 % 60,
        seconds % 60,
    )


def parse_date(value: bytes | None) -> int | None:
    """Return the Unix seconds of a Date value, or None for one that is absent, malformed or not GMT."""
    words = value.split() if value else []
    if len(words) != 6 or words[5] != b"GMT" or not words[1].isdigit() or not words[3].isdigit():
        return None
    clock = words[4].split(b":")
    month = _MONTHS.find(words[2])
    day, year = int(words[1][:3]), int(words[3][:5])
    if (
        len(words[2]) != 3
        or month < 0
        or month % 3
        or len(clock) != 3
        or not 1970 <= year <= 9999
        or not 1 <= day <= 31
    ):
        return None
    for part in clock:
        if len(part) != 2 or not part.isdigit():
            return None
    hour, minute, second = int(clock[0]), int(clock[1]), int(clock[2])
    if hour > 23 or minute > 59 or second > 60:
        return None
    return (_days(year, month // 3 + 1, day) * 24 + hour) * 3600 + minute * 60 + second


def _days(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 to a date of the Gregorian calendar; years are counted from March, so February is last."""
    if month < 3:
        year -= 1
        month += 12
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * month - 457) // 5 + day - 719469


def _civil(days: int) -> tuple[int, int, int]:
    """(year, month, day) of a day counted from 1970-01-01."""
    year = 1970 + days // 366  # never too late; steps on below
    while _days(year + 1, 1, 1) <= days:
        year += 1
    month = 1
    while month < 12 and _days(year, month + 1, 1) <= days:
        month += 1
    return year, month, days - _days(year, month, 1) + 1


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


def judge(message: Message, clock: WallClock, now: int) -> tuple[int | None, bool | None, bool | None]:
    """Return (date, expired, stale) of a message that comes in now.

    date: Unix seconds of its Date. expired, stale: None where only a clock could tell. Without Expires nothing
    expires, without Date nothing is stale.
    """
    date = parse_date(message.get(b"date"))
    if date is None:
        return None, False, False  # with Expires but no Date it has just begun to age
    unix = clock.unix(now)
    ages = parse_delta(message.get(b"expires")) is not None
    if unix is None:
        return date, None if ages else False, None
    expires_at = expiry(message, unix)
    return date, expires_at is not None and unix > expires_at, abs(unix - date) > _WINDOW
