"""Alerts that wait while the clock that dated them is put right. Loaded by a step of it, and freed then."""

import sys
from struct import pack, unpack

_DATED = ">BBIII2s"  # as mote.journal has it: priority, quality, expires, Unix time and uptime when raised, start
_SIZE = 16


def step(mote: object, unix: int, quality: int, at: int) -> None:
    """Before the clock is set to unix, with this quality, correct what it has said of alerts that wait.

    Else a restart would take the step for time in which they have waited. at: now.
    """
    clock, outbox = mote.agent.clock, mote.outbox
    before = clock.unix(at)
    if outbox is not None and before is not None and abs(unix - before) > 1:
        if outbox.pending is not None:
            outbox.need_lanes()
        if outbox.lanes is not None and outbox.lanes.waiting():
            worst, start = clock.quality, outbox.start
            from mote.rescue import Rescue

            change = Rescue(outbox.lanes).change
            change(lambda content: redated(content, unix - before, worst, quality, start))
    del sys.modules["mote.redated"]
    del sys.modules["mote"].redated


def redated(content: bytes, seconds: int, before: int, quality: int, start: bytes) -> bytes:
    """Return the content of a record, its time moved on if the clock of before has told that, in this start or one."""
    priority, told, expires, unix, uptime, own = unpack(_DATED, content[:_SIZE])
    if not unix or (own != start and told > before):  # a better one has told that
        return content
    unix = max(unix + seconds, 0)
    return pack(_DATED, priority, quality, expires, unix, uptime, own) + content[_SIZE:]
