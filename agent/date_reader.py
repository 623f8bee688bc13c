"""Reading the Date header field (RFC 3261 section 20.17): RFC 1123 form, GMT, to Unix seconds."""


def parse_date(value: bytes | None) -> int | None:
    """Return the Unix seconds of a Date value, or None for one that is absent, malformed or not GMT."""
    words = value.lower().split() if value else []  # literals of the grammar have no case (RFC 3261 section 25.1)
    if len(words) != 6 or words[5] != b"gmt":
        return None
    month = b"janfebmaraprmayjunjulaugsepoctnovdec".find(words[2])
    clock = words[4].split(b":")
    if len(words[2]) != 3 or month < 0 or month % 3 or [len(part) for part in clock] != [2, 2, 2]:
        return None
    for digits in [words[1], words[3]] + clock:
        if not digits.isdigit() or len(digits) > 4:
            return None
    day, year, month = int(words[1]), int(words[3]), month // 3 + 1
    hour, minute, second = int(clock[0]), int(clock[1]), int(clock[2])
    days = day_number(year, month, day)
    last = day_number(year + month // 12, month % 12 + 1, 1)
    if year < 1970 or day < 1 or days >= last or hour > 23 or minute > 59 or second > 60:
        return None
    return (days * 24 + hour) * 3600 + minute * 60 + second


def day_number(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 to a date of the Gregorian calendar; years are counted from March, so February is last."""
    if month < 3:
        year -= 1
        month += 12
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * month - 457) // 5 + day - 719469
