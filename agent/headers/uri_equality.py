"""The full comparison of two URIs (RFC 3261 section 19.1.4), for uses where Uri.key() is not strict enough."""

from ..escapes import unescape
from ..uri import Uri

_RESERVED = b";/?:@&=+$,"  # an escape of one of these means something else than the sign itself (RFC 2396 section 2.2)


def equivalent(one: Uri, other: Uri) -> bool:
    """Say whether two URIs are equivalent. Most parameters count only where both have them, so this isn't transitive.

    Header values are compared octet by octet after unescaping, which is stricter than some fields' own rules.
    """
    if one.key() != other.key() or _decoded(one.user) != _decoded(other.user):
        return False
    for name, value in one.params:
        theirs = other.param(name)
        if theirs is not None and unescape(value or b"").lower() != unescape(theirs).lower():
            return False
    return _headers(one) == _headers(other)


def _decoded(user: bytes | None) -> bytes | None:
    """Return a user part with needless escapes undone and the others in upper case, to be compared."""
    if user is None:
        return None
    parts = user.split(b"%")
    out = parts[0]
    for part in parts[1:]:
        octet = unescape(b"%" + part[:2])
        out += (b"%" + part[:2].upper() if octet in _RESERVED else octet) + part[2:]
    return out


def _headers(uri: Uri) -> list:
    """Return the (name, value) pairs of a URI's headers, sorted."""
    headers = []
    for part in uri.headers.split(b"&"):
        equals = part.find(b"=")
        headers.append((unescape(part[:equals]).lower(), unescape(part[equals + 1 :])))
    return sorted(headers)
