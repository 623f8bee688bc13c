"""The key that follows from a shared secret (RFC 5753 section 7.2, X9.63), for both halves of enveloped data."""

import hashlib

from .der import OCTETS, SEQUENCE, encode


def derive(secret: bytes, hash: str, wrap: bytes, size: int, extra: bytes | None) -> bytes:
    """Return the wrapping key, of size octets, that follows from a shared secret (RFC 5753 section 7.2, X9.63).

    wrap: the AlgorithmIdentifier of the key wrap, unchanged. extra: user keying material, None without any.
    """
    info = encode(SEQUENCE, wrap, b"" if extra is None else encode(0xA0, encode(OCTETS, extra)), _bits(size))
    key = b""
    count = 0
    while len(key) < size:
        count += 1
        key += getattr(hashlib, hash)(secret + bytes((0, 0, 0, count)) + info).digest()
    return key[:size]


def _bits(size: int) -> bytes:
    size *= 8
    return encode(0xA2, encode(OCTETS, bytes((0, 0, size >> 8, size & 0xFF))))
