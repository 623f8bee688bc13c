"""Turning elsewhere or to something else because the peer says so: 3xx, 415 and 416. Loaded at the first of them."""

from ..compat import const
from ..errors import ParseError
from ..events import Event
from ..headers.values import media_type, parse_address, takes
from ..message import Message
from ..uac import Draft, Uac
from ..uri import Uri, parse_uri

_MAX_REFUSED = const(64)  # content types of peers that are remembered


def turn(uac: Uac, draft: Draft, status: int, message: Message) -> bool:
    """Change draft as a 3xx, 415 or 416 has it; False when there is no sense in another attempt."""
    if status < 400:
        return _redirect(uac, draft, message)
    if status == 416 and draft.uri.scheme in (b"im", b"tel") and b"416" not in draft.tried and draft.uri.host:
        draft.tried.append(b"416")
        old = draft.uri
        draft.uri = Uri(b"sip", old.user, old.host, old.port, old.params)
        return True
    return status == 415 and draft.fallback is not None and _fall_back(uac, draft, message)


def _redirect(uac: Uac, draft: Draft, message: Message) -> bool:
    """Turn to the next Contact of a 3xx that was not tried yet, never from sips to sip (RFC 3261 section 8.1.3.4)."""
    if not draft.tried:
        draft.tried.append(draft.uri.key())
    try:
        contacts = message.members(b"contact")
    except ParseError:
        return False
    for contact in contacts:
        try:
            uri = parse_uri(parse_address(contact)[1])
            flow = draft.route.flow if draft.route is not None else uac.proxy_flow or uri.flow(draft.flow[0])
        except ParseError:
            continue
        if uri.key() in draft.tried or (draft.uri.scheme == b"sips" and uri.scheme != b"sips"):
            continue
        if uri.scheme == b"sips" and flow[0] != b"TLS":
            continue
        draft.tried.append(uri.key())
        draft.flow = flow
        draft.flows = []
        draft.challenges = uac.challenges.get((draft.method, flow[:3]), [])  # the old ones were others'
        draft.uri = uri
        return True
    return False


def requeue(uac: Uac, draft: Draft, key: bytes, now: int) -> list[Event]:
    """Begin with a request that was built for another URI when nothing is pending there; what waited behind it goes on.

    key: of the queue that it has been the first of until now (RFC 3428 section 8).
    """
    queue = uac.queues.setdefault(draft.uri.key(), [])
    queue.append(draft)
    events = uac.start(draft, now) if len(queue) == 1 else []
    return events + uac.go_on(key, now)


def _fall_back(uac: Uac, draft: Draft, message: Message) -> bool:
    """Turn to the sender's other content type, unless the peer's Accept leaves that out, too; remember it for the peer.

    Source: RFC 3261 section 8.1.3.5.
    """
    content_type, body = draft.fallback  # type: ignore[misc]
    draft.fallback = None
    accepted = [media_type(value) for value in b",".join(message.all(b"accept")).split(b",")]
    if b"" not in accepted and not takes(accepted, media_type(content_type)):  # without an Accept it may take anything
        return False
    uac.refused = uac.refused[1 - _MAX_REFUSED :] + ((draft.key, draft.content_type),)
    draft.content_type = content_type
    draft.body = body
    return True
