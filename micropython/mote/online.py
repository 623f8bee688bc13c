"""What a board does once it has a network: it registers, and asks for the time."""

import asyncio

from agent.compat import const
from mote.log import WARNING
from mote.net.sockets import now

_HOUSEKEEPING_MS = const(3600000)


async def keep_house(mote: object) -> None:
    """Do for ever what has to be done now and then, for the clocks' sake."""
    while True:
        try:
            await asyncio.sleep_ms(_HOUSEKEEPING_MS)
            mote.uptime_ms()
            keep_time(mote)
        except Exception as error:
            await mote.shell.failed(error)


def online(mote: object, address: str) -> None:
    """The network is there, and our address in it is known: what needs it can begin."""
    from mote.place import sent_by

    mote.agent.move_to(sent_by(mote.settings, address))
    keep_time(mote)
    seconds = mote.settings.get("register")
    if seconds:
        from mote.identity import instance

        events = mote.agent.register(now(), expires=seconds, instance=instance())
        mote.shell.carry_out(events)


def keep_time(mote: object) -> None:
    """Ask the configured NTP server, if there is one; to be called every few days at least, for the clock's sake."""
    clock = mote.agent.clock
    if clock is not None:
        clock.unix(now())
    server = mote.settings.get("ntp")
    if server:
        from mote.clock import ask_ntp

        if not ask_ntp(clock, server):
            mote.log(WARNING, "ntp_silent", server=server)
