"""Answers to those who have sent us a message. Loaded by the first one."""

from .compat import const
from .request import Request
from .target import read_target

_LANE = b"reply:"  # what the queues of replies begin with, as agent.more has it: no URI does
_LONGEST = const(64)  # octets of a Call-ID


def reply(
    uac: "Uac",  # type: ignore[name-defined]  # noqa: F821
    received: "MessageReceived",  # type: ignore[name-defined]  # noqa: F821
    call_id: bytes,
    body: bytes,
    now: int,
    compact: bool = False,
    **options: object,
) -> list | tuple:
    """Send text to who sent a MessageReceived: by the proxy or the route if we have one, else on its flow.

    Replies have queues of their own: anybody can write another's URI as From, and an answer that nobody takes must
    not hold up what is for that one. So beside one message, one reply may be pending for a URI (RFC 3428 section 8
    wants one in all): what a stranger triggers never waits in front of what we have to tell.
    It names what it answers, so that nobody has to guess: in_reply_to().
    compact: with short header names. options: content_type. Raises UsageError as send() does.
    """
    if compact:
        options["compact"] = True
    lane = _LANE
    if uac.is_guided:
        request = uac.request(call_id, received.sender, body, options)
    else:
        request, lane = _back(uac, received, call_id, body, options)
    request.content_line = in_reply_to(received) + request.content_line
    request.lane = lane
    request.key = lane + request.key
    return uac.send(request, now)  # type: ignore[no-any-return]


def in_reply_to(received: "MessageReceived") -> bytes:  # type: ignore[name-defined]  # noqa: F821
    """Return the line by which a reply names a MessageReceived (RFC 3261 section 20.21), b"" for none.

    A Call-ID of over 64 octets would take the room of the text.
    """
    call_id = received.call_id
    return b"" if len(call_id) > _LONGEST else b"In-Reply-To: %s\r\n" % call_id


def _back(uac: "Uac", received: "MessageReceived", call_id: bytes, body: bytes, options: dict) -> tuple:  # type: ignore[name-defined]  # noqa: F821
    """Return (a reply that goes where a MessageReceived came from, what the name of its queue begins with).

    Where the sender's URI doesn't lead there the flow has a queue of its own, and doesn't ask for our password,
    unless it is at a host that had an answer to such a question before.
    """
    flow = received.flow
    lane = _LANE
    uri, to, key, named, _ = read_target(received.sender, flow[0], flow)
    if named is flow or named[1:3] != flow[1:3]:  # the grammar tells only whether it is a URI
        lane += b"%s:%d:" % (flow[1], flow[2])
    given = (call_id, (uri, to, key, flow, None), uac.aor, uac.token(4), body)
    if options:
        from .full_request import FullRequest

        request: Request = FullRequest(uac, *given, options)
    else:
        request = Request(*given)
    is_known = uac.recovery is not None and uac.recovery.peers.has_asked(flow[1])
    if not is_known and (named is flow or named[1] != flow[1]):
        request.is_away = True  # type: ignore[attr-defined]
    return request, lane
