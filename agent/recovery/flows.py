"""Requests whose flow is found, has failed, or is another one from now on. Loaded by the first of them."""

from ..events import Outcome
from ..request import BUDGET, ClientTransaction


def move(uac: "Uac", old_key: bytes, following: ClientTransaction, now: int, events: list) -> None:  # type: ignore[name-defined]  # noqa: F821
    """Put a request from the head of one queue at the end of another one."""
    new = following.request
    branch = following.via[-23:].lower()
    queue = uac.queues.get(new.key)
    if queue is None:
        uac.queues[new.key] = [new]
    else:
        queue.append(new)
    try:
        if queue is None:
            uac.start(following, events)
        uac.go_on(old_key, now, events)
    except MemoryError:
        if queue is None:
            del uac.queues[new.key]
            uac.pending.pop(branch, None)
        else:
            queue.remove(new)
        raise


def resolved(recovery: "Recovery", place: bytes, flows: list, now: int, reason: bytes) -> list:  # type: ignore[name-defined]  # noqa: F821
    """Go on with what waits for the flows of a place; none: it leads nowhere."""
    return recovery.uac.one_by_one([], _resolve, recovery, place, flows, now, reason)  # type: ignore[no-any-return]


def _resolve(
    attempt: ClientTransaction,
    events: list,
    recovery: "Recovery",  # type: ignore[name-defined]  # noqa: F821
    place: bytes,
    flows: list,
    now: int,
    reason: bytes,
) -> None:
    uac = recovery.uac
    request = attempt.request
    if request.place != place:
        return
    if not flows:
        recovery.end(attempt, 503, reason, None, now, events)
        return
    before = request.flows
    try:
        request.flows, request.place = tuple(recovery.peers.live_first(flows, now)) + before[1:], None
        branch = attempt.via[-23:]  # nothing was sent with it
        following = uac.attempt(request, now, branch)
        if len(following.data) > BUDGET:
            following = uac.attempt(request, now, branch, True)
        uac.start(following, events)
    except MemoryError:
        request.flows, request.place = before, place
        raise


def failed(recovery: "Recovery", flow: tuple, now: int, reason: bytes, events: list) -> list:  # type: ignore[name-defined]  # noqa: F821
    """End what is pending on a flow that is gone or can't be opened, as if by a 503; see UserAgent.failed().

    Returns events, to which is added. Raises MemoryError if there are none.
    """
    uac = recovery.uac
    for queue in uac.queues.values():
        for request in queue[1:]:
            if request.flows[0][:3] == flow[:3] and len(request.flows) == 1:
                try:
                    events.append(Outcome(request.call_id, "failed", 503, reason, None))
                except MemoryError:
                    if not events:
                        raise
                    return events
                queue.remove(request)
    return uac.one_by_one(events, _fail, recovery, flow, now, reason)  # type: ignore[no-any-return]


def _fail(
    attempt: ClientTransaction,
    events: list,
    recovery: "Recovery",  # type: ignore[name-defined]  # noqa: F821
    flow: tuple,
    now: int,
    reason: bytes,
) -> None:
    if attempt.flow[:3] == flow[:3]:
        recovery.end(attempt, 503, reason, None, now, events)
