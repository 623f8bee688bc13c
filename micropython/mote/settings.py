"""The board's configuration: /mote.json, which `sipmote deploy` checks and writes. What is not in it has its default
where it is used; micropython/README.md lists the keys.
"""

import json

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
