"""The client's side of a non-INVITE transaction (RFC 3261 section 17.1.2).

UDP and streams differ in one flag: `reliable` turns Timer E off. Timer K, in which a client absorbs repeated final
responses, needs no state: the user agent drops a response that finds no transaction.
"""

from .clock import later, until
from .compat import const

TRYING = 0  # states of RFC 3261 figure 6
PROCEEDING = 1
COMPLETED = 2
TERMINATED = 3

_T1 = const(500)  # ms, RFC 3261 table 4
_T2 = const(4000)
_LIFETIME = const(32000)  # 64*T1, Timer F


class ClientTransaction:
    """One MESSAGE request, from its first sending to its final response."""

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
