"""The server's side of a non-INVITE transaction (RFC 3261 section 17.2.2 as corrected by RFC 4320).

UDP and streams differ in one flag: `reliable` makes Timer J zero.
"""

from ..clock import later, until
from ..compat import const

_LIFETIME = const(32000)  # ms, 64*T1: Timer J
_TRYING_AFTER = const(3500)  # when a client's Timer E reaches T2: RFC 4320 section 4.1


class ServerTransaction:
    """One request of a peer, from its first copy until nobody can repeat it any more.

    It is Trying (RFC 3261 figure 8) without a response, Completed with a final one, Proceeding in between.
    """

    def __init__(self, reliable: bool, flow: tuple, now: int) -> None:
        self.reliable = reliable
        self.flow = flow  # where responses go
        self.response = b""  # the last one sent
        self.is_completed = False
        self.echo = b""  # the header lines that each response copies from the request
        self.timestamp = b""  # what a 100 copies of that field
        self.key = self.merged = b""  # under which the UAS finds it
        self.next: ServerTransaction | None = None
        self._end_at = later(now, _LIFETIME)

    def respond(self, response: bytes, final: bool, now: int) -> bool:
        """Keep response for repetitions; False when a final response has gone already and this one must not."""
        if self.is_completed:
            return False
        self.response = response
        if final:
            self.is_completed = True
            self._end_at = later(now, 0 if self.reliable else _LIFETIME)  # Timer J
        return True

    def octets(self) -> int:
        """Return how many octets of its peer's it keeps once it is completed."""
        return len(self.response) + len(self.key) + len(self.merged)

    def is_over(self, now: int) -> bool:
        """Has Timer J fired, or has the client given up on an answer that never came?"""
        return until(self._end_at, now) <= 0

    def age_ms(self, now: int) -> int:
        """Return the ms since the request came, as long as it has no final response."""
        return _LIFETIME - until(self._end_at, now)

    def owes_trying(self, now: int) -> bool:
        """Is it time for a 100? Not before a client's Timer E is at T2, and only without any response."""
        return not self.response and self.age_ms(now) >= _TRYING_AFTER

    def wait_ms(self, now: int) -> int:
        """Return the ms until is_over() or owes_trying() turns true; 0 when overdue."""
        ms = until(self._end_at, now)
        return max(0, ms if self.response else ms - _LIFETIME + _TRYING_AFTER)
