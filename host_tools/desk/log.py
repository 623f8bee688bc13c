"""What a monitor at a board's serial line tells a desk: log records, within bounds that both know.

Anything may be in the fields of a record, as a board has written them. What the store or a browser can't hold as it is
stays out: that is told, or it is text.
"""

import json
from typing import Any

from sipmote.errors import ToolError
from sipmote.link.frames import LEVELS

MOST = 200  # records of a request
LARGEST = 65536  # octets of a request
LONGEST_EVENT = 64  # characters
LONGEST_FIELDS = 4096  # characters of their JSON
LONGEST_AOR = 255  # characters
_DEEPEST = 8  # lists and maps in each other
_EXACT = 1 << 53  # beyond that, a browser rounds whole numbers
_YEAR_10000 = 253_402_300_800  # Unix seconds
Record = tuple[float, str, str, str]  # when it was heard in Unix seconds, level, event, fields as JSON


def records(given: Any) -> list[Record]:
    """Return what is in a request: {"records": [{"at", "level", "event", "fields"}, ...]}. Raises ToolError."""
    found = given.get("records")
    if not isinstance(found, list) or not 0 < len(found) <= MOST:
        raise ToolError(f"records: a list of 1 to {MOST} was expected")
    return [_record(one) for one in found]


def _record(given: Any) -> Record:
    if not isinstance(given, dict) or given.keys() != {"at", "level", "event", "fields"}:
        raise ToolError("a record has at, level, event and fields, and nothing else")
    at, level, event, fields = (given[name] for name in ("at", "level", "event", "fields"))
    if type(at) not in (int, float) or not 0 <= at < _YEAR_10000:
        raise ToolError("at: Unix seconds were expected")
    if level not in LEVELS:
        raise ToolError(f"level: one of {', '.join(LEVELS)} was expected")
    if not isinstance(event, str) or not 0 < len(event) <= LONGEST_EVENT or not event.isprintable():
        raise ToolError(f"event: 1 to {LONGEST_EVENT} printable characters were expected")
    if not isinstance(fields, dict):
        raise ToolError("fields: an object was expected")
    return float(at), level, event, _written(fields)


def _written(fields: dict[str, Any]) -> str:
    exact = _exact(fields, _DEEPEST)
    try:
        length = len(json.dumps(fields, allow_nan=False))
    except ValueError:
        raise ToolError("fields: a number that is none can't be kept") from None
    if length > LONGEST_FIELDS:
        raise ToolError(f"fields: as JSON they have {length} characters, {LONGEST_FIELDS} are the most")
    return json.dumps(exact)


def _exact(value: Any, levels: int) -> Any:
    """Return a value with whole numbers that a browser would round as text. Raises ToolError for one that is too deep.

    levels: how many lists and maps in each other there may be.
    """
    if isinstance(value, dict | list) and not levels:
        raise ToolError(f"fields: {_DEEPEST} lists and maps in each other are the most")
    if isinstance(value, dict):
        return {name: _exact(each, levels - 1) for name, each in value.items()}
    if isinstance(value, list):
        return [_exact(each, levels - 1) for each in value]
    return str(value) if type(value) is int and abs(value) > _EXACT else value
