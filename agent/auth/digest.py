"""Digest access authentication for SIP (RFC 3261 section 22, RFC 7616, RFC 8760): the parts that both ends need.

Algorithms: SHA-512-256, SHA-256, MD5 and their -sess forms, as far as this interpreter's hashlib has them. MicroPython
has no SHA-512-256, which comes from OpenSSL. agent.auth.client answers challenges, agent.auth.server makes them.
"""

import hashlib
from binascii import hexlify

from ..errors import ParseError

_HASHES = {b"sha-256": "sha256", b"md5": "md5", b"sha-512-256": "sha512_256"}


def parse_parameters(value: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    """Split a challenge or credentials into (lower-case scheme, {lower-case name: value}).

    Values keep the escapes that they have between their quotes. A repeated name raises ParseError.
    Source: RFC 3261 section 25.1 (challenge, credentials).
    """
    words = value.split(None, 1)
    if len(words) != 2:
        raise ParseError("a scheme and its parameters were expected")
    rest = words[1]
    found: dict[bytes, bytes] = {}
    at = 0
    while True:
        at = _skip(rest, at, b", \t")
        if at == len(rest):
            return words[0].lower(), found
        equals = rest.find(b"=", at)
        name = rest[at:equals].rstrip().lower()
        if equals <= at or name in found:
            raise ParseError("parameters, each of them once, were expected")
        at = _skip(rest, equals + 1, b" \t")
        end = _quoted_end(rest, at)
        comma = rest.find(b",", end or at)
        if comma < 0:
            comma = len(rest)
        found[name] = rest[at + 1 : end - 1] if end else rest[at:comma].rstrip()
        if end and rest[end:comma].strip():
            raise ParseError("a comma after a quoted string was expected")
        at = comma


def _skip(value: bytes, at: int, octets: bytes) -> int:
    """Return where the first octet from at on is that is none of these."""
    while at < len(value) and value[at] in octets:
        at += 1
    return at


def _quoted_end(value: bytes, at: int) -> int:
    """Return where the quoted string ends that begins at an octet of value, 0 when none begins there."""
    if value[at : at + 1] != b'"':
        return 0
    end = at
    while True:
        end = value.find(b'"', end + 1)
        if end < 0:
            raise ParseError("a closing quote was expected")
        slashes = 0
        while value[end - 1 - slashes] == 92:
            slashes += 1
        if slashes % 2 == 0:
            return end + 1


def quote(text: bytes) -> bytes:
    """Return text as it is written between quotes, with escapes (RFC 3261 section 25.1, quoted-pair)."""
    return text.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def unquote(text: bytes) -> bytes:
    """Return text from between quotes with its escapes undone."""
    parts = text.split(b"\\\\")
    return b"\\".join([part.replace(b"\\", b"") for part in parts])


def hexhash(algorithm: bytes, data: bytes) -> bytes:
    """Return the lower-case hexadecimal digest of data; algorithm: b"md5", b"sha-256" or b"sha-512-256"."""
    name = _HASHES[algorithm]
    made = getattr(hashlib, name)(data) if hasattr(hashlib, name) else hashlib.new(name, data)
    return hexlify(made.digest())


def is_supported(algorithm: bytes) -> bool:
    """Can we compute this algorithm, given as in a challenge? Firmware built without TLS has no hashlib.md5."""
    name = algorithm.lower()
    if name[-5:] == b"-sess":
        name = name[:-5]
    known = _HASHES.get(name, "")
    return hasattr(hashlib, known) or known in getattr(hashlib, "algorithms_available", ())


def secret(algorithm: bytes, user: bytes, realm: bytes, password: bytes) -> bytes:
    """Return H(user:realm:password), what a server stores in place of a password."""
    return hexhash(algorithm, b"%s:%s:%s" % (user, realm, password))


def response(algorithm: bytes, ha1: bytes, params: dict[bytes, bytes], method: bytes, uri: bytes, body: bytes) -> bytes:
    """Return the `response` value for these parameters (RFC 7616 section 3.4.1).

    algorithm: as in the challenge, b"" for none. ha1: from secret(). params: nonce and, with a qop, cnonce, nc, qop.
    """
    name = algorithm.lower() or b"md5"
    qop = params.get(b"qop", b"")
    if name[-5:] == b"-sess":
        name = name[:-5]
        ha1 = hexhash(name, b"%s:%s:%s" % (ha1, params[b"nonce"], params.get(b"cnonce", b"")))
    a2 = b"%s:%s" % (method, uri)
    if qop.lower() == b"auth-int":
        a2 += b":" + hexhash(name, body)
    middle = params[b"nonce"]
    if qop:
        middle += b":%s:%s:%s" % (params[b"nc"], params[b"cnonce"], qop)
    return hexhash(name, b"%s:%s:%s" % (ha1, middle, hexhash(name, a2)))
