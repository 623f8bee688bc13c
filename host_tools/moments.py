"""Points in time and spans of it, as people write them in arguments: 2026-11-26, 14:00, 30m."""

import argparse
import re
from datetime import date, datetime, time, timedelta

FORMS = "2026-11-26, 2026-11-26T14:00, 14:00 (today), or 30m, 2h, 7d ago"
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def span(text: str) -> timedelta:
    """Read a span of time: a number and s, m, h, d or w. Raises argparse.ArgumentTypeError."""
    found = re.fullmatch(r"(\d{1,6})([smhdw])", text, re.ASCII)
    if not found:
        raise argparse.ArgumentTypeError(f"{text}: a span of time such as 30d, 12h or 30m was expected")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def since(text: str) -> float:
    """Read a point in time, in the time of this computer, as Unix seconds. Raises argparse.ArgumentTypeError."""
    try:
        if re.fullmatch(r"\d{1,6}[smhdw]", text, re.ASCII):
            return (datetime.now() - span(text)).timestamp()
        if ":" in text[:3]:
            return datetime.combine(datetime.now().date(), time.fromisoformat(text)).timestamp()
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise argparse.ArgumentTypeError(f"{text}: a time such as 2026-11-26T14:00, 14:00 or 2h was expected") from None


def until(text: str) -> float:
    """Read the end of a span of time: of a day alone it is the end. Raises argparse.ArgumentTypeError."""
    try:
        return since((date.fromisoformat(text) + timedelta(days=1)).isoformat())
    except (ValueError, OverflowError):
        return since(text)
