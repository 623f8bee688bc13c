"""Safe mode: where a watchdog is set, a program that never gets far isn't run for ever. Loaded at each start there.

The file /restarts counts the starts that did not last a minute, of the /main.py that it names by size and time.
"""

import asyncio
import json
import os

import machine

from agent.compat import const
from mote.log import WARNING
from mote.watchdog import calm, watch

_FILE = "/restarts"
_MOST = const(5)
_GOOD_S = const(60)


def guarded(mote: object) -> object:
    """Count this start, and return mote.run with a watchdog that is fed meanwhile.

    After too many quick starts it doesn't return: mote runs here, without the program.
    """
    run = mote.run

    def run_guarded() -> None:
        asyncio.create_task(watch(mote, mote.settings["watchdog"]))
        try:
            run()
        except KeyboardInterrupt:
            calm()
            raise

    cause = machine.reset_cause()
    quick = _count(cause)
    if quick >= _MOST:
        asyncio.create_task(_tell(mote, quick, "the watchdog" if cause == machine.WDT_RESET else "reset or power"))
        mote.command("restart")(_restart)
        run_guarded()
    return run_guarded


def _count(cause: int) -> int:
    """Return how many quick starts came before this one, if it is such as counts."""
    if cause in (getattr(machine, "SOFT_RESET", -1), getattr(machine, "DEEPSLEEP_RESET", -1)):
        return 0  # a deploy, a person at the prompt, a board that has slept
    program = _program()
    quick = _read(program)
    _write(quick + 1, program)
    asyncio.create_task(_last())
    return quick


def good() -> None:
    """This start did well: those before it don't count any more."""
    try:
        os.remove(_FILE)
    except OSError:
        pass


def _program() -> list:
    try:
        found = os.stat("/main.py")
    except OSError:
        return []
    return [found[6], found[8]]


def _read(program: list) -> int:
    try:
        with open(_FILE) as file:
            quick, counted = json.load(file)
        return quick if counted == program and type(quick) is int else 0
    except (OSError, ValueError, TypeError, MemoryError):  # none yet, or power was cut while it was written
        return 0


def _write(quick: int, program: list) -> None:
    try:
        with open(_FILE, "w") as file:
            json.dump([quick, program], file)
    except OSError as error:  # a full flash keeps no program from running
        print(_FILE, error)


async def _last() -> None:
    await asyncio.sleep(_GOOD_S)
    good()


async def _tell(mote: object, quick: int, cause: str) -> None:
    mote.log(WARNING, "safe_mode", restarts=quick, cause=cause)
    text = "safe mode: %d quick restarts, the last by %s; send restart, or deploy" % (quick, cause)
    mote.alert(text, key="safe mode")  # the last one is enough


def _restart(message: object) -> str:
    asyncio.create_task(_reset())
    return "restarting"


async def _reset() -> None:
    good()
    await asyncio.sleep(2)  # the answer leaves first
    machine.reset()
