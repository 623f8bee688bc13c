"""The sending half: what RFC 3261 section 8.1 and RFC 3428 sections 4, 5 and 8 ask of a UAC.

One MESSAGE at a time is pending for each URI, the next ones wait behind it. Every send() ends in one Outcome. An
attempt (agent.client_transaction) is made without a trace, and counts once start() has it: where memory runs out in
between, nothing has happened. A refusal goes to agent.recovery, which knows what else to try.
"""

from binascii import hexlify

from .client_transaction import TERMINATED, ClientTransaction
from .compat import const
from .events import Outcome, Resolve, Transmit
from .request import BUDGET, PLAIN, Request, read_target

_MAX_ATTEMPTS = const(8)  # of one request, whatever the reasons
_MAX_QUEUE = const(100)  # messages that may wait behind the one that is pending
_NOTHING: tuple = ()  # shared, so that silence allocates nothing
_ANYWHERE = (b"TLS",)  # a flow for what is read and not sent to


class Uac:
    """Sends requests and hears their answers.

    queues: by key of a request; the first of each is pending. pending: attempts by branch, in lower case. peers:
    agent.peers.Peers, made at the first failure. clock: agent.wall_clock.WallClock, None while nobody knows the time.
    route: a registration's ServiceRoute, which leads each MESSAGE.
    """

    peers: "Peers | None" = None  # type: ignore[name-defined]  # noqa: F821
    route: "ServiceRoute | None" = None  # type: ignore[name-defined]  # noqa: F821
    first_hop: tuple | None = None
    _known: tuple = (None, None, None)  # the last target, its first flow, and what was read of it: mostly the same

    def __init__(
        self,
        aor: bytes,
        sent_by: bytes,
        random_bytes: object,
        proxy: bytes | None,
        transport: bytes,
        clock: object | None,
        credentials: tuple,
        resolve_im: object | None,
    ) -> None:
        self.aor = aor
        self.sent_by = sent_by
        self.clock = clock
        self.credentials = credentials
        self.transport = transport
        self.resolve_im = resolve_im
        self.random_bytes = random_bytes
        self.queues: dict[bytes, list[Request]] = {}
        self.pending: dict[bytes, ClientTransaction] = {}
        try:
            read_target(aor, transport, _ANYWHERE)
            read_target(b"sip:x@" + sent_by, transport, _ANYWHERE)
            if proxy is not None:
                scheme, colon, rest = proxy.partition(b":")
                if rest.find(b"@") < 0:
                    rest = b"x@" + rest  # as a target has it
                self.first_hop = read_target(scheme + colon + rest, transport, None)[3:]
        except Exception as error:  # its class costs memory to name
            _refuse("address-of-record, sent-by or proxy: %s" % error)

    def token(self, octets: int) -> bytes:
        """Return a fresh random token of 2*octets characters."""
        return hexlify(self.random_bytes(octets))  # type: ignore[operator]

    # Requests of ours

    def request(
        self, call_id: bytes, target: bytes, body: bytes, flow: tuple | list | None, sender: bytes | None, options: dict
    ) -> Request:
        """Return a request for target, with nothing sent yet; see UserAgent.send(). Raises UsageError."""
        if self.resolve_im is not None and target[:3].lower() == b"im:":  # RFC 3428 section 5
            target = self.resolve_im(target) or target  # type: ignore[operator]
        if not call_id or call_id.strip(PLAIN):
            from .full_request import check_line

            check_line(call_id)
        flows = [] if flow is None else flow if isinstance(flow, list) else [flow]
        first = self.route.first_hop if self.route is not None else self.first_hop
        first_flow = flows[0] if flows else None if first is None else first[0]
        known = self._known
        if known[0] != target or known[1] != first_flow:
            self._known = known = (target, first_flow, read_target(target, self.transport, first_flow))
        if options or self.route is not None:
            from .full_request import FullRequest

            options["route"] = self.route
            fallback = options.get("fallback")
            if fallback and self.peers and (known[2][2], options.get("content_type")) in self.peers.refused:
                options["content_type"], body = fallback
            request: Request = FullRequest(call_id, known[2], sender or self.aor, self.token(4), body, options)
        else:
            request = Request(call_id, known[2], sender or self.aor, self.token(4), body)
        request.first_hop = first
        if flows:
            request.flows, request.place = tuple(flows), None
        elif first is not None:
            request.flows, request.place = (first[0],), first[1]
        return request

    def send(self, request: Request, now: int) -> list | tuple:
        """Send a MESSAGE, at once or when the one pending for the same URI has its outcome; see UserAgent.send()."""
        for queue in self.queues.values():
            for other in queue:
                if other.call_id == request.call_id:
                    _refuse("this Call-ID is being sent already: take a new one")
        attempt = self.attempt(request, now)
        over = len(attempt.data) + self.to_come(request) - BUDGET
        if over > 0:
            _refuse("the request is %d octets over its budget of %d" % (over, BUDGET))
        queue = self.queues.get(request.key)
        if queue is None:
            events = self.start(attempt)
            self.queues[request.key] = [request]
            return events
        if len(queue) > _MAX_QUEUE:
            _refuse("too many messages wait for this URI: send more when some have their outcome")
        queue.append(request)
        return _NOTHING

    def to_come(self, request: Request) -> int:
        """Return the octets that a request may still gain: the answer to a challenge, and a Date once it is known."""
        if not self.credentials and not request.expires:
            return 0
        from .budget import to_come

        return to_come(self, request)

    def attempt(
        self, request: Request, now: int, with_credentials: bool = True, branch: bytes | None = None
    ) -> ClientTransaction:
        """Return the next attempt at a request, of which nobody knows yet. branch: None for a fresh one."""
        flow = request.flows[0]
        uri = request.uri if request.route is None else request.route.request_uri(request.uri)  # type: ignore[attr-defined]
        via = b"".join((b"Via: SIP/2.0/", flow[0], b" ", self.sent_by, b";branch=", branch or b"z9hG4bK" + self.token(8)))
        unix = request.date
        if unix is None and request.expires and self.clock is not None:
            unix = self.clock.unix(now)  # type: ignore[attr-defined]
        credentials = b""
        if self.peers is not None and with_credentials:
            credentials = self.peers.answer(request, flow, uri)
        data = request.encode(uri, request.cseq + 1, via, unix, credentials)
        return ClientTransaction(request, flow, request.cseq + 1, via, data, now)

    def start(self, attempt: ClientTransaction) -> list:
        """Begin with an attempt: from now on it counts."""
        request = attempt.request
        if request.place is not None:  # its flow has a name
            events = [Resolve(request.place)]
        else:
            events = [Transmit(attempt.data, attempt.flow)]
        self.pending[_branch(attempt)] = attempt
        if request.place is None:
            request.cseq = attempt.cseq
            if self.peers is not None:
                self.peers.answered(request, attempt.flow)
        if request.place is not None or attempt.flow[0] != b"UDP":
            attempt.data = b""  # it won't be repeated
        return events

    def resolved(self, place: bytes, flows: list, now: int, reason: bytes) -> list:
        """Go on with what waits for the flows of a place; none: it leads nowhere."""
        events: list = []
        for attempt in list(self.pending.values()):
            request = attempt.request
            if request.place != place:
                continue
            if not flows:
                events += self.end(attempt, "failed", 503, reason, None, now)
                continue
            more = tuple(flows if self.peers is None else self.peers.live_first(flows, now))
            before = request.flows
            request.flows, request.place = more + before[1:], None
            try:
                following = self._affordable(request, now, attempt.via[-23:])  # nothing was sent with it
            except MemoryError:
                request.flows, request.place = before, place
                raise
            events += self.start(following)
        return events

    def _affordable(self, request: Request, now: int, branch: bytes | None = None) -> ClientTransaction:
        """Return an attempt with the credentials that are known by now, unless they are too much for the budget."""
        attempt = self.attempt(request, now, True, branch)
        return attempt if len(attempt.data) <= BUDGET else self.attempt(request, now, False, branch)

    # Answers to them

    def match(self, data: bytes) -> tuple[ClientTransaction, bytes | None] | None:
        """Return (attempt, Date's value) of a 1xx or 2xx to a MESSAGE of ours; None for what has to be read in full.

        The Via of a response to us is the one we wrote, with parameters added. Nearly every peer leaves it and the names
        of the fields as we wrote them: then all is compared in place. This takes nothing that agent.receiver wouldn't.
        """
        find, starts = data.find, data.startswith
        attempt = date = None
        at = find(b"\r\n") + 2
        if not starts(b"SIP/2.0 ") or at < 14 or not 49 <= data[8] <= 50 or not data[8:11].isdigit() or data[11] != 32:
            return None
        seen = end = 0
        while True:
            end = find(b"\r\n", at)
            if end <= at:
                break
            octet = data[at] | 32  # in lower case
            if octet == 118 and not seen & 1:  # v
                branch = find(b";branch=", at, end) + 8
                attempt = self.pending.get(data[branch : branch + 23].lower())
                if attempt is None or not starts(attempt.via, at) or data[branch + 23] not in b";\r":
                    return None
                seen += 1 if find(b",", at, end) < 0 else 8
            elif octet == 99:  # c
                if starts(b"CSeq: ", at) and starts(b" MESSAGE\r\n", end - 8):
                    seen += 2
                elif not starts(b"Content-Length: 0\r\n", at) and not starts(b"Call-ID: ", at):
                    return None
            elif octet == 100 and starts(b"Date: ", at):  # d
                date = data[at + 6 : end]
            elif octet in b"vdlr )":  # another Via, an odd Date, Content-Length, Retry-After, a folded line
                return None
            at = end + 2
        return (attempt, date) if seen == 3 and end == at and attempt.request.owner is None else None

    def answered(
        self, attempt: ClientTransaction, status: int, reason: bytes, date: bytes | None, response: object, now: int
    ) -> list | tuple:
        """Take a response to an attempt. date: the value of its Date; response: a Message, None for a MESSAGE's 2xx."""
        if not attempt.receive(status):
            from .events import Provisional

            return (Provisional(attempt.request.call_id, status, reason),)
        if status < 300 and date is not None:
            clock = self.clock
            if clock is None or clock.quality < 2:  # type: ignore[attr-defined]  # nobody better has told
                from .learn import learned

                self.clock = learned(clock, date, now)
        if status == 202:
            name = "accepted"  # by a store or a gateway: not delivered yet (RFC 3428 section 4)
        else:
            name = "delivered" if status < 300 else "failed" if status < 600 else "refused"
        return self.end(attempt, name, status, reason, response, now)

    def end(
        self, attempt: ClientTransaction, name: str, status: int, reason: bytes, response: object | None, now: int
    ) -> list:
        """End an attempt: by another one if there is one, else with the outcome; then the next one's turn.

        A MemoryError leaves all as it was: for the same response once more, or the timer.
        """
        request = attempt.request
        events: list = []
        if status >= 300 and len(request.tried) < _MAX_ATTEMPTS:
            again = self._second_chance(request, status, response, now)
            if again is not None:
                following = self.attempt(again, now)
                over = len(following.data) - BUDGET
                if over <= 0:
                    return self._replace(attempt, following, now)
                reason = b"%d octets over the budget with what the %d asks for: shorten the text" % (over, status)
        if request.owner is not None:
            events += request.owner.finished(status, response, attempt, now)  # type: ignore[attr-defined]
        else:
            retry_after = None if response is None else response.get(b"retry-after")  # type: ignore[attr-defined]
            events.append(Outcome(request.call_id, name, status, reason, retry_after))
            events += self._go_on(request.key, now)
        del self.pending[_branch(attempt)]
        return events

    def _second_chance(self, request: Request, status: int, response: object | None, now: int) -> Request | None:
        from .recovery import amend

        if self.peers is None:
            from .peers import Peers

            self.peers = Peers(self.credentials, self.random_bytes)
        return amend(request, status, response, self.peers, now)  # type: ignore[arg-type]

    def _replace(self, attempt: ClientTransaction, following: ClientTransaction, now: int) -> list:
        """Go on with another attempt at a request, behind what is pending for its URI if that is another one."""
        old, new = attempt.request, following.request
        events: list = []
        if new.owner is not None or new.key == old.key:
            events += self.start(following)
            if new.owner is None:
                self.queues[old.key][0] = new
        else:
            queue = self.queues.get(new.key)
            if queue is None:
                events += self.start(following)
                self.queues[new.key] = [new]
            else:
                queue.append(new)
            events += self._go_on(old.key, now)
        del self.pending[_branch(attempt)]
        return events

    def _go_on(self, key: bytes, now: int) -> list:
        """The first of a queue has ended or gone elsewhere: begin with the next one."""
        queue = self.queues[key]
        events = self.start(self._affordable(queue[1], now)) if len(queue) > 1 else []
        queue.pop(0)
        if not queue:
            del self.queues[key]
        return events

    def failed(self, flow: tuple, now: int, reason: bytes) -> list:
        """End what is pending on a flow that is gone or can't be opened, as if by a 503; see UserAgent.failed()."""
        events: list = []
        for queue in self.queues.values():
            for request in queue[1:]:
                if request.flows[0][:3] == flow[:3] and len(request.flows) == 1:
                    queue.remove(request)
                    events.append(Outcome(request.call_id, "failed", 503, reason, None))
        for attempt in list(self.pending.values()):
            if attempt.flow[:3] == flow[:3]:
                events += self.end(attempt, "failed", 503, reason, None, now)
        return events

    def wake(self, now: int) -> list:
        """Let time pass: repeat requests, give up on what stayed unanswered."""
        events: list = []
        for attempt in list(self.pending.values()):
            if attempt.wake(now):
                events.append(Transmit(attempt.data, attempt.flow))
            elif attempt.state == TERMINATED:
                events += self.end(attempt, "timeout", 408, b"Request Timeout", None, now)
        return events

    def wait_ms(self, now: int) -> int | None:
        """Return the ms until wake() has work, 0 when overdue, None when nothing is pending."""
        wait = None
        for attempt in self.pending.values():
            ms = attempt.wait_ms(now)
            if wait is None or ms < wait:
                wait = ms
        return wait


def _branch(attempt: ClientTransaction) -> bytes:
    """Return what an attempt is found by: the branch of its Via, in lower case."""
    return attempt.via[-23:].lower()


def _refuse(text: str) -> None:
    from .errors import UsageError

    raise UsageError(text)
