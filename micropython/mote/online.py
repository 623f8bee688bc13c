"""What a board does once it has a network: it registers, asks for the time, and tells how that went."""

from agent.registration.events import FlowLost, Registered
from mote.log import INFO, WARNING
from mote.net.sockets import now


def online(mote: object, address: str) -> None:
    """The network is there, and our address in it is known: what needs it can begin."""
    from mote.start import sent_by

    mote.agent.sent_by = sent_by(mote.settings["bind"], address)
    keep_time(mote)
    if mote.settings["register"]:
        from mote.identity import instance

        events = mote.agent.register(now(), expires=mote.settings["register"], instance=instance())
        mote.shell.carry_out(events)


def keep_time(mote: object) -> None:
    """Ask the configured NTP server, if there is one; to be called every few days at least, for the clock's sake."""
    clock = mote.agent.clock
    if clock is not None:
        clock.unix(now())
    server = mote.settings["ntp"]
    if server:
        from mote.clock import ask_ntp

        if not ask_ntp(clock, server):
            mote.log(WARNING, "ntp_silent", server=server)


def take_news(mote: object, event: object) -> None:
    """Deal with an event of the registration."""
    kind = type(event)
    if kind is FlowLost:
        mote.shell.streams().hang_up(event.flow)
    elif kind is Registered:
        mote.log(INFO, "registered", expires=event.expires)
    else:
        mote.log(WARNING, "not_registered", status=event.status, retry_s=event.pause_s)
