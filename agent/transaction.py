"""Non-INVITE transactions: RFC 3261 sections 17.1.2 and 17.2.2 as corrected by RFC 4320.

UDP and streams differ in one flag: `reliable` turns Timer E off and makes Timer J zero. Timer K, in which a client
absorbs repeated final responses, needs no state here: a response without a transaction is dropped by the user agent.
"""

from agent.clock import later, until
from agent.compat import const

TRYING = 0  # states of RFC 3261 figures 6 and 8
PROCEEDING = 1
COMPLETED = 2
TERMINATED = 3

_T1 = const(500)  # ms, RFC 3261 table 4
_T2 = const(4000)
_LIFETIME = const(32000)  # 64*T1: Timers F and J
_TRYING_AFTER = const(3500)  # when a client's Timer E reaches T2: RFC 4320 section 4.1


class ClientTransaction:
    """One MESSAGE request, from its first sending to its final response."""

    __slots__ = ("_e_at", "_f_at", "_interval", "reliable", "state")

    def __init__(self, reliable: bool, now: int) -> None:
        self.state = TRYING
        self.reliable = reliable
        self._interval = _T1
        self._e_at = later(now, _T1)
        self._f_at = later(now, _LIFETIME)

    def receive(self, status: int) -> bool:
        """Take a response of this status; True when it is the final one."""
        if status < 200:
            self.state = PROCEEDING
            return False
        self.state = COMPLETED
        return True

    def wake(self, now: int) -> bool:
        """Let time pass; True when the request is to be sent again. TERMINATED now means that Timer F fired."""
        if until(self._f_at, now) <= 0:
            self.state = TERMINATED
            return False
        if self.reliable or until(self._e_at, now) > 0:
            return False
        self._interval = _T2 if self.state == PROCEEDING else min(2 * self._interval, _T2)
        self._e_at = later(self._e_at, self._interval)
        if until(self._e_at, now) <= 0:  # woken very late: one repetition, not a burst
            self._e_at = later(now, self._interval)
        return True

    def wait_ms(self, now: int) -> int:
        """Return the ms until wake() has work; 0 when overdue."""
        end = until(self._f_at, now)
        if not self.reliable:
            end = min(end, until(self._e_at, now))
        return max(end, 0)


class ServerTransaction:
    """One request of a peer, from its first copy until nobody can repeat it any more."""

    __slots__ = (
        "_end_at",
        "_trying_at",
        "echo",
        "flow",
        "key",
        "merged",
        "next",
        "reliable",
        "response",
        "state",
        "timestamp",
    )

    def __init__(self, reliable: bool, flow: tuple, now: int) -> None:
        self.state = TRYING
        self.reliable = reliable
        self.flow = flow  # where responses go
        self.response = b""  # the last one sent
        self.echo = b""  # the header lines that each response copies from the request
        self.timestamp = b""  # the line a 100 copies
        self.key = self.merged = b""  # under which the UAS finds it
        self.next: ServerTransaction | None = None
        self._trying_at = later(now, _TRYING_AFTER)
        self._end_at = later(now, _LIFETIME)

    def respond(self, response: bytes, final: bool, now: int) -> bool:
        """Keep response for repetitions; False when a final response has gone already and this one must not."""
        if self.state >= COMPLETED:
            return False
        self.response = response
        self.state = PROCEEDING
        if final:
            self.state = COMPLETED
            self._end_at = later(now, 0 if self.reliable else _LIFETIME)  # Timer J
        return True

    def is_over(self, now: int) -> bool:
        """Has Timer J fired, or has the client given up on an answer that never came?"""
        return until(self._end_at, now) <= 0

    def owes_trying(self, now: int) -> bool:
        """Is it time for a 100? Not before a client's Timer E is at T2, and only without any response."""
        return self.state == TRYING and until(self._trying_at, now) <= 0

    def wait_ms(self, now: int) -> int:
        """Return the ms until is_over() or owes_trying() turns true; 0 when overdue."""
        return max(0, until(self._trying_at if self.state == TRYING else self._end_at, now))
