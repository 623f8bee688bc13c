"""One attempt at a request: its octets, where they go, and the timers of RFC 3261 section 17.1.2 (non-INVITE).

    TRYING --1xx--> PROCEEDING --final response--> COMPLETED     Timer F, 32 s after the first sending: TERMINATED
      | Timer E: 0.5, 1, 2, 4, 4 ... s            | Timer E: 4 s

Streams have no Timer E. Timer K, in which a client absorbs repeated final responses, needs no state: the user agent
drops a response that finds no transaction.
"""

from .clock import later, until
from .compat import const
from .request import Request

TRYING = 0  # states of RFC 3261 figure 6
PROCEEDING = 1
COMPLETED = 2
TERMINATED = 3

_T1 = const(500)  # ms, RFC 3261 table 4
_T2 = const(4000)
_LIFETIME = const(32000)  # 64*T1, Timer F


class ClientTransaction:
    """A request on its way, from its first sending to its final response.

    request: the agent.request.Request that it tries. flow: where it goes. cseq: its number. via: the beginning of its
    Via line, up to the end of the branch. data: its octets. repeats: is it sent again on Timer E? Not on a stream, and
    not while its flow is looked up.
    """

    state = TRYING
    _interval = _T1

    def __init__(
        self, request: Request, flow: tuple, cseq: int, via: bytes, data: bytes, repeats: bool, now: int
    ) -> None:
        self.request = request
        self.flow = flow
        self.cseq = cseq
        self.via = via
        self.data = data
        self._f_at = self._wake_at = later(now, _LIFETIME)
        if repeats:
            self._wake_at = later(now, _T1)

    def receive(self, status: int) -> bool:
        """Take a response of this status; True when it is the final one."""
        self.state = PROCEEDING if status < 200 else COMPLETED
        return status >= 200

    def wake(self, now: int) -> bool:
        """Let time pass; True when the request is to be sent again. TERMINATED now means that Timer F fired."""
        if until(self._f_at, now) <= 0:
            self.state = TERMINATED
            return False
        if until(self._wake_at, now) > 0:
            return False
        self._interval = _T2 if self.state == PROCEEDING else min(2 * self._interval, _T2)
        due_at = later(self._wake_at, self._interval)
        if until(due_at, now) <= 0:  # woken very late: one repetition, not a burst
            due_at = later(now, self._interval)
        self._wake_at = due_at if until(due_at, self._f_at) < 0 else self._f_at
        return True

    def wait_ms(self, now: int) -> int:
        """Return the ms until wake() has work; 0 when overdue."""
        return max(until(self._wake_at, now), 0)
