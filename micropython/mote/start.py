"""What a board does once, when its program begins. Freed when that is done."""

import asyncio
import os
from time import gmtime

from agent.user_agent import UserAgent
from mote.log import INFO
from mote.place import sent_by

_LEVELS = ("debug", "info", "warning", "error")


def user_agent(settings: dict) -> UserAgent:
    """Return the user agent that the settings ask for."""
    given = settings.get
    aor = settings["aor"].encode()
    more = {"users": (aor[aor.find(b":") + 1 :].split(b"@")[0],), "target": settings["to"].encode()}
    if given("proxy"):
        more["proxy"] = given("proxy").encode()
    if given("transport"):
        more["transport"] = given("transport").upper().encode()
    if given("notify"):
        from mote.notify import ACCEPT

        more["accept"] = ACCEPT
    if given("password") or given("commanders"):
        from mote.passwords import secrets

        more.update(secrets(settings, os.urandom))
    if gmtime()[0] >= 2024 or given("ntp"):  # an earlier year: the board's clock was never set
        from mote.clock import clock

        more["clock"] = clock()
    return UserAgent(aor, sent_by(settings), os.urandom, **more)


def level(settings: dict) -> int:
    """Return the lowest level of the records that are logged."""
    return _LEVELS.index(settings.get("log", "info"))


def begin(mote: object) -> None:
    """Open the socket and begin what runs beside the sensors."""
    settings = mote.settings
    given = settings.get
    mote.log(INFO, "boot", aor=settings["aor"], commands=" ".join(sorted(mote.commands)))
    host, _, port = given("bind", "0.0.0.0:5060").rpartition(":")
    from mote.net.bind import bind_udp

    mote.shell.open(bind_udp(host, int(port)))
    if given("transport", "udp") != "udp":
        mote.shell.others().listen(host, int(port))
    if given("wifi"):
        from mote.net.wifi import keep_up

        asyncio.create_task(keep_up(mote))
    elif given("register") or given("ntp"):
        from mote.online import online

        online(mote, host)
