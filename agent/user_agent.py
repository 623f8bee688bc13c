"""The object a shell drives: bytes and time in, events out. The only file that knows all the others."""

from .clock import RTC
from .errors import ParseError
from .events import Dropped, Event, MessageReceived, Transmit
from .message import Message
from .uac import Uac

_NOTHING: tuple[Event, ...] = ()


class UserAgent(Uac):
    """A SIP user agent for MESSAGE alone: UAC and UAS in one.

    aor: its address-of-record, a URI. sent_by: host or host:port at which answers reach it; may be set anew.
    random_bytes: a function of n that returns n random octets. proxy: a URI, the first hop of every request.
    transport: b"UDP", b"TCP" or b"TLS", for URIs that name none. accept: content types it takes, b"*/*" for all.
    users, hosts: what user (escapes undone) and host of a Request-URI must be among, else 404; None for any.
    keep: server transactions remembered at once; the oldest answered one makes room.
    authenticator: an attribute to set where senders must authenticate (agent.auth.server).
    Raises UsageError when aor, sent_by or proxy aren't what they should be.
    """

    authenticator: "Authenticator | None" = None  # type: ignore[name-defined]  # noqa: F821

    def __init__(
        self,
        aor: bytes,
        sent_by: bytes,
        random_bytes: object,
        proxy: bytes | None = None,
        transport: bytes = b"UDP",
        accept: tuple = (b"text/plain",),
        users: tuple | None = None,
        hosts: tuple | None = None,
        keep: int = 16,
    ) -> None:
        Uac.__init__(self, aor, sent_by, random_bytes, proxy, transport)
        self._serving = (accept, users, hosts, keep)
        self._uas: Uas | None = None  # type: ignore[name-defined]  # noqa: F821
        self.registration: Registration | None = None  # type: ignore[name-defined]  # noqa: F821

    def receive(self, data: bytes | Message, flow: tuple, now: int) -> list[Event] | tuple[Event, ...]:
        """Take a datagram, or what a stream's Framer found; never raises, whatever the octets are."""
        if not isinstance(data, Message):
            octets = data.lstrip(b"\r\n\0")  # line ends may come first (RFC 3261 section 7.5)
            if not octets:  # a keepalive (RFC 5626 section 3.5.1); only a stream's is answered
                if self.registration is not None:
                    self.registration.pong(flow)
                return [Transmit(b"\r\n", flow)] if data == b"\r\n\r\n" and flow[0] != b"UDP" else _NOTHING
            data = Message(octets)
        if data.status or not data.method:
            if not data.status or data.missing():
                return [Dropped("bytes that are no SIP message", flow)]
            try:
                return self.receive_response(data, now)
            except ParseError as error:
                return [Dropped(error.detail, flow)]
        if not data.body_at and flow[0] == b"UDP":
            return [Dropped("a request without an end of its header fields", flow)]
        if self._uas is None:
            from .uas import Uas

            self._uas = Uas(*self._serving)
        events: list[Event] = self._uas.receive(data, flow, self.token(4), self.clock, self.authenticator, now)
        return events

    def respond(self, received: MessageReceived, status: int, now: int, reason: bytes = b"") -> list[Event]:
        """Answer a MessageReceived: 200 taken, 202 stored for later, or why not (RFC 3428 section 7).

        reason: in place of the usual phrase. Raises UsageError for a status below 200, or 408.
        """
        fields = b""
        if 200 <= status < 300 and self.clock.quality >= RTC:  # a board without a clock learns from it
            from .headers.dates import format_date

            fields = b"Date: %s\r\n" % format_date(self.clock.unix(now) or 0)
        events: list[Event] = self._uas.respond(received, status, fields, now, reason)  # type: ignore[union-attr]
        return events

    def register(
        self, now: int, registrar: bytes | None = None, expires: int = 3600, instance: bytes = b"", contact: bytes = b""
    ) -> list[Event]:
        """Bind our address-of-record to where we are, and keep it so: Registered and RegistrationLost tell of it.

        registrar: a URI, e.g. b"sip:example.org"; None takes the address-of-record's host. expires: seconds to ask for.
        instance: a URN that stays the same over restarts, e.g. b"urn:uuid:...", for outbound (RFC 5626).
        contact: our URI as the registrar is to know it; made from sent_by when not given.
        Raises UsageError for a registrar that can't be reached as a URI.
        """
        from .registration import Registration

        self.registration = Registration(self, registrar, expires, instance, contact)
        events: list[Event] = self.registration.start(now)
        return events

    def failed(self, flow: tuple, now: int, reason: bytes = b"Transport Error") -> list[Event]:
        """End what is pending on a flow that is gone or can't be opened, as if by a 503 (RFC 3261 section 8.1.3.1)."""
        from .recovery.failover import failed

        events = failed(self, flow, now, reason)
        if self.registration is not None:
            events += self.registration.flow_failed(flow, now)
        return events

    def wake(self, now: int) -> list[Event]:
        """Let time pass: send again what has no answer, give up, forget. Call it when wait_ms() has passed."""
        events = Uac.wake(self, now)
        if self._uas is not None:
            events += self._uas.wake(now)
        if self.registration is not None:
            events += self.registration.wake(now)
        return events

    def wait_ms(self, now: int) -> int | None:
        """Return the ms until wake() has work, 0 when overdue, None when nothing is under way."""
        wait = Uac.wait_ms(self, now)
        for part in (self._uas, self.registration):
            ms = None if part is None else part.wait_ms(now)
            if wait is None or (ms is not None and ms < wait):
                wait = ms
        return wait
