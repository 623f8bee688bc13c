"""What a board does once, when its program begins. Freed when that is done."""

import asyncio
import os

from agent.user_agent import UserAgent
from mote.log import INFO


def user_agent(settings: dict) -> UserAgent:
    """Return the user agent that the settings ask for."""
    aor = settings["aor"].encode()
    more = {}
    if settings["proxy"]:
        more["proxy"] = settings["proxy"].encode()
    if settings["notify"]:
        from mote.notify import ACCEPT

        more["accept"] = ACCEPT
    if settings["password"] or settings["commanders"]:
        from mote.passwords import secrets

        more["credentials"], more["authenticator"] = secrets(settings, os.urandom)
    more["clock"] = _clock(settings)
    bind = settings["bind"]
    return UserAgent(
        aor,
        sent_by(bind, bind[: bind.rfind(":")]),
        os.urandom,
        transport=settings["transport"].upper().encode(),
        users=(aor[aor.find(b":") + 1 :].split(b"@")[0],),
        **more,
    )


def sent_by(bind: str, host: str) -> bytes:
    """Return our sent-by; where the address isn't known, answers still find us by rport (RFC 3581)."""
    port = int(bind[bind.rfind(":") + 1 :]) or 5060
    return b"%s:%d" % (b"mote.invalid" if host in ("0.0.0.0", "[::]") else host.encode(), port)


def _clock(settings: dict) -> object:
    """Return a clock for a board that knows the time or is to ask for it, None for any other."""
    from time import gmtime

    if gmtime()[0] < 2024 and not settings["ntp"]:  # never set
        return None
    from mote.clock import clock

    return clock()


def begin(mote: object) -> None:
    """Open the socket and begin what runs beside the sensors."""
    settings = mote.settings
    mote.log(INFO, "boot", aor=settings["aor"], commands=" ".join(sorted(mote.commands)))
    host, _, port = settings["bind"].rpartition(":")
    from mote.net.bind import bind_udp

    mote.shell.open(bind_udp(host, int(port)))
    if settings["transport"] != "udp":
        mote.shell.others().listen(host, int(port))
    if settings["wifi"]:
        from mote.net.wifi import keep_up

        asyncio.create_task(keep_up(mote))
    elif settings["register"] or settings["ntp"]:
        from mote.online import online

        online(mote, host)
