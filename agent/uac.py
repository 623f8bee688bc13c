"""The sending half: what RFC 3261 section 8.1 and RFC 3428 sections 4 and 8 ask of a UAC whose messages arrive.

One MESSAGE at a time is pending for each URI, the next ones wait behind it. Every send() ends in one Outcome. An
attempt (ClientTransaction) is made without a trace, and counts once start() has it: where memory runs out in
between, nothing has happened. Whatever else than a 2xx comes of it is for agent.recovery, loaded then.
"""

from binascii import hexlify

from .compat import const
from .events import Outcome, Transmit
from .request import BUDGET, PLAIN, ClientTransaction, Request

_MAX_QUEUE = const(100)  # messages that may wait behind the one that is pending
_RTC = const(2)  # of agent.qualities
_TERMINATED = const(3)  # a state of an attempt
_OVER = const(1)  # of agent.refusals
_FULL = const(2)
_IN_USE = const(3)
_STREAM = const(84)  # "T", of TCP and TLS: what goes by one isn't lost


class Uac:
    """Sends requests and hears their answers.

    settings: what agent.user_agent.UserAgent was given by name. is_guided: do targets alone not say where to send?
    queues: by key of a request; the first of each is pending. pending: attempts by branch, in lower case.
    clock: agent.wall_clock.WallClock, None while nobody knows the time. recovery: agent.recovery.Recovery, made at the
    first failure. route: a registration's ServiceRoute, which leads each MESSAGE.
    """

    recovery: "Recovery | None" = None  # type: ignore[name-defined]  # noqa: F821
    route: "ServiceRoute | None" = None  # type: ignore[name-defined]  # noqa: F821
    fresh: bytes | None = None  # the last Call-ID of our own making

    def __init__(self, aor: bytes, sent_by: bytes, random_bytes: object, settings: dict) -> None:
        self.aor = aor
        self.sent_by = sent_by
        self.random_bytes = random_bytes
        self.settings = settings
        self.transport = settings.get("transport", b"UDP")
        self.clock = settings.get("clock")
        self.follow(None)
        self._known = settings.get("known", (None, None))  # the last target, and what was read of it
        self.queues: dict[bytes, list[Request]] = {}
        self.pending: dict[bytes, ClientTransaction] = {}

    def token(self, octets: int) -> bytes:
        """Return a fresh random token of 2*octets characters."""
        return hexlify(self.random_bytes(octets))  # type: ignore[operator]

    def rescue(self) -> "Recovery":  # type: ignore[name-defined]  # noqa: F821
        """Return what knows what else to try."""
        if self.recovery is None:
            from .recovery import Recovery

            self.recovery = Recovery(self)
        return self.recovery

    def follow(self, route: "ServiceRoute | None") -> None:  # type: ignore[name-defined]  # noqa: F821
        """Let a route lead each MESSAGE from now on, None for no route any more."""
        self.route = route
        self.is_guided = route is not None or "proxy" in self.settings or "resolve_im" in self.settings

    # Requests of ours

    def request(self, call_id: bytes, target: bytes, body: bytes, options: dict) -> Request:
        """Return a request for target, with nothing sent yet; see UserAgent.send(). Raises UsageError."""
        if options or self.is_guided or (call_id is not self.fresh and (not call_id or call_id.strip(PLAIN))):
            from .full_request import full_request

            return full_request(self, call_id, target, body, **options)
        known = self._known
        if known[0] != target:
            from .target import read_target

            self._known = known = (target, read_target(target, self.transport, None))
        return Request(call_id, known[1], self.aor, self.token(4), body)

    def send(self, request: Request, now: int) -> list | tuple:
        """Send a MESSAGE, at once or when the one pending for the same URI has its outcome; see UserAgent.send()."""
        attempt = self.attempt(request, now)
        waiting = self.queues.get(request.key, ())
        over = len(attempt.data) - BUDGET
        if request.expires or "credentials" in self.settings:
            from .reserve import forget_oversized, to_come

            over += to_come(self, request)
            if over > 0 and forget_oversized(self, request):
                attempt = self.attempt(request, now)
                over = len(attempt.data) - BUDGET + to_come(self, request)
        fault = _OVER if over > 0 else _FULL if len(waiting) > _MAX_QUEUE else 0
        for queue in self.queues.values():
            for other in queue:
                if other.call_id == request.call_id:
                    fault = _IN_USE
        if fault:
            from .refusals import refuse

            refuse(fault, over)
        if waiting:
            waiting.append(request)
            return ()
        events: list = []
        self.queues[request.key] = [request]
        try:
            self.start(attempt, events)
        except MemoryError:
            del self.queues[request.key]
            raise
        return events

    def attempt(self, request: Request, now: int, branch: bytes | None = None, bare: bool = False) -> ClientTransaction:
        """Return the next attempt at a request, of which nobody knows yet.

        branch: None for a fresh one. bare: without the credentials that were asked for before.
        """
        flow = request.flows[0]
        cseq = request.cseq + 1
        branch = branch or b"z9hG4bK" + self.token(8)
        via = b"".join((b"Via: SIP/2.0/", flow[0], b" ", self.sent_by, b";branch=", branch))
        credentials = b"" if bare or self.recovery is None else self.recovery.peers.answer(request)
        data = request.encode(cseq, via, credentials, now)
        repeats = flow[0][0] != _STREAM and request.place is None
        return ClientTransaction(request, flow, cseq, via, data, repeats, now)

    def start(self, attempt: ClientTransaction, events: list) -> None:
        """Begin with an attempt: it counts once nothing is left that memory could be missing for."""
        request = attempt.request
        if request.place is not None:
            from .notices import Resolve

            events.append(Resolve(request.place))
            attempt.data = b""  # it is made anew
        else:
            events.append(Transmit(attempt.data, attempt.flow))
            if attempt.flow[0][0] == _STREAM:
                attempt.data = b""  # it won't be repeated
            request.cseq = attempt.cseq
            if self.recovery is not None:
                self.recovery.peers.answered(request)
        self.pending[attempt.via[-23:].lower()] = attempt

    # Answers to them

    def match(self, data: bytes) -> tuple[ClientTransaction, bytes | None] | None:
        """Return (attempt, Date's value) of a 1xx or 2xx to a MESSAGE of ours; None for what has to be read in full.

        The Via of a response to us is the one we wrote, with parameters added. Nearly every peer leaves it and the
        names of the fields as we wrote them: then all is compared in place. It takes nothing that agent.more wouldn't.
        """
        find, starts = data.find, data.startswith
        attempt = date = None
        at = find(b"\r\n") + 2
        if not starts(b"SIP/2.0 ") or at < 14 or not 49 <= data[8] <= 50 or not data[8:11].isdigit() or data[11] != 32:
            return None
        seen = 0
        end = find(b"\r\n", at)
        while end > at:
            octet = data[at] | 32  # in lower case
            if octet == 118 and not seen & 1:  # v
                branch = find(b";branch=", at, end) + 8
                attempt = self.pending.get(data[branch : branch + 23].lower())
                if attempt is None or not starts(attempt.via, at) or find(b",", at, end) >= 0:
                    return None
                if data[branch + 23] != 59 and branch + 23 != end:
                    return None
                seen += 1
            elif octet == 99:  # c
                if starts(b"CSeq: ", at) and starts(b" MESSAGE\r\n", end - 8) and not seen & 2:
                    seen += 2
                elif starts(b"Content-Length: 0\r\n", at) and not seen & 4:
                    seen += 4
                elif not starts(b"Call-ID: ", at):
                    return None
            elif octet == 100 and starts(b"Date: ", at) and date is None:  # d
                date = data[at + 6 : end]
            elif (octet < 103 and octet != 102) or octet == 108 or octet == 114 or octet == 118:
                return None  # a folded line, an odd Date, Content-Length, Retry-After, another Via
            at = end + 2
            end = find(b"\r\n", at)
        if seen & 3 != 3 or end != at or attempt is None or attempt.request.owner is not None:
            return None
        return attempt, date

    def answered(
        self, attempt: ClientTransaction, status: int, reason: bytes, date: bytes | None, response: object, now: int
    ) -> list | tuple:
        """Take a response to an attempt. date: the value of its Date; response: a Message, None for a MESSAGE's 2xx."""
        if not attempt.receive(status):
            from .notices import Provisional

            return (Provisional(attempt.request.call_id, status, reason),)
        events: list = []
        if status >= 300 or attempt.request.owner is not None:
            self.rescue().end(attempt, status, reason, response, now, events)
        else:
            name = "accepted" if status == 202 else "delivered"  # 202: by a store or a gateway (RFC 3428 section 4)
            self.ended(attempt, Outcome(attempt.request.call_id, name, status, reason, None), now, events)
        if attempt.request.key.startswith(b"reply:"):
            date = None  # it went to whoever has written
        if date and status < 300 and (self.clock is None or self.clock.quality < _RTC):  # nobody better has told
            attempt.data = b""
            try:
                from .wall_clock import learned

                self.clock = learned(self.clock, date, now)
            except MemoryError:
                pass  # the next one will tell
        return events

    def ended(self, attempt: ClientTransaction, outcome: Outcome, now: int, events: list) -> None:
        """An attempt has led to an outcome: tell it, and begin with the next request for the same URI.

        A MemoryError leaves all but events as it was: for the same response once more, or the timer.
        """
        branch = attempt.via[-23:].lower()
        events.append(outcome)
        self.go_on(attempt.request.key, now, events)
        del self.pending[branch]

    def go_on(self, key: bytes, now: int, events: list) -> None:
        """The first request of a queue has ended or gone elsewhere: begin with the next one."""
        queue = self.queues[key]
        if len(queue) > 1:
            attempt = self.attempt(queue[1], now)
            if len(attempt.data) > BUDGET:  # with what was asked for since it was measured
                attempt = self.attempt(queue[1], now, None, True)
            self.start(attempt, events)
        queue.pop(0)
        if not queue:
            del self.queues[key]

    def wake(self, now: int) -> list:
        """Let time pass: repeat requests, give up on what stayed unanswered."""
        return self.one_by_one([], self._tick, now)

    def _tick(self, attempt: ClientTransaction, events: list, now: int) -> None:
        if attempt.wake(now):
            events.append(Transmit(attempt.data, attempt.flow))
        elif attempt.state == _TERMINATED:
            request, reason = attempt.request, b"Request Timeout"
            if self.recovery is None and request.owner is None and request.place is None:  # nothing else is known
                self.ended(attempt, Outcome(request.call_id, "timeout", 408, reason, None), now, events)
            else:
                self.rescue().end(attempt, 408, reason, None, now, events)

    def one_by_one(self, events: list, step: object, *arguments: object) -> list:
        """Take a step with each attempt; returns events, to which they have added theirs.

        Where memory runs out the steps before that are told of, and those left have their timers. Raises MemoryError
        if there is nothing to tell.
        """
        for attempt in list(self.pending.values()):
            told = len(events)
            try:
                step(attempt, events, *arguments)  # type: ignore[operator]
            except MemoryError:
                while len(events) > told:
                    events.pop()
                if not events:
                    raise
                break
        return events

    def wait_ms(self, now: int) -> int | None:
        """Return the ms until wake() has work, 0 when overdue, None when nothing is pending."""
        wait = None
        for attempt in self.pending.values():
            ms = attempt.wait_ms(now)
            if wait is None or ms < wait:
                wait = ms
        return wait
