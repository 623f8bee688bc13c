"""What people and machines read: text of strangers made harmless, one JSON object a line."""

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

_KEPT = "\t\n\xa0\u200d"  # not printable to Python, and no danger: the last one joins emoji


def harmless(text: str, lines: bool = False) -> str:
    """Return text with what could steer a terminal or turn its reading round written as an escape, e.g. "\\\\x1b".

    lines: keep line ends and tabs, as a body may have; a header field may not.
    """
    if text.isprintable():
        return text
    kept = _KEPT if lines else _KEPT[2:]
    if lines:
        text = text.replace("\r\n", "\n")
    return "".join([c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in text])


def write_json(objects: Iterable[Mapping[str, Any]]) -> None:
    """Write one line for each object to stdout, at once."""
    sys.stdout.write("".join([json.dumps(item) + "\n" for item in objects]))
    sys.stdout.flush()
