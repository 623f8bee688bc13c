"""What a sender wants, and each attempt at it: plain text for a URI. full_request.py has all other wishes."""

from .clock import later, until
from .compat import const

BUDGET = 1300  # octets of a request, all headers included (RFC 3428 section 8)
PLAIN = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"
_TRYING = const(0)  # states of RFC 3261 figure 6
_PROCEEDING = const(1)
_COMPLETED = const(2)
_TERMINATED = const(3)
_T1 = const(500)  # ms, RFC 3261 table 4
_T2 = const(4000)
_LIFETIME = const(32000)  # 64*T1, Timer F


class Request:
    """One request, whatever it takes to get it through.

    uri: Request-URI. to: URI of To. key: equal for equivalent URIs; one request is pending for each. place: the URI
    whose server has to be looked up first, None when flows has addresses. flows: where to send it, the next one first.
    tag: of From. cseq: the highest that was sent. tried: marks of what was done about refusals.
    """

    method = b"MESSAGE"
    content_line = b"Content-Type: text/plain\r\n"
    hops = b"70"
    expires: int | None = None
    date: int | None = None  # Unix seconds for Date, in place of the time of sending
    route: object | None = None  # a registration's ServiceRoute
    owner: object | None = None  # whose finished() hears of the final response; None makes it an Outcome
    fallback: tuple[bytes, bytes] | None = None  # content type and body for a peer that refuses the first ones
    first_hop: tuple | None = None  # (flow, place) of the proxy or the route, None without one
    last_place: bytes | None = None  # that of the last of flows, when place is not the first one's
    place: bytes | None = None
    cseq = 0
    tried: tuple = ()

    def __init__(self, call_id: bytes, target: tuple, sender: bytes, tag: bytes, body: bytes) -> None:
        """target: as agent.target.read_target() gives it. sender: URI of From. body: its octets."""
        self.uri, self.to, self.key, flow, place = target
        self.flows: tuple = (flow,)
        if place is not None:  # a board pays for each attribute
            self.place = place
        self.call_id = call_id
        self.sender = sender
        self.tag = tag
        self.body = body

    def encode(self, cseq: int, via: bytes, fields: bytes, now: int, uri: bytes | None = None) -> bytes:
        """Return the octets of one attempt.

        via: the Via line up to the end of the branch. fields: more header lines. uri: in place of our Request-URI.
        """
        return b"".join(  # in one piece: one allocation, and a sixth of what % computes
            (
                self.method,
                b" ",
                uri or self.uri,
                b" SIP/2.0\r\n",
                via,
                b";rport\r\nMax-Forwards: ",
                self.hops,
                b"\r\nFrom: <",
                self.sender,
                b">;tag=",
                self.tag,
                b"\r\nTo: <",
                self.to,
                b">\r\nCall-ID: ",
                self.call_id,
                b"\r\nCSeq: %d " % cseq,
                self.method,
                b"\r\n",
                self.content_line,
                fields,
                b"Content-Length: %d\r\n\r\n" % len(self.body),
                self.body,
            )
        )


class ClientTransaction:
    """One attempt at a request, with the timers of RFC 3261 section 17.1.2 (non-INVITE).

        TRYING --1xx--> PROCEEDING --final response--> COMPLETED    Timer F, 32 s after the first sending: TERMINATED
          | Timer E: 0.5, 1, 2, 4, 4 ... s           | Timer E: 4 s

    Streams have no Timer E. Timer K, in which a client absorbs repeated final responses, needs no state: the user agent
    drops a response that finds no transaction. state: 0 to 3, in the order above.
    request: what it tries. flow: where it goes. cseq: its number. via: the beginning of its
    Via line, up to the end of the branch. data: its octets. repeats: is it sent again on Timer E? Not on a stream, and
    not while its flow is looked up.
    """

    state = _TRYING
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
        self.state = _PROCEEDING if status < 200 else _COMPLETED
        return status >= 200

    def wake(self, now: int) -> bool:
        """Let time pass; True when the request is to be sent again. TERMINATED now means that Timer F fired."""
        if until(self._f_at, now) <= 0:
            self.state = _TERMINATED
            return False
        if until(self._wake_at, now) > 0:
            return False
        self._interval = _T2 if self.state == _PROCEEDING else min(2 * self._interval, _T2)
        due_at = later(self._wake_at, self._interval)
        if until(due_at, now) <= 0:  # woken very late: one repetition, not a burst
            due_at = later(now, self._interval)
        self._wake_at = due_at if until(due_at, self._f_at) < 0 else self._f_at
        return True

    def wait_ms(self, now: int) -> int:
        """Return the ms until wake() has work; 0 when overdue."""
        return max(until(self._wake_at, now), 0)
