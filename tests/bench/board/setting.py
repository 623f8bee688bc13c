# Stands in for a board's /mote.json. Arguments: the port of the peer, then "tcp", a number of alerts, KEY=VALUE.
import sys

from mote import settings

count = 1  # the argument that is a number: how often
_defaults = settings.load.__globals__["_DEFAULTS"]


for word in sys.argv[2:]:
    if word.isdigit():
        count = int(word)


def load():
    to = "sip:desk@127.0.0.1:" + sys.argv[1] + (";transport=tcp" if "tcp" in sys.argv else "")
    made = dict(_defaults)
    made.update({"aor": "sip:boiler@127.0.0.1", "to": to, "bind": "127.0.0.1:0", "allow": [to]})
    for word in sys.argv[2:]:
        if "=" in word:
            key, _, value = word.partition("=")
            made[key] = int(value) if value.isdigit() else value
    return made


settings.load = load
