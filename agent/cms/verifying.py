"""Are signatures good? ECDSA on P-256 (FIPS 186-5) and RSA PKCS #1 v1.5 (RFC 8017), for boards."""

import hashlib

from ..errors import ParseError
from .der import INTEGER, OCTETS, OID, SEQUENCE, encode
from .der_reader import decode
from .names import SHA256
from .p256 import N, inverse, multiply

_LAST = {"sha256": b"\1", "sha384": b"\2", "sha512": b"\3"}  # octet of the hash's identifier


def is_ecdsa(covered: bytes, hash: str, value: bytes, generator: bytes, table: bytes) -> bool:
    """Is value a signature of covered, with a hash of hashlib, by the key of a table?"""
    try:
        root = decode(value)
        numbers = [root.take(INTEGER).octets for _ in range(2)]
    except ParseError:
        return False
    for octets in numbers:  # a negative one, or more zeros than DER has
        if octets[:1] > b"\x7f" or (octets[:1] == b"\0" and octets[1:2] < b"\x80"):
            return False
    r, s = [int.from_bytes(octets, "big") for octets in numbers]
    if not (0 < r < N and 0 < s < N) or value != encode(SEQUENCE, *[encode(INTEGER, octets) for octets in numbers]):
        return False  # DER has one form of each, and nothing behind
    w = inverse(s, N)
    k = int.from_bytes(getattr(hashlib, hash)(covered).digest()[:32], "big") * w % N
    try:
        return multiply(1, (k, generator), (r * w % N, table))[0] % N == r if k else False
    except ZeroDivisionError:
        return False


def is_rsa(covered: bytes, hash: str, value: bytes, modulus: bytes, exponent: int) -> bool:
    """Is value a signature of covered, with a hash of hashlib, by an RSA key? modulus: without zeros in front."""
    size = len(modulus)
    name = encode(SEQUENCE, encode(OID, SHA256[:-1] + _LAST[hash]), b"\5\0")
    info = encode(SEQUENCE, name, encode(OCTETS, getattr(hashlib, hash)(covered).digest()))
    if len(value) != size or size < len(info) + 11:
        return False
    n = pow(int.from_bytes(value, "big"), exponent, int.from_bytes(modulus, "big"))
    return n.to_bytes(size, "big") == b"\0\1" + b"\xff" * (size - len(info) - 3) + b"\0" + info
