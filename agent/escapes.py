"""Escapes in URIs (RFC 3261 section 19.1.2). Loaded for the first URI that has some and must be compared."""

from binascii import unhexlify


def unescape(value: bytes) -> bytes:
    """Decode %HH once; a percent sign that starts no escape stays (RFC 3261 section 19.1.2)."""
    parts = value.split(b"%")
    for i in range(1, len(parts)):
        part = parts[i]
        try:
            parts[i] = unhexlify(part[:2]) + part[2:] if len(part) > 1 else b"%" + part
        except ValueError:
            parts[i] = b"%" + part
    return b"".join(parts)
