"""What a UAC tries before it gives up: RFC 3261 section 8.1.3. Loaded when a request fails for another reason than a
challenge (agent.auth.client)."""

from ..clock import later, parse_delta, until
from ..compat import const
from ..events import Event, Outcome
from ..message import Message
from ..uac import Draft, Uac

_DEAD_S = const(30)  # how long a flow that led nowhere is put behind others
_MAX_DEAD = const(16)  # flows remembered as such
_LONGEST_PAUSE_S = const(3600)


def retry_after_s(value: bytes | None) -> int:
    """Return the seconds to wait that a Retry-After value asks for, an hour at most; 0 when there is none to obey."""
    if value is None:
        return 0
    return min(parse_delta(value.split(b";")[0].split(b"(")[0].strip()) or 0, _LONGEST_PAUSE_S)


def amend(uac: Uac, draft: Draft, status: int, message: Message | None, now: int) -> bool:
    """Change draft so that it is worth another attempt; False when there is none.

    status: of the final response, 408 for a timeout, 503 for a transport error; message: the response, if there is one.
    """
    if status == 503 or message is None:
        _bury(uac, draft.flow, message, now)
        if message is None and status == 503 and not draft.flows:
            _add_udp(uac, draft)
        return _turn(uac, draft)
    if status < 400 or status in (415, 416):
        from .redirect import turn

        return turn(uac, draft, status, message)
    return False


def failed(uac: Uac, flow: tuple, now: int, reason: bytes) -> list[Event]:
    """End what is pending on a flow that is gone or can't be opened, as if by a 503 (RFC 3261 section 8.1.3.1).

    What waits behind it for the same flow and knows no other ends, too: a shell isn't told a hundred times.
    """
    events: list[Event] = []
    for queue in uac.queues.values():
        for draft in queue[1:]:
            if draft.flow[:3] == flow[:3] and not draft.flows:
                queue.remove(draft)
                events.append(Outcome(draft.call_id, "failed", 503, reason, None))
    for draft in list(uac.pending.values()):
        if draft.flow[:3] == flow[:3]:
            events += uac.finish(draft, "failed", 503, reason, None, now)
    return events


def _bury(uac: Uac, flow: tuple, message: Message | None, now: int) -> None:
    """Remember for a while that a flow leads nowhere: for Retry-After, or a time of our own."""
    dead = uac.dead = getattr(uac, "dead", {})
    for known in list(dead):
        if until(dead[known], now) <= 0 or len(dead) >= _MAX_DEAD:
            del dead[known]
    seconds = 0 if message is None else retry_after_s(message.get(b"retry-after"))
    dead[flow[:3]] = later(now, (seconds or _DEAD_S) * 1000)


def _turn(uac: Uac, draft: Draft) -> bool:
    """Turn to the next flow: the same request in a new transaction (RFC 3263 section 4.3).

    Another server may challenge for the same realms, with nonces of its own.
    """
    if not draft.flows:
        return False
    draft.flow = draft.flows.pop(0)
    draft.cseq -= 1
    draft.challenges = uac.challenges.get((draft.method, draft.flow[:3]), [])
    draft.tried = [b"flow" if mark.find(b" ") > 0 else mark for mark in draft.tried]  # a field and its realm
    draft.tried.append(b"flow")
    return True


def _add_udp(uac: Uac, draft: Draft) -> None:
    """Let UDP be next where our preference alone has led to TCP, and the peer has none (RFC 3261 section 18.1.1)."""
    flow = draft.flow
    uri = draft.uri if draft.route is None else draft.route.uri
    if flow[0] != b"TCP" or flow == uac.proxy_flow or uri.param(b"transport") is not None or uri.scheme != b"sip":
        return
    from ..resolve.search import is_address

    if flow == uri.flow(b"TCP") and is_address(flow[1]):
        draft.flows.append((b"UDP",) + flow[1:])
