"""The sending half: what RFC 3261 section 8.1 and RFC 3428 sections 4, 5 and 8 ask of a UAC.

One MESSAGE at a time is pending for each URI, the next ones wait behind it. Every send() ends in one Outcome.
"""

from binascii import hexlify

from agent.budget import BUDGET, fit
from agent.compat import const
from agent.dates import LEARNED, WallClock, format_date, parse_date
from agent.errors import ParseError, UsageError
from agent.events import Event, Outcome, Transmit
from agent.headers import parse_cseq, parse_via
from agent.message import Message
from agent.transaction import TERMINATED, ClientTransaction
from agent.uri import parse_host_port, parse_uri

_MAX_QUEUE = const(100)  # messages that may wait behind the one that is pending
_DATE = const(37)  # octets of "Date: Sat, 13 Nov 2010 23:29:00 GMT" and its line end
_NOTHING: tuple[Event, ...] = ()  # shared, so that silence allocates nothing

_FULL = (
    b"MESSAGE %s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=%s;rport\r\nMax-Forwards: 70\r\nFrom: <%s>;tag=%s\r\n"
    b"To: <%s>\r\nCall-ID: %s\r\nCSeq: %d MESSAGE\r\n%sContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
)
_COMPACT = (
    b"MESSAGE %s SIP/2.0\r\nv:SIP/2.0/%s %s;branch=%s;rport\r\nMax-Forwards:70\r\nf:<%s>;tag=%s\r\n"
    b"t:<%s>\r\ni:%s\r\nCSeq:%d MESSAGE\r\n%sc:%s\r\nl:%d\r\n\r\n"
)


def outcome_name(status: int) -> str:
    """Say what a final response means for a MESSAGE (RFC 3428 sections 4 and 7); none of them means "read"."""
    if status == 202:
        return "accepted"
    return "delivered" if status < 300 else "failed" if status < 600 else "refused"


class Draft:
    """One MESSAGE as its sender wants it, and its place in the work."""

    __slots__ = (
        "body",
        "branch",
        "call_id",
        "compact",
        "content_type",
        "cseq",
        "expires",
        "flow",
        "from_tag",
        "key",
        "request",
        "request_uri",
        "sent_by",
        "subject",
        "to",
        "transaction",
    )
    request_uri: bytes
    to: bytes
    key: bytes  # Uri.key() of the target
    flow: tuple
    content_type: bytes
    expires: int | None
    subject: bytes | None
    compact: bool
    body: bytes
    call_id: bytes
    from_tag: bytes
    cseq: int
    branch: bytes
    sent_by: bytes
    request: bytes  # the octets on the air
    transaction: ClientTransaction


class Uac:
    """Sends; UserAgent adds receiving."""

    def __init__(
        self, aor: bytes, sent_by: bytes, random_bytes: object, proxy: bytes | None = None, transport: bytes = b"UDP"
    ) -> None:
        try:
            parse_uri(aor)
            parse_host_port(sent_by)
            self._proxy_flow = None if proxy is None else parse_uri(proxy).flow(transport)
        except ParseError as error:
            raise UsageError("address-of-record, sent-by or proxy: " + error.detail)
        self.aor = aor
        self.sent_by = sent_by
        self.clock = WallClock()
        self.reserve = 0  # octets that a challenge would add to each request
        self._random = random_bytes
        self._transport = transport
        self._queues: dict[bytes, list[Draft]] = {}  # by URI key; the first of each is pending
        self._pending: dict[bytes, Draft] = {}  # by lower-case branch

    def token(self, octets: int) -> bytes:
        """Return a fresh random token of 2*octets characters."""
        return hexlify(self._random(octets))  # type: ignore[operator]

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
        flow: tuple | None = None,
        compact: bool = False,
        subject: bytes | None = None,
    ) -> list[Event] | tuple[Event, ...]:
        """Send a MESSAGE, at once or when the one pending for the same URI has its outcome (RFC 3428 section 8).

        call_id: from new_call_id(), or the stored one of a message that is sent again after a restart.
        target: a sip:, sips: or im: URI. expires: seconds that the content stays valid; adds Date if we know it.
        flow: next hop, instead of the proxy or the target. compact: the short header names of RFC 3261 section 7.3.3.
        Raises UsageError: what can't be sent by any road, a text over the budget, a Call-ID in use, a full queue.
        """
        draft = self._draft(target, content_type, expires, flow, compact, subject)
        _check_text(call_id, "Call-ID")
        over = len(body) - self._room(draft)
        if over > 0:
            raise UsageError("the request is %d octets over its budget of %d" % (over, BUDGET))
        for queue in self._queues.values():
            for other in queue:
                if other.call_id == call_id:
                    raise UsageError("this Call-ID is being sent already: take a new one")
        draft.call_id = call_id
        draft.body = body
        queue = self._queues.setdefault(draft.key, [])
        if len(queue) > _MAX_QUEUE:
            raise UsageError("too many messages wait for this URI: send more when some have their outcome")
        queue.append(draft)
        return self._start(draft, now) if len(queue) == 1 else _NOTHING

    def room(
        self,
        target: bytes,
        content_type: bytes = b"text/plain",
        expires: int | None = None,
        flow: tuple | None = None,
        compact: bool = False,
        subject: bytes | None = None,
    ) -> int:
        """Return the octets that a body sent with these arguments may have. Raises UsageError as send() does."""
        return self._room(self._draft(target, content_type, expires, flow, compact, subject))

    def fit(
        self,
        target: bytes,
        body: bytes,
        policy: str,
        content_type: bytes = b"text/plain",
        expires: int | None = None,
        flow: tuple | None = None,
        subject: bytes | None = None,
    ) -> tuple[list[bytes], bool]:
        """Return (bodies, compact): what to send() one after the other so that a text obeys the budget.

        policy: of budget.POLICIES. Names are shortened before a text is; "refuse" does neither.
        Raises UsageError that says by how many octets the text is over the budget.
        """
        draft = self._draft(target, content_type, expires, flow, False, subject)
        room = self._room(draft)
        if policy != "refuse" and len(body) > room:
            draft.compact = True
            room = self._room(draft)
        return fit(body, room, policy), draft.compact

    def _draft(
        self,
        target: bytes,
        content_type: bytes,
        expires: int | None,
        flow: tuple | None,
        compact: bool,
        subject: bytes | None,
    ) -> Draft:
        try:
            uri = parse_uri(target)
            if flow is None:
                flow = self._proxy_flow or uri.flow(self._transport)
        except ParseError as error:
            raise UsageError("target: %s (an im: or tel: URI needs a proxy)" % error.detail)
        if uri.scheme == b"sips" and flow[0] != b"TLS":
            raise UsageError("a sips: target may be sent over TLS only")
        if expires is not None and not 0 <= expires <= 0xFFFFFFFF:
            raise UsageError("expires: 0 to 4294967295 seconds")
        _check_text(content_type, "content type")
        if subject is not None:
            _check_text(subject, "subject")
        draft = Draft()
        draft.request_uri = uri.request_uri()
        draft.to = uri.address_of_record()
        draft.key = uri.key()
        draft.flow = flow
        draft.content_type = content_type
        draft.expires = expires
        draft.subject = subject
        draft.compact = compact
        draft.body = b""
        draft.cseq = 0
        draft.call_id = b"0" * 20
        draft.from_tag = self.token(4)
        return draft

    def _room(self, draft: Draft) -> int:
        """Octets left for the body, whatever becomes known of the time before it is sent."""
        draft.branch = b"z9hG4bK0123456789abcdef"
        # 3 digits of Content-Length where an empty body has 1; CSeq grows by a digit after nine challenges at most
        return BUDGET - self.reserve - len(self._build(draft, None)) - (_DATE if draft.expires else 0) - 3

    def _build(self, draft: Draft, unix: int | None) -> bytes:
        fields = b""
        if draft.expires is not None:
            fields = b"Expires:%d\r\n" % draft.expires if draft.compact else b"Expires: %d\r\n" % draft.expires
            if draft.expires and unix is not None:
                fields += b"Date: %s\r\n" % format_date(unix)
        if draft.subject is not None:
            fields += (b"s:%s\r\n" if draft.compact else b"Subject: %s\r\n") % draft.subject
        draft.sent_by = self.sent_by
        return (_COMPACT if draft.compact else _FULL) % (
            draft.request_uri,
            draft.flow[0],
            self.sent_by,
            draft.branch,
            self.aor,
            draft.from_tag,
            draft.to,
            draft.call_id,
            draft.cseq,
            fields,
            draft.content_type,
            len(draft.body),
        ) + draft.body

    def _start(self, draft: Draft, now: int) -> list[Event]:
        draft.branch = b"z9hG4bK" + self.token(8)
        draft.cseq += 1
        draft.request = self._build(draft, self.clock.unix(now))
        draft.transaction = ClientTransaction(draft.flow[0] != b"UDP", now)
        self._pending[draft.branch.lower()] = draft
        return [Transmit(draft.request, draft.flow)]

    def _finish(self, draft: Draft, name: str, status: int, reason: bytes, now: int) -> list[Event]:
        del self._pending[draft.branch.lower()]
        events: list[Event] = [Outcome(draft.call_id, name, status, reason)]
        queue = self._queues[draft.key]
        del queue[0]
        if queue:
            events += self._start(queue[0], now)
        else:
            del self._queues[draft.key]
        return events

    def receive_response(self, message: Message, now: int) -> list[Event] | tuple[Event, ...]:
        """Match a response to its request (RFC 3261 sections 17.1.3 and 18.1.2). Raises ParseError for a stray."""
        vias = message.members(b"via")
        if message.fault or len(vias) != 1:
            raise ParseError("a response that is well-formed and has one Via was expected")
        via = parse_via(vias[0])
        branch = b""
        for name, value in via.params:
            if name == b"branch" and value is not None:
                branch = value.lower()
        draft = self._pending.get(branch)
        if (
            draft is None
            or parse_cseq(message.get(b"cseq") or b"")[1] != b"MESSAGE"
            or parse_host_port(draft.sent_by) != (via.host, via.port)
        ):
            raise ParseError("a response to a pending request was expected")
        if not draft.transaction.receive(message.status):
            return _NOTHING
        if message.status < 300 and self.clock.quality <= LEARNED:
            date = parse_date(message.get(b"date"))
            if date is not None:
                self.clock.set(date, LEARNED, now)
        return self._finish(draft, outcome_name(message.status), message.status, message.reason, now)

    def failed(self, flow: tuple, now: int) -> list[Event] | tuple[Event, ...]:
        """End what is pending on a flow that is gone or can't be opened, as if by a 503 (RFC 3261 section 8.1.3.1)."""
        events: list[Event] = []
        for draft in list(self._pending.values()):
            if draft.flow[:3] == flow[:3]:
                events += self._finish(draft, "failed", 503, b"Transport Error", now)
        return events

    def wake(self, now: int) -> list[Event] | tuple[Event, ...]:
        """Let time pass: repeat requests, give up on what stayed unanswered."""
        events: list[Event] = []
        for draft in list(self._pending.values()):
            if draft.transaction.wake(now):
                events.append(Transmit(draft.request, draft.flow))
            elif draft.transaction.state == TERMINATED:
                events += self._finish(draft, "timeout", 408, b"Request Timeout", now)
        return events

    def wait_ms(self, now: int) -> int | None:
        """Return the ms until wake() has work, 0 when overdue, None when nothing is pending."""
        wait = None
        for draft in self._pending.values():
            ms = draft.transaction.wait_ms(now)
            if wait is None or ms < wait:
                wait = ms
        return wait


def _check_text(value: bytes, what: str) -> None:
    """Nothing a caller gives may end a header field, let alone begin another one."""
    for c in value:
        if c < 32 or c == 127:
            raise UsageError("%s: one line without control characters" % what)
