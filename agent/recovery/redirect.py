"""Turning to another URI, because a 3xx says so (RFC 3261 section 8.1.3.4)."""

from ..any_target import place_of
from ..changed import changed
from ..errors import ParseError
from ..headers.values import parse_address
from ..message import Message
from ..peers import Peers
from ..request import Request
from ..uri import parse_uri


def amend(request: Request, status: int, response: Message | None, peers: Peers, now: int) -> Request | None:
    """Return the request for the next Contact that was not tried yet, never from sips to sip; see recovery.amend()."""
    if response is None:
        return None
    tried = request.tried or (request.key,)
    was_secure = request.uri[:5].lower() == b"sips:"
    try:
        contacts = response.members(b"contact")
    except ParseError:
        return None
    for contact in contacts:
        try:
            uri = parse_uri(parse_address(contact)[1])
            flow, place = request.first_hop or (uri.flow(request.flows[0][0]), place_of(uri))
        except ParseError:
            continue
        is_secure = uri.scheme == b"sips"
        if uri.key() in tried or (was_secure and not is_secure) or (is_secure and flow[0] != b"TLS"):
            continue
        tried = tried + (uri.key(),)
        return changed(request, uri=uri.request_uri(), key=uri.key(), flows=(flow,), place=place, tried=tried)
    return None
