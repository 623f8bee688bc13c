"""The name that a board keeps over restarts, made from its chip's number (RFC 5626 section 4.1)."""

from binascii import hexlify


def instance() -> bytes:
    """Return a URN with a UUID whose node is the chip's unique number; b"" on a board that has none."""
    try:
        from machine import unique_id
    except ImportError:
        return b""
    number = hexlify(unique_id())[-12:]
    return b"urn:uuid:00000000-0000-1000-8000-" + b"0" * (12 - len(number)) + number
