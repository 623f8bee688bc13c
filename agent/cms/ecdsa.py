"""ECDSA on P-256 with SHA-256 (FIPS 186-5), for boards. Its k comes from the message (RFC 6979), not from luck."""

from hashlib import sha256

from .der import INTEGER, SEQUENCE, encode
from .p256 import N, inverse, multiply

_INNER = int.from_bytes(b"\x36" * 64, "big")
_OUTER = int.from_bytes(b"\x5c" * 64, "big")


def _hmac(key: bytes, octets: bytes) -> bytes:
    n = int.from_bytes(key + bytes(64 - len(key)), "big")
    inner = sha256((n ^ _INNER).to_bytes(64, "big") + octets).digest()
    return sha256((n ^ _OUTER).to_bytes(64, "big") + inner).digest()


def _secrets(digest: bytes, secret: bytes) -> object:
    """Yield what may be k (RFC 6979 section 3.2)."""
    seed = secret + (int.from_bytes(digest, "big") % N).to_bytes(32, "big")
    v = b"\1" * 32
    k = bytes(32)
    for mark in b"\0\1":
        k = _hmac(k, v + bytes((mark,)) + seed)
        v = _hmac(k, v)
    while True:
        v = _hmac(k, v)
        yield int.from_bytes(v, "big")
        k = _hmac(k, v + b"\0")
        v = _hmac(k, v)


def sign(digest: bytes, secret: bytes, generator: bytes, hiding: int) -> bytes:
    """Return a signature in DER.

    digest: SHA-256 of what is signed. secret: the private key, 32 octets. generator: its table. hiding: a random number
    from 1 to N - 1, on which the signature doesn't depend.
    """
    for k in _secrets(digest, secret):  # type: ignore[attr-defined]
        if not 0 < k < N:
            continue
        r = multiply(hiding, (k, generator))[0] % N
        s = int.from_bytes(digest, "big") + r * int.from_bytes(secret, "big")
        s = s * hiding % N * inverse(k * hiding, N) % N
        if r and s:
            return encode(SEQUENCE, _integer(r), _integer(s))
    raise AssertionError


def _integer(n: int) -> bytes:
    octets = n.to_bytes(33, "big").lstrip(b"\0")
    return encode(INTEGER, b"\0" + octets if octets[0] & 0x80 else octets)
