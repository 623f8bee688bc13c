"""How long something takes, as people write it: 60, 10m, 1.5h, 2 d. Loaded by the first command that names one."""

_UNITS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}


def read_duration(text: str) -> float | None:
    """Return the seconds; None for what can't be read. Without a unit they are seconds."""
    end = 0
    while end < len(text) and text[end] in "0123456789.,":
        end += 1
    number = text[:end].replace(",", ".")
    unit = text[end:].strip().lower() or "s"
    if unit not in _UNITS or number.count(".") > 1 or not number.strip("."):
        return None
    return float(number) * _UNITS[unit]


def told(seconds: float) -> str:
    """Return it as people read it: in the largest unit of which it is two or more, and no part."""
    for unit in ("w", "d", "h", "min"):
        if seconds >= 2 * _UNITS[unit] and not seconds % _UNITS[unit]:
            return "%d %s" % (seconds // _UNITS[unit], unit)
    return "%g s" % seconds
