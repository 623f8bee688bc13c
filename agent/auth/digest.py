"""Digest access authentication for SIP (RFC 3261 section 22, RFC 7616, RFC 8760): the parts that both ends need.

Algorithms: SHA-512-256, SHA-256, MD5 and their -sess forms, as far as this interpreter's hashlib has them. MicroPython
has no SHA-512-256, which comes from OpenSSL. agent.auth.client answers challenges, agent.auth.server makes them.
"""

import hashlib
from binascii import hexlify

from ..compat import const
from ..errors import ParseError

_MAX_PARAMETERS = const(64)  # of one challenge: no scheme has a dozen
_HASHES = {b"sha-256": "sha256", b"md5": "md5", b"sha-512-256": "sha512_256"}


def parse_parameters(value: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    """Split a challenge or credentials into (lower-case scheme, {lower-case name: value}).

    Values keep the escapes that they have between their quotes. A repeated name raises ParseError, and so do too many.
    Source: RFC 3261 section 25.1 (challenge, credentials).
    """
    words = value.split(None, 1)
    if len(words) != 2:
        raise ParseError("a scheme and its parameters were expected")
    rest = words[1]
    if rest.count(b",") > _MAX_PARAMETERS or rest.count(b'"') > 4 * _MAX_PARAMETERS:
        raise ParseError("fewer parameters were expected")
    has_escapes = rest.find(b"\\") >= 0
    if has_escapes:  # out of the way of the quotes, in octets that no value has
        if rest.find(b"\0") >= 0:
            raise ParseError("text without NUL was expected")
        rest = rest.replace(b"\\\\", b"\0\0").replace(b'\\"', b"\0\1")
    found: dict[bytes, bytes] = {}
    pieces = rest.split(b'"')  # outside quotes and inside them, in turns
    if len(pieces) % 2 == 0:
        raise ParseError("a closing quote was expected")
    name = b""  # of the last parameter
    for i in range(len(pieces)):
        if i % 2:
            if not name or found[name]:
                raise ParseError("a parameter name before a quoted string was expected")
            found[name] = pieces[i]
            continue
        members = pieces[i].split(b",")
        if i and members.pop(0).strip():
            raise ParseError("a comma after a quoted string was expected")
        name = _take(members, found)
    if has_escapes:
        for name in found:
            found[name] = found[name].replace(b"\0\0", b"\\\\").replace(b"\0\1", b'\\"')
    return words[0].lower(), found


def _take(members: list[bytes], found: dict[bytes, bytes]) -> bytes:
    """Put parameters without quoted strings into found; returns the name of the last one, b"" where there is none."""
    name = b""
    for member in members:
        name, equals, content = member.partition(b"=")
        name = name.strip().lower()
        if name in found or (not name and equals) or (name and not equals):
            raise ParseError("parameters, each of them once, were expected")
        if name:
            found[name] = content.strip()
    return name


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
    return hexhash(algorithm, b":".join((user, realm, password)))


def response(algorithm: bytes, ha1: bytes, params: dict[bytes, bytes], method: bytes, uri: bytes, body: bytes) -> bytes:
    """Return the `response` value for these parameters (RFC 7616 section 3.4.1).

    algorithm: as in the challenge, b"" for none. ha1: from secret(). params: nonce and, with a qop, cnonce, nc, qop.
    """
    name = algorithm.lower() or b"md5"
    qop = params.get(b"qop", b"")
    if name[-5:] == b"-sess":
        name = name[:-5]
        ha1 = hexhash(name, b":".join((ha1, params[b"nonce"], params.get(b"cnonce", b""))))
    a2 = method + b":" + uri
    if qop.lower() == b"auth-int":
        a2 += b":" + hexhash(name, body)
    middle: tuple[bytes, ...] = (params[b"nonce"],)
    if qop:
        middle += (params[b"nc"], params[b"cnonce"], qop)
    return hexhash(name, b":".join((ha1,) + middle + (hexhash(name, a2),)))
