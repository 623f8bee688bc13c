"""A binding that a registrar lists in words of its own, or not at all. Loaded by the first one that does.

RFC 3261 section 10.3, step 8 has it list our contact in its 200. Routers and servers rewrite contacts, and some leave
them out: a 200 counts all the same, as it does for most clients, or we could never be registered there.
"""

from ..errors import ParseError
from ..headers.uri_equality import equivalent
from ..headers.values import param, parse_address
from ..message import Message
from ..uri import parse_uri


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
