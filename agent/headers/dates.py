"""The Date header field (RFC 3261 section 20.17): RFC 1123 form, GMT, to and from Unix seconds."""

_DAYS = b"MonTueWedThuFriSatSun"
_MONTHS = b"JanFebMarAprMayJunJulAugSepOctNovDec"
_latest: dict[int, bytes] = {}  # the last one: many answers leave in one second


def format_date(unix: int) -> bytes:
    """Return a Date value, e.g. b"Sat, 13 Nov 2010 23:29:00 GMT" (RFC 3261 section 20.17, RFC 1123)."""
    if unix not in _latest:
        _latest.clear()
        _latest[unix] = _format(unix)
    return _latest[unix]


def _format(unix: int) -> bytes:
    days = unix // 86400
    seconds = unix - days * 86400
    year, month, day = civil(days)
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
    days = day_number(year, month // 3 + 1, day)
    if civil(days)[2] != day:  # 31 Feb
        return None
    return (days * 24 + hour) * 3600 + minute * 60 + second


def day_number(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 to a date of the Gregorian calendar; years are counted from March, so February is last."""
    if month < 3:
        year -= 1
        month += 12
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * month - 457) // 5 + day - 719469


def civil(days: int) -> tuple[int, int, int]:
    """(year, month, day) of a day counted from 1970-01-01."""
    year = 1970 + days // 366  # never too late; steps on below
    while day_number(year + 1, 1, 1) <= days:
        year += 1
    month = (days - day_number(year, 1, 1)) // 31 + 1  # likewise
    while month < 12 and day_number(year, month + 1, 1) <= days:
        month += 1
    return year, month, days - day_number(year, month, 1) + 1
