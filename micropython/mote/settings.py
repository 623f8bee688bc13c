"""The board's configuration: /mote.json, which `sipmote deploy` checks and writes. What is not in it has its default
where it is used; micropython/README.md lists the keys. Freed when the user agent is made of it.
"""

import json
import os
from time import gmtime

from agent.user_agent import UserAgent
from mote.place import sent_by

PATH = "/mote.json"


def load(path: str = PATH) -> dict:
    """Return the settings that the file has. Raises ValueError that says what to do about a file that won't do."""
    try:
        with open(path) as file:
            settings = json.load(file)
        if not settings["aor"] or not settings["to"]:
            raise ValueError
    except (OSError, KeyError, TypeError, ValueError):
        raise ValueError(
            "%s: aor and to are needed; write it with sipmote deploy --set aor=sip:... --set to=sip:..." % path
        )
    return settings


def level(settings: dict) -> int:
    """Return the lowest level of the records that are logged."""
    return ("debug", "info", "warning", "error").index(settings.get("log", "info"))


def user_agent(settings: dict) -> UserAgent:
    """Return the user agent that the settings ask for."""
    given = settings.get
    aor = settings["aor"].encode()
    more = {"target": settings["to"].encode()}
    user, at, _ = aor[aor.find(b":") + 1 :].partition(b"@")
    if at:
        if user.find(b"%") >= 0:
            from agent.escapes import unescape

            user = unescape(user)
        more["users"] = (user.partition(b":")[0],)
    if given("proxy"):
        more["proxy"] = given("proxy").encode()
    if given("transport"):
        more["transport"] = given("transport").upper().encode()
    if given("notify"):
        from mote.notify import ACCEPT, unpacker

        more["accept"] = ACCEPT
        more["inflate"] = unpacker()
    if given("password") or given("commanders"):
        from mote.passwords import secrets

        more.update(secrets(settings, os.urandom))
    if gmtime()[0] >= 2024 or given("ntp"):  # an earlier year: the board's clock was never set
        from mote.clock import clock

        more["clock"] = clock()
    return UserAgent(aor, sent_by(settings), os.urandom, **more)
