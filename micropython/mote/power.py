"""Deep sleep for boards on a battery. Loaded by Mote.sleep()."""

import asyncio
import sys

import machine

from agent.compat import const
from mote.log import INFO

_AWAKE_S = const(10)  # after power-on and reset: time for a deploy to stop the program
_PATIENCE_S = const(40)  # for alerts that flash keeps: one attempt, and something
_POLL_MS = const(100)
_LONGEST_S = 4260 if sys.platform in ("rp2", "esp8266") else 2147483  # their timers count microseconds in 32 bits
_LONGEST_ASKED_S = min(_LONGEST_S, 604800)  # by a command: who has mistyped it is there again in a week

_asked = None  # the task that will sleep, as somebody has asked for by a command


def sleep(mote: object, seconds: float) -> object:
    """Return a task that sleeps. Raises agent.errors.UsageError for a time that the board can't sleep for."""
    if not 0.001 <= seconds <= _LONGEST_S:
        from agent.errors import UsageError

        raise UsageError("sleep: %r is no number of seconds from 0.001 to %d" % (seconds, _LONGEST_S))
    return asyncio.create_task(_sleep(mote, int(seconds * 1000)))


async def _sleep(mote: object, ms: int) -> None:
    """Sleep once no alert needs the board awake; it wakes as from a reset, so this never returns."""
    if not has_slept() and mote.uptime() < _AWAKE_S:
        await asyncio.sleep(_AWAKE_S - mote.uptime())
    waited = calm = 0
    beats = mote.settings.get("heartbeat")
    while calm < 2:  # twice in a row: between two parts of a text none is under way
        await asyncio.sleep_ms(_POLL_MS)  # before a look, so that nothing comes behind the last one
        waited += _POLL_MS
        is_late = waited > _PATIENCE_S * 1000
        if is_late:
            is_ready = is_idle(mote) or is_stored(mote)
        else:
            is_ready = is_idle(mote) and not _commands(mote)
        calm = calm + 1 if is_ready else 0
        if calm == 2 and beats and is_idle(mote):
            beats = calm = 0
            await mote.heartbeat.last(ms)
    mote.log(INFO, "sleep", ms=ms)
    if mote.settings.get("watchdog"):
        from mote.safe import good

        good()
    if not is_idle(mote):
        from mote.slept import note

        note(mote, ms)
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


def _commands(mote: object) -> int:
    """Return how many commands run or have an answer that isn't taken yet."""
    commands = sys.modules.get("mote.commands")  # a board that has had none doesn't load it to sleep
    return 0 if commands is None else commands.under_way(mote)


def asked_to_sleep(mote: object, text: str) -> str:
    """Do what the command sleep says, once its answer and all else is through; returns the answer."""
    global _asked
    from mote.durations import read_duration, told

    example = "; for example: sleep 10m"
    if not text:
        return "for how long? Nothing else wakes the board" + example
    seconds = read_duration(text)
    if seconds is None:
        return "%s is no time%s" % (text, example)
    if not 1 <= seconds <= _LONGEST_ASKED_S:
        return "1 s to %s%s" % (told(_LONGEST_ASKED_S), example)
    if _asked is not None:
        _asked.cancel()
    _asked = asyncio.create_task(_sleep_soon(mote, seconds))
    return "sleeping for %s once all alerts and answers are through; nobody reaches the board meanwhile" % told(seconds)


async def _sleep_soon(mote: object, seconds: float) -> None:
    while True:
        try:
            while _commands(mote):  # somebody's pump runs, and is to be stopped
                await asyncio.sleep_ms(_POLL_MS)
            await _sleep(mote, int(seconds * 1000))
        except MemoryError:
            await asyncio.sleep_ms(_POLL_MS)
        except Exception as error:
            await mote.shell.failed(error)
            return
