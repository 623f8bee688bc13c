"""The board's configuration: /mote.json, which `sipmote deploy` checks and writes. What is not in it has its default
where it is used; micropython/README.md lists the keys. Freed when the user agent is made of it.
"""

import json
import os
from time import gmtime

from agent.compat import const
from agent.user_agent import UserAgent
from mote.place import sent_by

_OTHERS = const("proxy transport notify password commanders ntp protect require heartbeat")


def load(path: str = "/mote.json") -> dict:
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


def user_agent(settings: dict, mote: object) -> UserAgent:
    """Return the user agent that the settings ask for. mote: the mote.Mote that gets it."""
    aor = settings["aor"].encode()
    to = settings["to"]
    more = {"target": (to if type(to) is str else to[0]).encode()}
    user, at, _ = aor[aor.find(b":") + 1 :].partition(b"@")
    if at:
        more["users"] = (user.partition(b":")[0],)
    if [name for name in _OTHERS.split() if name in settings] or user.find(b"%") >= 0 or gmtime()[0] >= 2024:
        from mote.further_settings import further

        further(settings, more, mote)
    return UserAgent(aor, sent_by(settings), os.urandom, **more)
