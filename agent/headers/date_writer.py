"""Writing the Date header field (RFC 3261 section 20.17): Unix seconds to RFC 1123 form, GMT."""

from ..date_reader import day_number

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


def civil(days: int) -> tuple[int, int, int]:
    """(year, month, day) of a day counted from 1970-01-01."""
    year = 1970 + days // 366  # never too late; steps on below
    while day_number(year + 1, 1, 1) <= days:
        year += 1
    month = (days - day_number(year, 1, 1)) // 31 + 1  # likewise
    while month < 12 and day_number(year, month + 1, 1) <= days:
        month += 1
    return year, month, days - day_number(year, month, 1) + 1
