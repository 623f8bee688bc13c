"""Another content type after a 415, 406 or 488, another scheme after a 416 (RFC 3261 section 8.1.3.5).

Many servers say 488 or 406 of a content type they don't take, where 415 is meant.
"""

from ..changed import changed
from ..headers.values import media_type, takes
from ..message import Message
from ..peers import Peers
from ..request import Request
from ..uri import Uri, parse_uri


def amend(request: Request, status: int, response: Message | None, peers: Peers, now: int) -> Request | None:
    """Return the request in its other form, None when it has none; see agent.recovery.amend()."""
    if status == 416:
        return _as_sip(request)
    if request.fallback is None or response is None:
        return None
    content_type, body = request.fallback
    accepted = [media_type(value) for value in b",".join(response.all(b"accept")).split(b",")]
    if b"" not in accepted and not takes(accepted, media_type(content_type)):  # without an Accept it may take anything
        return None
    peers.refuse(request.peer, request.content_type)  # type: ignore[attr-defined]
    line = b"Content-Type: %s\r\n" % content_type
    tried = request.tried + (b"%d" % status,)
    return changed(request, content_type=content_type, content_line=line, body=body, fallback=None, tried=tried)


def heed(request: Request, response: Message, peers: Peers) -> None:
    """Believe the Accept of a 2xx: many show their people whatever comes, and say there what they can read."""
    accepted = [media_type(value) for value in b",".join(response.all(b"accept")).split(b",")]
    if not takes(accepted, media_type(request.content_type)):  # type: ignore[attr-defined]
        peers.refuse(request.peer, request.content_type)  # type: ignore[attr-defined]


def _as_sip(request: Request) -> Request | None:
    """Return the request with an im: or tel: URI written as sip:, once."""
    uri = parse_uri(request.uri)
    if uri.scheme not in (b"im", b"tel") or b"416" in request.tried or not uri.host:
        return None
    uri = Uri(b"sip", uri.user, uri.host, uri.port, uri.params)
    key = getattr(request, "lane", b"") + uri.key()
    return changed(request, uri=uri.request_uri(), key=key, tried=request.tried + (b"416",))
