"""Points in time, spans of it and numbers, as people write them in arguments: 2026-11-26, 14:00, 30m, 2.5."""

import argparse
import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta

from sipmote.errors import ToolError

FORMS = "2026-11-26, 2026-11-26T14:00, 14:00 (today), or 30m, 2h, 7d ago"
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_MOST_S = 1e9  # 31 years, which every clock can count


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


def check_order(since: float | None, until: float | None) -> None:
    """Raise ToolError where --until is before --since: nothing could be between them."""
    if since is not None and until is not None and until < since:
        raise ToolError("--until is before --since: turn them round")


def seconds(text: str) -> float:
    """Read so many seconds, or a span of time, 0 and more. Raises argparse.ArgumentTypeError."""
    if re.fullmatch(r"\d{1,6}[smhdw]", text, re.ASCII):
        number = span(text).total_seconds()
    elif re.fullmatch(r"\d{1,10}(\.\d*)?|\.\d+", text, re.ASCII):  # no sign, no nan, no inf
        number = float(text)
    else:
        raise argparse.ArgumentTypeError(f"{text}: seconds such as 10 or 2.5, or a span such as 5m, were expected")
    if number > _MOST_S:
        raise argparse.ArgumentTypeError(f"{text}: {_MOST_S:.0f} seconds at most")
    return number


def whole(least: int) -> Callable[[str], int]:
    """Return what reads a whole number, this one at least. It raises argparse.ArgumentTypeError."""

    def read(text: str) -> int:
        if not re.fullmatch(r"\d{1,10}", text, re.ASCII) or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text}: a whole number was expected, {least} at least")
        return int(text)

    return read
