"""Alerts that wait for whom the setting `to` named before. Loaded by a start that finds some, and freed then."""

import sys
from struct import pack

from mote.journal import parts_of

_SIZES = 25  # where the sizes of a record's parts begin, as mote.journal has it
_USUAL = 4  # mote.lanes


def goes_to(kept: list, target: bytes) -> object:
    """Return a function of a record's content: for another recipient, unless it is kept or was raised for that one."""
    del sys.modules["mote.readdressed"]
    del sys.modules["mote"].readdressed

    def changed(content: bytes) -> bytes:
        front, (call_id, _, *others) = parts_of(content)
        if content in kept or not front[6] & _USUAL:
            return content
        parts = [call_id, target] + others
        return content[:_SIZES] + pack(">5H", *[len(part) for part in parts]) + b"".join(parts)

    return changed
