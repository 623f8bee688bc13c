"""Passwords: the board's own for servers that ask, and those of who may command it. Loaded where one is configured."""

from agent.compat import const
from agent.uri import parse_uri

_KEEP = const(16)  # used nonces that are remembered, about 100 octets each


def secrets(settings: dict, random_bytes: object) -> dict:
    """Return the credentials and the authenticator that the settings ask for, as UserAgent takes them.

    The realm of the commanders' hashes is the host of the board's aor.
    """
    aor = parse_uri(settings["aor"].encode())
    found = {}
    if settings.get("password"):
        __import__("agent.auth.client")  # now, while memory is in one piece

        user = settings["user"].encode() if settings.get("user") else aor.user or b""
        found["credentials"] = ((b"", user, settings["password"].encode()),)
    commanders = settings.get("commanders")
    if commanders:
        from agent.auth.server import Authenticator

        users = {}
        for user in commanders:
            ha1 = commanders[user].encode()
            users[user.encode()] = {b"md5" if len(ha1) == 32 else b"sha-256": ha1}
        found["authenticator"] = Authenticator(aor.host, users, random_bytes, keep=_KEEP)
    return found
