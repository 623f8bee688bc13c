"""What a board does once it has a network: it registers, and asks for the time."""

import asyncio

from agent.compat import const
from mote.net.sockets import now

_HOUSEKEEPING_MS = const(3600000)
_FIRST_MS = const(60000)  # while an NTP server hasn't told the time; doubled each time
_NTP = const(4)  # of agent.qualities


async def keep_house(mote: object) -> None:
    """Do for ever what has to be done now and then, for the clocks' sake."""
    wait_ms = _FIRST_MS
    while True:
        try:
            clock = mote.agent.clock
            has_server = mote.settings.get("ntp")
            if not has_server or clock.quality == _NTP:
                wait_ms = _HOUSEKEEPING_MS
            await asyncio.sleep_ms(wait_ms)
            wait_ms = min(2 * wait_ms, _HOUSEKEEPING_MS)
            mote.uptime_ms()
            if clock is not None:
                clock.unix(now())  # at least every few days
            if has_server:
                await _ask_time(mote)
        except Exception as error:
            await mote.shell.failed(error)


def online(mote: object, address: str) -> None:
    """The network is there, and our address in it is known: what needs it can begin."""
    from mote.place import sent_by

    mote.agent.move_to(sent_by(mote.settings, address))
    if not mote.settings.get("ntp"):
        _register(mote)
    elif mote.agent.clock.unix(now()) is None:
        asyncio.create_task(_register_in_time(mote))
    else:
        asyncio.create_task(_ask_time(mote))
        _register(mote)


async def _register_in_time(mote: object) -> None:
    """Ask for the time first: TLS checks dates. Without an answer a board registers as it is."""
    await _ask_time(mote)
    while True:
        try:
            _register(mote)
            return
        except Exception as error:
            await mote.shell.failed(error)
            if type(error) is not MemoryError:
                return


async def _ask_time(mote: object) -> None:
    try:
        from mote.net.ntp import keep_time

        await keep_time(mote)
    except Exception as error:
        await mote.shell.failed(error)


def _register(mote: object) -> None:
    seconds = mote.settings.get("register")
    if seconds:
        from mote.identity import instance

        events = mote.agent.register(now(), expires=seconds, instance=instance())
        mote.shell.carry_out(events)
