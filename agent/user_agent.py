"""The door of the core: bytes and time go in, events come out. A shell drives one UserAgent and nothing behind it."""

from .request import read_target
from .uac import Uac


class UserAgent:
    """A SIP user agent for MESSAGE alone: UAC and UAS in one.

    aor: its address-of-record, a URI. sent_by: host or host:port at which answers reach it; may be set anew.
    random_bytes: a function of n that returns n random octets. proxy: a URI, the first hop of every request.
    transport: b"UDP", b"TCP" or b"TLS", for URIs that name none. accept: content types it takes, b"*/*" for all.
    users, hosts: what user (escapes undone) and host of a Request-URI must be among, else 404; None for any.
    keep: server transactions remembered at once; the oldest answered one makes room.
    clock: an agent.wall_clock.WallClock, None where nobody knows the time (the Date of a 2xx may then tell it).
    credentials: (realm or b"" for any, user, password) tuples, for servers that ask.
    authenticator: an agent.auth.server.Authenticator, where senders must authenticate.
    reader: makes a Message of octets; None takes agent.message.Message.
    resolve_im: a function of an im: URI that returns a sip: or sips: URI for it, or None (RFC 3428 section 5).
    Raises UsageError when aor, sent_by or proxy aren't what they should be.
    """

    _receiver: "Receiver | None" = None  # type: ignore[name-defined]  # noqa: F821
    registration: "Registration | None" = None  # type: ignore[name-defined]  # noqa: F821

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
        clock: object | None = None,
        credentials: tuple = (),
        authenticator: object | None = None,
        reader: object | None = None,
        resolve_im: object | None = None,
    ) -> None:
        self.uac = Uac(aor, sent_by, random_bytes, proxy, transport, clock, credentials, resolve_im)
        self._serving = (accept, users, hosts, keep, authenticator)
        self._reader = reader

    @property
    def aor(self) -> bytes:
        """Our address-of-record."""
        return self.uac.aor

    @property
    def clock(self) -> "WallClock | None":  # type: ignore[name-defined]  # noqa: F821
        """What is known of the time of day, None for nothing."""
        return self.uac.clock

    @property
    def sent_by(self) -> bytes:
        """Host or host:port at which answers reach us."""
        return self.uac.sent_by

    @sent_by.setter
    def sent_by(self, value: bytes) -> None:
        self.uac.sent_by = value

    def new_call_id(self) -> bytes:
        """Return a Call-ID that nobody has used: 80 random bits (RFC 3261 section 8.1.1.4)."""
        return self.uac.token(10)

    def send(
        self,
        call_id: bytes,
        target: bytes,
        body: bytes,
        now: int,
        content_type: bytes | None = None,
        flow: tuple | list | None = None,
        sender: bytes | None = None,
        **options: object,
    ) -> list | tuple:
        """Send a MESSAGE, at once or when the one pending for the same URI has its outcome (RFC 3428 section 8).

        call_id: from new_call_id(), or the stored one of a message that is sent again after a restart.
        target: a sip:, sips:, im: or tel: URI; for an im: URI resolve_im may know a better one.
        flow: next hop, instead of the proxy or the target; a list has more, to try when the first leads nowhere.
        sender: URI of From, instead of our address-of-record. content_type and options: see agent.full_request.
        Raises UsageError: what can't be sent by any road, a request over the budget, a Call-ID in use, a full queue.
        """
        if content_type is not None:
            options["content_type"] = content_type
        return self.uac.send(self.uac.request(call_id, target, body, flow, sender, options), now)

    def fit(self, *arguments: object, **options: object) -> tuple[list[bytes], bool]:
        """Return agent.budget.fit_message of this user agent: the bodies to send, and whether with compact names."""
        from .budget import fit_message

        return fit_message(self.uac, *arguments, **options)  # type: ignore[arg-type]

    def resolved(self, uri: bytes, flows: list, now: int, reason: bytes = b"No Address") -> list:
        """Answer a Resolve event: the flows that its URI leads to, the best first; none, and the reason why."""
        return self.uac.resolved(uri, flows, now, reason)

    def receive(self, data: object, flow: tuple, now: int) -> list | tuple:
        """Take a datagram, or what a stream's Framer found; never raises, whatever the octets are."""
        if isinstance(data, bytes):
            found = self.uac.match(data)
            if found is not None:
                reason = data[12 : data.find(b"\r\n")]
                return self.uac.answered(found[0], int(data[8:11]), reason, found[1], None, now)
        return self._rest().receive(data, flow, self.registration, now)

    def _rest(self) -> "Receiver":  # type: ignore[name-defined]  # noqa: F821
        if self._receiver is None:
            from .receiver import Receiver

            self._receiver = Receiver(self.uac, self._serving, self._reader)
        return self._receiver

    def respond(self, received: object, status: int, now: int, reason: bytes = b"") -> list:
        """Answer a MessageReceived: 200 taken, 202 stored for later, or why not (RFC 3428 section 7).

        reason: in place of the usual phrase. Raises UsageError for a status below 200, or 408.
        """
        return self._rest().respond(received, status, reason, now)

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

        self.registration = Registration(self.uac, registrar, expires, instance, contact)
        return self.registration.start(now)

    def unregister(self, now: int) -> list:
        """Take our binding away, if there is one. The Registered event that follows says 0 seconds."""
        return [] if self.registration is None else self.registration.stop(now)

    def has_refused(self, target: bytes, content_type: bytes) -> bool:
        """Has target's user agent answered 415 to a content type that had a fallback?"""
        peers = self.uac.peers
        return peers is not None and (read_target(target, b"", (b"TLS",))[2], content_type) in peers.refused

    def failed(self, flow: tuple, now: int, reason: bytes = b"Transport Error") -> list:
        """End what is pending on a flow that is gone or can't be opened, as if by a 503 (RFC 3261 section 8.1.3.1).

        What waits behind it for the same flow and knows no other ends, too: a shell isn't told a hundred times.
        """
        events = self.uac.failed(flow, now, reason)
        if self.registration is not None:
            events += self.registration.flow_failed(flow, now)
        return events

    def wake(self, now: int) -> list:
        """Let time pass: send again what has no answer, give up, forget. Call it when wait_ms() has passed."""
        events = self.uac.wake(now)
        for part in (self._receiver, self.registration):
            if part is not None:
                events += part.wake(now)
        return events

    def wait_ms(self, now: int) -> int | None:
        """Return the ms until wake() has work, 0 when overdue, None when nothing is under way."""
        wait = self.uac.wait_ms(now)
        for part in (self._receiver, self.registration):
            ms = None if part is None else part.wait_ms(now)
            if wait is None or (ms is not None and ms < wait):
                wait = ms
        return wait
