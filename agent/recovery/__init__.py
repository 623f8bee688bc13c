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
        self.uac = uac
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
        uac = self.uac
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
        uac = self.uac
        old, new = attempt.request, following.request
        branch = attempt.via[-23:].lower()
        if new.owner is not None or new.key == old.key:
            uac.start(following, events)
            if new.owner is None:
                uac.queues[old.key][0] = new
        else:
            from .flows import move

            move(uac, old.key, following, now, events)
        del uac.pending[branch]

    def resolved(self, *arguments: object) -> list:
        """Go on with what waits for the flows of a place: see agent.recovery.flows.resolved()."""
        from .flows import resolved

        return resolved(self, *arguments)  # type: ignore[arg-type]

    def failed(self, *arguments: object) -> list:
        """End what is pending on a flow that is gone: see agent.recovery.flows.failed()."""
        from .flows import failed

        return failed(self, *arguments)  # type: ignore[arg-type]
