"""The sending half: what RFC 3261 section 8.1 and RFC 3428 sections 4, 5 and 8 ask of a UAC.

One MESSAGE at a time is pending for each URI, the next ones wait behind it. Every send() ends in one Outcome.
"""

from binascii import hexlify

from .client_transaction import TERMINATED, ClientTransaction
from .clock import LEARNED, NONE, WallClock
from .compat import const
from .errors import ParseError, UsageError
from .events import Event, Outcome, Transmit
from .message import Message
from .uri import Uri, parse_host_port, parse_uri

BUDGET = 1300  # octets of a request, all headers included (RFC 3428 section 8)
_MAX_ATTEMPTS = const(8)  # of one request, whatever the reasons
_MAX_QUEUE = const(100)  # messages that may wait behind the one that is pending
_DATE = const(36)  # octets of "Date:Sat, 13 Nov 2010 23:29:00 GMT" and its line end
_CREDENTIALS = const(384)  # octets of credentials with SHA-256, beside user and URI; realm and nonce 160 of them
_NO_CHALLENGES: list = []
_NOTHING: tuple[Event, ...] = ()  # shared, so that silence allocates nothing

_HEAD = (
    b"%s %s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=%s;rport\r\nMax-Forwards: %d\r\nFrom: <%s>;tag=%s\r\n"
    b"To: <%s>\r\nCall-ID: %s\r\nCSeq: %d %s\r\n%s"
)


class Draft:
    """One request as its sender wants it, and its place in the work."""

    method: bytes  # b"MESSAGE", or b"REGISTER" for a registration
    owner: object | None = None  # whose finished() hears of the final response; None makes it an Outcome
    uri: Uri  # the Request-URI
    aor: bytes  # whom it is from
    to: bytes
    route: "ServiceRoute | None" = None  # type: ignore[name-defined]  # noqa: F821  # of agent.registration.route
    key: bytes  # of the target; whom it is for in Uac.refused, wherever redirects lead
    flow: tuple
    flows: list[tuple]  # where to turn next when flow leads nowhere
    content_type: bytes | None = None
    expires: int | None = None
    subject: bytes | None = None
    compact = False
    body = b""
    date: int | None = None  # Unix seconds for Date, in place of the time of sending
    max_forwards = 70
    fallback: tuple[bytes, bytes] | None = None  # content type and body for a peer that refuses the first ones
    extra = b""  # further header lines
    call_id: bytes
    from_tag: bytes
    cseq = 0
    branch: bytes
    sent_by: bytes
    request: bytes  # the octets on the air
    transaction: ClientTransaction
    challenges: list  # of agent.auth.client.Challenge; each is answered in every request from now on
    tried: list[bytes]  # what has been done already


class Uac:
    """Sends; UserAgent adds receiving."""

    refused: tuple = ()  # (URI key, content type) that peers answered 415, agent.recovery.failover keeps the latest
    rooms = 1  # for credentials, kept in each request; agent.auth.client makes it 2
    resolve_im: object | None = None  # a function of an im: URI that returns a sip: or sips: URI for it, or None
    dead: dict[tuple, int]  # made by agent.recovery.failover: a flow's first three items -> when to think of it again

    def __init__(
        self, aor: bytes, sent_by: bytes, random_bytes: object, proxy: bytes | None = None, transport: bytes = b"UDP"
    ) -> None:
        try:
            parse_uri(aor)
            parse_host_port(sent_by)
            self.proxy_flow = None if proxy is None else parse_uri(proxy).flow(transport)
        except ParseError as error:
            raise UsageError("address-of-record, sent-by or proxy: " + error.detail)
        self.aor = aor  # whom the next message is from
        self.sent_by = sent_by
        self.clock = WallClock()
        self.credentials: tuple[tuple[bytes, bytes, bytes], ...] = ()  # (realm or b"" for any, user, password)
        self.route: ServiceRoute | None = None  # type: ignore[name-defined]  # noqa: F821  # of each MESSAGE
        self._random = random_bytes
        self.transport = transport
        self._target = b""  # the last one, and what parse_uri made of it: a board mostly sends to the same
        self._uri: Uri | None = None
        self.queues: dict[bytes, list[Draft]] = {}  # by key of Draft.uri; the first of each is pending
        self.pending: dict[bytes, Draft] = {}  # by branch, in lower case
        self.challenges: dict[tuple, list] = {}  # by method and flow: a nonce serves for more than one request

    def token(self, octets: int) -> bytes:
        """Return a fresh random token of 2*octets characters."""
        return hexlify(self._random(octets))  # type: ignore[operator]

    def random_octet(self) -> int:
        """Return a random number 0..255."""
        return self._random(1)[0]  # type: ignore[operator,no-any-return]

    def new_call_id(self) -> bytes:
        """Return a Call-ID that nobody has used: 80 random bits (RFC 3261 section 8.1.1.4)."""
        return self.token(10)

    def send(
        self,
        call_id: bytes,
        target: bytes,
        body: bytes,
        now: int,
        content_type: bytes = b"text/plain",
        expires: int | None = None,
        flow: tuple | list[tuple] | None = None,
        compact: bool = False,
        subject: bytes | None = None,
        fallback: tuple[bytes, bytes] | None = None,
        date: int | None = None,
        max_forwards: int = 70,
    ) -> list[Event] | tuple[Event, ...]:
        """Send a MESSAGE, at once or when the one pending for the same URI has its outcome (RFC 3428 section 8).

        call_id: from new_call_id(), or the stored one of a message that is sent again after a restart.
        target: a sip:, sips:, im: or tel: URI; for an im: URI resolve_im may know a better one.
        expires: seconds that the content stays valid; adds Date if we know it.
        flow: next hop, instead of the proxy or the target; a list has more, to try when the first leads nowhere.
        compact: the short header names of RFC 3261 section 7.3.3.
        fallback: content type and body to send once a peer has refused content_type with 415, from then on at once.
        date, max_forwards: of a message that is passed on: the Unix seconds of its own Date, one hop less than it had.
        Raises UsageError: what can't be sent by any road, a request over the budget, a Call-ID in use, a full queue.
        """
        _check_text(call_id)
        for queue in self.queues.values():
            for other in queue:
                if other.call_id == call_id:
                    raise UsageError("this Call-ID is being sent already: take a new one")
        draft = self.draft(target, content_type, expires, flow, compact, subject)
        draft.call_id = call_id
        draft.body = body
        if date is not None or max_forwards != draft.max_forwards:
            draft.date = date
            draft.max_forwards = max_forwards
        if fallback is not None:
            draft.fallback = fallback
            if (draft.key, content_type) in self.refused:
                draft.content_type, draft.body = fallback
        self.build(draft, now)
        over = len(draft.request) + self.to_come(draft) - BUDGET
        if over > 0:
            raise UsageError("the request is %d octets over its budget of %d" % (over, BUDGET))
        queue = self.queues.setdefault(draft.key, [])
        if len(queue) > _MAX_QUEUE:
            raise UsageError("too many messages wait for this URI: send more when some have their outcome")
        events = _NOTHING if queue else self.start(draft, now)
        queue.append(draft)
        return events

    def fit(self, *arguments: object, **options: object) -> tuple[list[bytes], bool]:
        """Return agent.budget.fit_message of this user agent: the bodies to send, and whether with compact names."""
        from .budget import fit_message

        return fit_message(self, *arguments, **options)  # type: ignore[arg-type]

    def draft(
        self,
        target: bytes,
        content_type: bytes,
        expires: int | None,
        flow: tuple | list[tuple] | None,
        compact: bool,
        subject: bytes | None,
    ) -> Draft:
        """Return a MESSAGE without a body yet. Raises UsageError as send() does."""
        try:
            uri = self._uri
            if uri is None or target != self._target:
                self._uri = uri = parse_uri(target)
                self._target = target
            if uri.scheme == b"im" and self.resolve_im is not None:  # RFC 3428 section 5
                uri = parse_uri(self.resolve_im(target) or target)  # type: ignore[operator]
            if flow is None:
                flow = self.route.flow if self.route is not None else self.proxy_flow or uri.flow(self.transport)
        except ParseError as error:
            raise UsageError("target: %s (an im: or tel: URI needs a proxy)" % error.detail)
        if uri.scheme == b"sips" and (flow if isinstance(flow, tuple) else flow[0])[0] != b"TLS":
            raise UsageError("a sips: target is sent over TLS only")
        if expires is not None and not 0 <= expires <= 0xFFFFFFFF:
            raise UsageError("expires: 0 to 4294967295 seconds")
        _check_text(content_type)
        if subject is not None:
            _check_text(subject)
        draft = self.new_draft(b"MESSAGE", uri, flow)
        draft.content_type = content_type
        if subject is not None or compact or self.route is not None:  # a board pays for each attribute that is set
            draft.subject = subject
            draft.compact = compact
            draft.route = self.route
        if expires is not None:
            draft.expires = expires
        return draft

    def new_draft(self, method: bytes, uri: Uri, flow: tuple | list[tuple]) -> Draft:
        """Return a request with nothing in it yet; agent.registration begins here, too."""
        draft = Draft()
        draft.method = method
        draft.uri = uri
        draft.aor = self.aor
        draft.to = uri.address_of_record()
        draft.key = uri.key()
        draft.flows = list(flow) if isinstance(flow, list) else [flow]
        draft.flow = draft.flows.pop(0)
        draft.from_tag = self.token(4)
        draft.challenges = self.challenges.get((method, draft.flow[:3]), _NO_CHALLENGES)
        draft.tried = []
        return draft

    def to_come(self, draft: Draft) -> int:
        """Octets that the request may still gain: the answer to a challenge, and a Date once it is known."""
        octets = _DATE if draft.expires and draft.date is None and self.clock.quality == NONE else 0
        if self.credentials:
            each = _CREDENTIALS + max([len(one[1]) for one in self.credentials]) + len(draft.uri.request_uri())
            octets += max(self.rooms - len(draft.challenges), 0) * each
        return octets

    def build(self, draft: Draft, now: int) -> None:
        """Make the octets of a new transaction: branch and CSeq are fresh, Date is the time of sending."""
        draft.cseq += 1  # before anything can fail: who builds anew has taken one away
        request_uri = draft.uri.request_uri()
        extra = draft.extra
        if draft.route is not None:
            request_uri, extra = draft.route.lead(draft.uri)
        branch = b"z9hG4bK" + self.token(8)
        sent_by = self.sent_by
        head = _HEAD
        if draft.compact:
            from .budget import COMPACT as head
        parts = [
            head
            % (
                draft.method,
                request_uri,
                draft.flow[0],
                sent_by,
                branch,
                draft.max_forwards,
                draft.aor,
                draft.from_tag,
                draft.to,
                draft.call_id,
                draft.cseq,
                draft.method,
                extra,
            )
        ]
        if draft.expires is not None:
            parts.append(b"Expires:%d\r\n" % draft.expires)
        unix = draft.date
        if unix is None and draft.expires:
            unix = self.clock.unix(now)
        if unix is not None:
            from .headers.dates import format_date

            parts.append(b"Date:%s\r\n" % format_date(unix))
        if draft.subject is not None:
            parts.append((b"s:%s\r\n" if draft.compact else b"Subject: %s\r\n") % draft.subject)
        if draft.content_type is not None:
            parts.append((b"c:%s\r\n" if draft.compact else b"Content-Type: %s\r\n") % draft.content_type)
        for challenge in draft.challenges:
            parts.append(challenge.answer(draft.method, request_uri, draft.body, self.token(4)))
        parts.append((b"l:%d\r\n\r\n" if draft.compact else b"Content-Length: %d\r\n\r\n") % len(draft.body))
        parts.append(draft.body)
        draft.request = b"".join(parts)  # in one piece: a board's memory may have no room for its growing
        draft.branch = branch
        draft.sent_by = sent_by

    def start(self, draft: Draft, now: int) -> list[Event]:
        """Begin the transaction of a request that was built."""
        events: list[Event] = [Transmit(draft.request, draft.flow)]
        draft.transaction = ClientTransaction(draft.flow[0] != b"UDP", now)
        for challenge in draft.challenges:
            challenge.count += 1
        self.pending[draft.branch.lower()] = draft
        if draft.transaction.reliable:
            draft.request = b""  # it won't be repeated
        return events

    def finish(
        self, draft: Draft, name: str, status: int, reason: bytes, message: Message | None, now: int
    ) -> list[Event]:
        """End a transaction: by another attempt if there is one, else with the outcome; then the next one's turn.

        A MemoryError leaves it pending: for the same response once more, or its timer.
        """
        branch = draft.branch
        request = draft.request
        tried = draft.tried
        try:
            events = self._conclude(draft, name, status, reason, message, now)
        except MemoryError:
            draft.branch = branch
            draft.request = request
            draft.tried = tried
            raise
        del self.pending[branch.lower()]
        return events

    def _conclude(
        self, draft: Draft, name: str, status: int, reason: bytes, message: Message | None, now: int
    ) -> list[Event]:
        key = draft.uri.key()
        again = False
        if status >= 300 and len(draft.tried) < _MAX_ATTEMPTS:
            draft.tried = list(draft.tried)
            if status in (401, 407):
                from .auth.client import answer

                again = answer(self, draft, message)  # type: ignore[arg-type]
            else:
                from .recovery.failover import amend

                again = amend(self, draft, status, message, now)
        if again:
            self.build(draft, now)
            if len(draft.request) <= BUDGET:
                if draft.owner is not None or draft.uri.key() == key:
                    return self.start(draft, now)
                from .recovery.redirect import requeue

                return requeue(self, draft, key, now)
            over = len(draft.request) - BUDGET
            reason = b"%d octets over the budget with what the %d asks for: shorten the text" % (over, status)
        if draft.owner is not None:
            events: list[Event] = draft.owner.finished(status, message, now)  # type: ignore[attr-defined]
            return events
        retry_after = None if message is None else message.get(b"retry-after")
        return [Outcome(draft.call_id, name, status, reason, retry_after)] + self.go_on(key, now)

    def go_on(self, key: bytes, now: int) -> list[Event]:
        """The first of a queue has ended or gone elsewhere: begin with the next one."""
        queue = self.queues[key]
        if len(queue) == 1:
            del self.queues[key]
            return []
        draft = queue[1]
        draft.cseq -= 1  # it has only been measured so far
        self.build(draft, now)
        if self.challenges:
            from .auth.client import recall

            recall(self, draft, now)
        events = self.start(draft, now)
        queue.pop(0)
        return events

    def receive_response(self, message: Message, now: int) -> list[Event] | tuple[Event, ...]:
        """Match a response to its request (RFC 3261 sections 17.1.3 and 18.1.2). Raises ParseError for a stray.

        The one Via of a response to us is the one we wrote, with parameters added and perhaps in another order.
        """
        vias = message.all(b"via")
        via = vias[0].lower() if len(vias) == 1 else b""
        branch = via[via.find(b"z9hg4bk") :].split(b";")[0].rstrip()
        draft = self.pending.get(branch)
        if (
            message.fault
            or draft is None
            or via.find(b",") >= 0
            or via.split(b";")[0].split()[-1:] != [draft.sent_by.lower()]
            or (message.get(b"cseq") or b"").split()[-1:] != [draft.method]
        ):
            raise ParseError("a response to a pending request was expected")
        status = message.status
        if not draft.transaction.receive(status):
            return _NOTHING
        if status < 300 and self.clock.quality <= LEARNED:
            date = message.get(b"date")
            if date is not None:
                from .headers.dates import parse_date

                unix = parse_date(date)
                if unix is not None:
                    self.clock.set(unix, LEARNED, now)
        if status == 202:
            name = "accepted"  # by a store or a gateway: not delivered yet (RFC 3428 section 4)
        else:
            name = "delivered" if status < 300 else "failed" if status < 600 else "refused"
        return self.finish(draft, name, status, message.reason, message, now)

    def wake(self, now: int) -> list[Event]:
        """Let time pass: repeat requests, give up on what stayed unanswered."""
        events: list[Event] = []
        for draft in list(self.pending.values()):
            if draft.transaction.wake(now):
                events.append(Transmit(draft.request, draft.flow))
            elif draft.transaction.state == TERMINATED:
                events += self.finish(draft, "timeout", 408, b"Request Timeout", None, now)
        return events

    def wait_ms(self, now: int) -> int | None:
        """Return the ms until wake() has work, 0 when overdue, None when nothing is pending."""
        wait = None
        for draft in self.pending.values():
            ms = draft.transaction.wait_ms(now)
            if wait is None or ms < wait:
                wait = ms
        return wait


def _check_text(value: bytes) -> None:
    """Nothing a caller gives may end a header field, let alone begin another one."""
    if not value or value.find(b"\r") >= 0 or value.find(b"\n") >= 0 or value.find(b"\0") >= 0:
        raise UsageError("Call-ID, content type and subject: one line of text each was expected")
