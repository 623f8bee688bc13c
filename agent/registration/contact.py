"""A binding that a registrar lists in words of its own (RFC 3261 section 10.2.4). Loaded by the first one that does."""

from ..errors import ParseError
from ..headers.values import param, parse_address
from ..message import Message
from ..uri import parse_uri


def granted(contact: bytes, response: Message) -> bytes | None:
    """Return the expires parameter of a contact as a 200 has it, b"" without one; None when it isn't listed."""
    try:
        contacts = response.members(b"contact")
    except ParseError:
        return None
    for value in contacts:
        try:
            _, uri, params = parse_address(value)
            if parse_uri(uri).key() == parse_uri(contact).key():
                return param(params, b"expires") or b""
        except ParseError:
            continue
    return None
