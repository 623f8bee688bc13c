"""Deep sleep for boards on a battery. Loaded by Mote.sleep()."""

import asyncio

import machine

from agent.compat import const
from mote.log import INFO

_AWAKE_S = const(10)  # after power-on and reset: time for a deploy to stop the program
_PATIENCE_S = const(40)  # for alerts that flash keeps: one attempt, and something
_POLL_MS = const(100)


async def sleep(mote: object, seconds: float) -> None:
    """Sleep once no alert needs the board awake; it wakes as from a reset, so this never returns."""
    ms = int(seconds * 1000)
    if not has_slept() and mote.uptime() < _AWAKE_S:
        await asyncio.sleep(_AWAKE_S - mote.uptime())
    waited = calm = 0
    while calm < 2:  # twice in a row: between two parts of a text none is under way
        calm = calm + 1 if is_idle(mote) or (is_stored(mote) and waited > _PATIENCE_S * 1000) else 0
        await asyncio.sleep_ms(_POLL_MS)
        waited += _POLL_MS
    mote.log(INFO, "sleep", ms=ms)
    if mote.settings.get("watchdog"):
        from mote.safe import good

        good()
    machine.deepsleep(ms)


def has_slept() -> bool:
    """Has the board woken from deep sleep? A port that can't tell (rp2) says no."""
    return machine.reset_cause() == getattr(machine, "DEEPSLEEP_RESET", -1)


def is_idle(mote: object) -> bool:
    """Has each alert its outcome, and is that written down?"""
    outbox = mote.outbox
    if mote._alerts or outbox is None:
        return not mote._alerts
    waits = outbox.pending is not None if outbox.lanes is None else outbox.lanes.waiting()
    return not (waits or outbox.queues or outbox.over)


def is_stored(mote: object) -> bool:
    """Is what has no outcome on flash, all of it?"""
    outbox = mote.outbox
    return outbox is not None and not outbox.queues and not [1 for one in mote._alerts.values() if one.outbox is None]
