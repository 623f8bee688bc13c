"""Passwords: the board's own for servers that ask, and those of who may command it. Loaded where one is configured."""

from agent.compat import const
from agent.uri import parse_uri

_KEEP = const(16)  # used nonces that are remembered, about 100 octets each


def secrets(settings: dict, random_bytes: object) -> tuple:
    """Return (credentials, authenticator or None) that the settings ask for, as UserAgent takes them.

    The realm of the commanders' hashes is the host of the board's aor.
    """
    aor = parse_uri(settings["aor"].encode())
    credentials = ()
    if settings["password"]:
        __import__("agent.auth.client")  # now, while memory is in one piece

        user = settings["user"].encode() if settings["user"] else aor.user or b""
        credentials = ((b"", user, settings["password"].encode()),)
    commanders = settings["commanders"]
    if not commanders:
        return credentials, None
    from agent.auth.server import Authenticator

    users = {}
    for user in commanders:
        ha1 = commanders[user].encode()
        users[user.encode()] = {b"md5" if len(ha1) == 32 else b"sha-256": ha1}
    return credentials, Authenticator(aor.host, users, random_bytes, keep=_KEEP)
