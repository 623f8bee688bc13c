"""Contacts in a registrar's or a router's own words, or not listed at all. Loaded by the first such one.

RFC 3261 section 10.3, step 8 has a registrar list our contact in its 200. Routers and servers rewrite contacts, and
some leave them out: a 200 counts all the same, as it does for most clients, or we could never be registered there. A
Request-URI that is our contact (section 8.2.2.1) may be written in another way than we did, too.
"""

from ..compat import const
from ..errors import ParseError
from ..headers.uri_equality import equivalent
from ..headers.values import param, parse_address
from ..message import Message
from ..uri import Uri, parse_uri

_PORT = const(5060)


def granted(contact: bytes, response: Message) -> bytes:
    """Return the expires parameter of a contact as a 200 has it, b"" without one (RFC 3261 section 10.2.4).

    Where the contact isn't listed, that of the only one that is; b"" when that leaves a choice and Expires says it all.
    """
    try:
        contacts = response.members(b"contact")
    except ParseError:
        return b""
    seconds = b""
    for value in contacts:
        try:
            _, uri, params = parse_address(value)
            seconds = (param(params, b"expires") or b"").strip(b'"')
            if equivalent(parse_uri(uri), parse_uri(contact)):
                return seconds
        except ParseError:
            continue
    if len(contacts) != 1 or response.get(b"expires") is not None:
        return b""
    return seconds


def rewritten(response: Message) -> bytes:
    """Return what a router or a server has made of our contact: the only one that a 200 lists; b"" for no such URI."""
    try:
        contacts = response.members(b"contact")
        uri = parse_address(contacts[0])[1] if len(contacts) == 1 else b""
        return uri if uri and parse_uri(uri).host else b""
    except ParseError:
        return b""


def is_one_of(uri: Uri, contacts: tuple) -> bool:
    """Is a Request-URI one of our contacts? Servers add parameters and leave some out, so that these don't count."""
    return _place(uri) in [_place(parse_uri(contact)) for contact in contacts]


def _place(uri: Uri) -> bytes:
    return Uri(b"sip", uri.user, uri.host, uri.port or _PORT, []).key()
