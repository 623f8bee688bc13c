"""What a UAC tries before it gives up (RFC 3261 section 8.1.3). Loaded by the first request whose answer is no 2xx.

Each module here (and auth/client.py) has one function, amend(request, status, response, peers, now): it returns a
changed copy of a request that is worth another attempt, or None. What it learns of others it tells peers.
"""

from ..compat import const
from ..events import Outcome
from ..message import Message
from ..peers import Peers
from ..request import BUDGET, ClientTransaction, Request

_MAX_ATTEMPTS = const(8)  # of one request, whatever the reasons


def amend(request: Request, status: int, response: Message | None, peers: Peers, now: int) -> Request | None:
    """Return what to try next after a final response, None when there is nothing.

    status: of the response; 408 for a timeout and 503 for a flow that failed, where response is None.
    """
    again = None
    if response is None or status == 503:
        from .failover import amend as second_chance
    elif status in (401, 407):
        from ..auth.client import amend as second_chance
    elif status < 400:
        from .redirect import amend as second_chance
    elif status in (406, 415, 416, 488):
        from .fallback import amend as second_chance
    else:
        second_chance = None  # type: ignore[assignment]
    if second_chance is not None:
        again = second_chance(request, status, response, peers, now)
    if again is None and status < 600 and getattr(request, "contacts", None):
        from .redirect import turn_to

        again = turn_to(request, request.contacts)  # type: ignore[attr-defined]
    return again


class Recovery:
    """The part of a Uac that goes on where a request has failed."""

    def __init__(self, uac: "Uac") -> None:  # type: ignore[name-defined]  # noqa: F821
        self._uac = uac
        self.peers = Peers(uac.settings, uac.random_bytes)

    def has_refused(self, key: bytes, content_type: object) -> bool:
        """Has the peer with this URI key refused (415, 406, 488) a content type that had a fallback?"""
        return (key, content_type) in self.peers.refused

    def end(
        self,
        attempt: ClientTransaction,
        status: int,
        reason: bytes,
        response: Message | None,
        now: int,
        events: list,
    ) -> None:
        """End an attempt: by another one if there is one, else with the outcome.

        status and response: as amend() takes them; a 2xx ends a request that has an owner. events: to which is added.
        A MemoryError leaves all but events as it was: for the same response once more, or the timer.
        """
        uac = self._uac
        request = attempt.request
        if status >= 300 and len(request.tried) < _MAX_ATTEMPTS:
            again = amend(request, status, response, self.peers, now)
            if again is not None:
                following = uac.attempt(again, now)
                over = len(following.data) - BUDGET
                if over <= 0:
                    self._replace(attempt, following, now, events)
                    return
                reason = b"%d octets over the budget with what the %d asks for: shorten the text" % (over, status)
        if request.owner is not None:
            branch = attempt.via[-23:].lower()
            events += request.owner.finished(status, response, attempt, now)  # type: ignore[attr-defined]
            del uac.pending[branch]
            return
        name = "timeout" if status == 408 and response is None else "failed" if status < 600 else "refused"
        retry_after = None if response is None else response.get(b"retry-after")
        uac.ended(attempt, Outcome(request.call_id, name, status, reason, retry_after), now, events)

    def _replace(self, attempt: ClientTransaction, following: ClientTransaction, now: int, events: list) -> None:
        """Go on with another attempt at a request, behind what is pending for its URI if that is another one."""
        uac = self._uac
        old, new = attempt.request, following.request
        branch = attempt.via[-23:].lower()
        if new.owner is not None or new.key == old.key:
            uac.start(following, events)
            if new.owner is None:
                uac.queues[old.key][0] = new
        else:
            self._move(old.key, following, now, events)
        del uac.pending[branch]

    def _move(self, old_key: bytes, following: ClientTransaction, now: int, events: list) -> None:
        """Put a request from the head of one queue at the end of another one."""
        uac = self._uac
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

    def resolved(self, place: bytes, flows: list, now: int, reason: bytes) -> list:
        """Go on with what waits for the flows of a place; none: it leads nowhere."""
        return self._uac.one_by_one([], self._resolve, place, flows, now, reason)  # type: ignore[no-any-return]

    def _resolve(
        self, attempt: ClientTransaction, events: list, place: bytes, flows: list, now: int, reason: bytes
    ) -> None:
        uac = self._uac
        request = attempt.request
        if request.place != place:
            return
        if not flows:
            self.end(attempt, 503, reason, None, now, events)
            return
        before = request.flows
        try:
            request.flows, request.place = tuple(self.peers.live_first(flows, now)) + before[1:], None
            branch = attempt.via[-23:]  # nothing was sent with it
            following = uac.attempt(request, now, branch)
            if len(following.data) > BUDGET:
                following = uac.attempt(request, now, branch, True)
            uac.start(following, events)
        except MemoryError:
            request.flows, request.place = before, place
            raise

    def failed(self, flow: tuple, now: int, reason: bytes, events: list) -> list:
        """End what is pending on a flow that is gone or can't be opened, as if by a 503; see UserAgent.failed().

        Returns events, to which is added. Raises MemoryError if there are none.
        """
        uac = self._uac
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
        return uac.one_by_one(events, self._fail, flow, now, reason)  # type: ignore[no-any-return]

    def _fail(self, attempt: ClientTransaction, events: list, flow: tuple, now: int, reason: bytes) -> None:
        if attempt.flow[:3] == flow[:3]:
            self.end(attempt, 503, reason, None, now, events)
