# Stands in for a board's /mote.json: the peer's port is the program's first argument, a URI parameter its second.
import sys

from mote import settings

more = {}  # settings that a program wants beside those
_defaults = settings.load.__globals__["_DEFAULTS"]


def load():
    to = "sip:desk@127.0.0.1:" + sys.argv[1] + (";transport=tcp" if "tcp" in sys.argv else "")
    made = dict(_defaults)
    made.update({"aor": "sip:boiler@127.0.0.1", "to": to, "bind": "127.0.0.1:0", "allow": [to]})
    made.update(more)
    for word in sys.argv[2:]:
        if "=" in word:
            key, _, value = word.partition("=")
            made[key] = int(value) if value.isdigit() else value
    return made


settings.load = load
