"""The rest of a user agent's door: for all that comes and is no plain 2xx, and all that is asked of it but to send."""

from .events import Transmit
from .message import Message
from .notices import Dropped
from .request import ClientTransaction

_PING = b"\r\n\r\n"
_REPLY = b"reply:"  # what the queues of replies begin with: no URI does


class More:
    """What agent.user_agent.UserAgent hands on to.

    uac: whose requests responses answer, and whose settings hold here.
    """

    registration: "Registration | None" = None  # type: ignore[name-defined]  # noqa: F821
    _uas: "Uas | None" = None  # type: ignore[name-defined]  # noqa: F821

    def __init__(self, uac: "Uac") -> None:  # type: ignore[name-defined]  # noqa: F821
        self._uac = uac
        self._reader = uac.settings.get("reader") or Message

    # What comes

    def receive(self, data: bytes | Message, flow: tuple, now: int) -> list | tuple:
        """Take what came on a flow; see UserAgent.receive()."""
        if isinstance(data, bytes):
            octets = data.lstrip(b"\r\n\0")  # line ends may come first (RFC 3261 section 7.5)
            if not octets:  # a keepalive (RFC 5626 section 3.5.1); only a stream's is answered
                if self.registration is not None:
                    self.registration.pong(flow)
                return (Transmit(b"\r\n", flow),) if data == _PING and flow[0] != b"UDP" else ()
            data = self._reader(octets)
        if data.status or not data.method:
            return self._take_response(data, flow, now)
        return self._take_request(data, flow, now)

    def _take_response(self, message: Message, flow: tuple, now: int) -> list | tuple:
        """Take a response, or what is no SIP message at all."""
        if not message.status or message.missing():
            return (Dropped("bytes that are no SIP message", flow),)
        attempt = self._match(message)
        if attempt is None:
            return (Dropped("a response to no request of ours", flow),)
        date = message.get(b"date")
        if message.status < 300 and attempt.request.fallback is not None and message.get(b"accept"):
            from .recovery.fallback import heed

            heed(attempt.request, message, self._uac.rescue().peers)
        return self._uac.answered(attempt, message.status, message.reason, date, message, now)  # type: ignore[no-any-return]

    def _take_request(self, message: Message, flow: tuple, now: int) -> list | tuple:
        """Take a request."""
        if not message.body_at and flow[0] == b"UDP":
            return (Dropped("a request without an end of its header fields", flow),)
        if self._uas is None:
            from .uas import Uas

            self._uas = Uas(self._uac.settings, self._uac.token)
        if self.registration is not None:
            self._uas.contacts = self.registration.contacts
        return self._uas.receive(message, flow, self._uac.clock, now)

    def _match(self, message: Message) -> ClientTransaction | None:
        """Return the attempt that a response answers (RFC 3261 sections 17.1.3 and 18.1.2), None for a stray.

        The one Via of a response to us is the one we wrote, with parameters added and perhaps in another order.
        """
        via = message.get(b"via") or b""
        branch = via[via.lower().find(b"z9hg4bk") :].partition(b";")[0].rstrip().lower()
        attempt: ClientTransaction | None = self._uac.pending.get(branch)
        if message.fault or attempt is None or via.find(b",") >= 0 or message.names.count(b"via") > 1:
            return None
        if not via.startswith(attempt.via[5:]):  # a peer's own way to write the same
            ours = attempt.via.lower().partition(b";")[0].split()
            if via.lower().partition(b";")[0].split()[-1:] != ours[-1:]:
                return None
        cseq = (message.get(b"cseq") or b"").split()
        return attempt if cseq[-1:] == [attempt.request.method] else None

    def respond(
        self,
        received: "MessageReceived",  # type: ignore[name-defined]  # noqa: F821
        status: int,
        now: int,
        reason: bytes = b"",
        fields: bytes = b"",
    ) -> list:
        """Answer a MessageReceived: 200 taken, 202 stored for later, or why not (RFC 3428 section 7).

        reason: in place of the usual phrase. fields: header lines of a refusal, such as its Retry-After. Raises
        UsageError for a status below 200, or 408.
        """
        return self._uas.respond(received, status, reason, fields, self._uac.clock, now)  # type: ignore[union-attr,no-any-return]

    def forget(self, received: "MessageReceived") -> None:  # type: ignore[name-defined]  # noqa: F821
        """Leave a MessageReceived without an answer, unless it has one; it is a new one if it comes again."""
        self._uas.forget(received)  # type: ignore[union-attr]

    def reply(self, *arguments: object, **options: object) -> list | tuple:
        """Send text to who sent a MessageReceived: see agent.reply.reply()."""
        from .reply import reply

        return reply(self._uac, *arguments, **options)  # type: ignore[arg-type]

    def replies(self) -> int:
        """Return how many replies have no outcome yet."""
        queues = self._uac.queues
        return sum([len(queues[key]) for key in queues if key.startswith(_REPLY)])

    # What is asked

    def fit(self, *arguments: object, **options: object) -> tuple[list[bytes], bool]:
        """Return agent.budget.fit_message of this user agent: the bodies to send, and whether with compact names."""
        from .budget import fit_message

        return fit_message(self._uac, *arguments, **options)  # type: ignore[arg-type]

    def has_refused(self, target: bytes, content_type: bytes) -> bool:
        """Has target's user agent refused a content type that had a fallback, by 415, 406, 488 or its Accept?"""
        from .target import read_target

        key = read_target(target, b"", (b"TLS",))[2]
        return self._uac.recovery is not None and self._uac.recovery.has_refused(key, content_type)

    def move_to(self, sent_by: bytes) -> None:
        """Let answers reach us at another place: host or host:port. Raises UsageError for what is neither."""
        from .target import read_target

        read_target(b"sip:x@" + sent_by, b"", (b"TLS",))
        self._uac.sent_by = sent_by

    def resolved(self, uri: bytes, flows: list, now: int, reason: bytes = b"No Address") -> list:
        """Answer a Resolve event: the flows that its URI leads to, the best first; none, and the reason why."""
        return self._uac.rescue().resolved(uri, flows, now, reason)  # type: ignore[no-any-return]

    def live_first(self, flows: list, now: int) -> list:
        """Return flows with those at the end that led nowhere a while ago."""
        return self._uac.rescue().peers.live_first(flows, now)  # type: ignore[no-any-return]

    def failed(self, flow: tuple, now: int, reason: bytes = b"Transport Error") -> list:
        """End what is pending on a flow that is gone or can't be opened, as if by a 503 (RFC 3261 section 8.1.3.1).

        What waits behind it for the same flow and knows no other ends, too: a shell isn't told a hundred times.
        """
        events: list = self._uac.rescue().failed(flow, now, reason, [])
        if self.registration is not None:
            try:
                events += self.registration.flow_failed(flow, now)
            except MemoryError:
                if not events:
                    raise  # else what has ended is told; a binding has its pings and its renewal
        return events

    def register(
        self, now: int, registrar: bytes | None = None, expires: int = 3600, instance: bytes = b"", contact: bytes = b""
    ) -> list:
        """Bind our address-of-record to where we are, and keep it so: Registered and RegistrationLost tell of it.

        registrar: a URI, e.g. b"sip:example.org"; None takes the address-of-record's host. expires: seconds to ask for.
        instance: a URN that stays the same over restarts, e.g. b"urn:uuid:...", for outbound (RFC 5626).
        contact: our URI as the registrar is to know it; made from sent_by when not given.
        Raises UsageError for a registrar that can't be reached as a URI.
        """
        from .registration import Registration

        self.registration = Registration(self._uac, registrar, expires, instance, contact)
        return self.registration.start(now)

    def unregister(self, now: int) -> list:
        """Take our binding away, if there is one. The Registered event that follows says 0 seconds."""
        return [] if self.registration is None else self.registration.stop(now)

    # Time

    def wake(self, now: int, events: list) -> list:
        """Let time pass for the requests of others and for a registration; returns events with theirs."""
        for part in (self._uas, self.registration):
            if part is not None:
                try:
                    events += part.wake(now)
                except MemoryError:
                    if not events:
                        raise  # else what has ended is told; this is due again
        return events

    def wait_ms(self, now: int, wait: int | None) -> int | None:
        """Return the ms until wake() has work, or wait if that is less; None for never."""
        for part in (self._uas, self.registration):
            ms = None if part is None else part.wait_ms(now)
            if wait is None or (ms is not None and ms < wait):
                wait = ms
        return wait
