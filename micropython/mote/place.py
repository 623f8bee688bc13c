"""How a board names its place in a Via. Freed with what it is needed for."""


def sent_by(settings: dict, host: str = "") -> bytes:
    """Return our sent-by; where the address isn't known, answers still find us by rport (RFC 3581)."""
    bound, _, port = settings.get("bind", "0.0.0.0:5060").rpartition(":")
    host = host or bound
    return b"%s:%d" % (b"mote.invalid" if host in ("0.0.0.0", "[::]") else host.encode(), int(port) or 5060)
