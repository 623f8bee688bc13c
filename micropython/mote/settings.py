"""The board's configuration: /mote.json, which `sipmote deploy` checks and writes."""

import json

PATH = "/mote.json"
_LEVELS = ("debug", "info", "warning", "error")
_DEFAULTS = {
    "proxy": None,
    "transport": "udp",
    "bind": "0.0.0.0:5060",
    "user": None,  # whose password it is; None: the aor's
    "password": None,
    "commanders": None,  # user -> H(user:host of the aor:password), SHA-256 or MD5 by its length
    "allow": None,
    "tls_fingerprint": None,  # SHA-256 of the server's certificate, in hexadecimal
    "wifi": (),
    "dns": None,  # the server to ask, "ADDRESS" or "ADDRESS:PORT", in place of the network's
    "register": 0,  # seconds to ask the registrar for
    "notify": 0,  # seconds to wait to be told of a delivery, after a 202; 0: alerts don't ask for it
    "ntp": None,
    "budget": "compact",
    "log": "info",
}


def load(path: str = PATH) -> dict:
    """Return the settings, defaults filled in. Raises ValueError that says what to do about a file that won't do."""
    try:
        with open(path) as file:
            settings = json.load(file)
        if not settings["aor"] or not settings["to"]:
            raise ValueError
    except (OSError, KeyError, TypeError, ValueError):
        raise ValueError(
            "%s: aor and to are needed; write it with sipmote deploy --set aor=sip:... --set to=sip:..." % path
        )
    for key in _DEFAULTS:
        settings.setdefault(key, _DEFAULTS[key])
    if settings["allow"] is None:
        settings["allow"] = [settings["to"]]
    settings["log"] = _LEVELS.index(settings["log"])
    return settings
