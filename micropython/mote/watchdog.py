"""A hardware watchdog that the event loop feeds each time it comes round, and nothing else. Loaded where it is set."""

import asyncio

from agent.compat import const
from mote.log import INFO, WARNING

_LATER_S = const(30)  # from the start: until then a deploy is not disturbed
_LIMITS_MS = (16777, 8388, 5000)  # of rp2350, rp2040, and what an esp8266 always takes
_CALM_MS = const(600000)

_dog = None


async def watch(mote: object, seconds: int) -> None:
    """Feed a watchdog for ever: a function that holds the loop up for so long, or a loop that has ended, starts the
    board anew. Losing the network doesn't: the loop goes on.
    """
    global _dog
    await asyncio.sleep(_LATER_S)
    dog, ms = None, 0
    while True:
        try:
            if dog is None:
                _dog, ms = start(seconds * 1000)
                dog = _dog
                if dog is None:
                    mote.log(WARNING, "no_watchdog")
                    return
                mote.log(INFO, "watchdog", timeout_ms=ms)
            dog.feed()
        except Exception as error:
            await mote.shell.failed(error)
        await asyncio.sleep_ms(ms // 4)


def start(timeout_ms: int) -> tuple:
    """Return (a watchdog that runs, its ms), which are fewer where the port can't wait for so long; (None, 0): none."""
    try:
        from machine import WDT
    except ImportError:
        return None, 0
    for limit in (timeout_ms,) + _LIMITS_MS:
        try:
            return WDT(timeout=min(timeout_ms, limit)), min(timeout_ms, limit)
        except ValueError:
            pass
    return None, 0


def calm() -> None:
    """Somebody has stopped the program: give him ten minutes, or say that this port can't."""
    if _dog is not None and start(_CALM_MS)[1] < _CALM_MS:
        print("the watchdog starts this board anew in some seconds; deploy in the first %d s after that" % _LATER_S)
