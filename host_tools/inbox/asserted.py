"""--trust-proxy: who has sent a message, as a server says that has asked him for his password (RFC 3325)."""

from collections.abc import Collection

from sipmote.agent.errors import ParseError
from sipmote.agent.message import Message
from sipmote.people import logins
from sipmote.sip.places import Flow
from sipmote.sip.reader import parse_address


def asserted(message: Message, flow: Flow, trusted: Collection[str]) -> bytes | None:
    """Return USER@HOST of P-Asserted-Identity where the message comes from a server that we trust, else None.

    trusted: IP addresses. Source: RFC 3325 sections 5 and 9.1: from anybody else the field is ignored; it has one SIP
    URI, and perhaps a tel URI. With more nobody is meant.
    """
    if not trusted or flow[1].decode() not in trusted:
        return None
    try:
        uris = [parse_address(value)[1] for value in message.members(b"p-asserted-identity")]
    except ParseError:
        return None
    named = [uri for uri in uris if uri[:4].lower() in (b"sip:", b"sips")]
    if len(named) != 1 or len(uris) > 2:
        return None
    user, at_host = logins(named[0].decode("utf-8", "replace"))
    return at_host.encode() if user else None
