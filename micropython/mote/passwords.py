"""Passwords: the board's own for servers that ask, and those of who may command it. Loaded where one is configured."""

from agent.compat import const

_KEEP = const(16)  # used nonces that are remembered, about 100 octets each


def secrets(settings: dict, random_bytes: object) -> dict:
    """Return the credentials and the authenticator that the settings ask for, as UserAgent takes them.

    The realm of the commanders' hashes is the host of the board's aor.
    """
    found = {}
    if settings.get("password"):
        __import__("agent.auth.client")  # now, while memory is in one piece

        aor = settings["aor"]
        name = settings.get("user") or aor[aor.find(":") + 1 : max(aor.find("@"), 0)]
        found["credentials"] = ((b"", name.encode(), settings["password"].encode()),)
    commanders = settings.get("commanders")
    if commanders:
        from agent.auth.server import Authenticator
        from agent.uri import parse_uri

        realm = parse_uri(settings["aor"].encode()).host
        users = {}
        for user in commanders:
            ha1 = commanders[user].encode()
            users[user.encode()] = {b"md5" if len(ha1) == 32 else b"sha-256": ha1}
        if settings.get("protect") or settings.get("require"):
            from mote.signers import Signers as Authenticator
        found["authenticator"] = Authenticator(realm, users, random_bytes, keep=_KEEP)
    return found
