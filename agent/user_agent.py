"""The door of the core: bytes and time go in, events come out. A shell drives one UserAgent and nothing behind it.

What an alert and its 200 need is here; all other methods are agent.more.More's, loaded with the first call of one.
user_agent.pyi has the whole door.
"""

from .uac import Uac


class UserAgent:
    """A SIP user agent for MESSAGE alone: UAC and UAS in one.

    aor: its address-of-record, a URI. sent_by: host or host:port at which answers reach it.
    random_bytes: a function of n that returns n random octets. All others by their names:
    proxy: a URI, the first hop of every request.
    transport: b"UDP" (the default), b"TCP" or b"TLS", for URIs that name none.
    target: the URI that most messages go to, read once.
    accept: content types it takes, (b"text/plain",) by default, b"*/*" for all.
    users, hosts: what user (escapes undone) and host (in lower case) of a Request-URI must be among, else 404; None for
    any.
    keep: server transactions remembered at once, 16 by default, and KiB for them; the oldest answered one makes room.
    clock: an agent.wall_clock.WallClock, None where nobody knows the time (the Date of a 2xx may then tell it).
    credentials: (realm or b"" for any, user, password) tuples, for servers that ask; those for any realm not where a
    redirect leads to another host, nor for who claims to be somebody of another one.
    authenticator: an agent.auth.server.Authenticator, where senders must authenticate.
    reader: makes a Message of octets; None takes agent.message.Message.
    resolve_im: a function of an im: URI that returns a sip: or sips: URI for it, or None (RFC 3428 section 5).
    strict: refuse flaws in From, To and Via that nothing depends on, as RFC 3261 allows; False by default.
    inflate: a function of (octets, b"deflate" or b"gzip") that unpacks a body with this Content-Encoding; its result is
    bounded, and it raises ParseError with the status to answer. None: such bodies get 415.
    Raises UsageError for an unknown setting, and when aor, sent_by, proxy or target aren't what they should be.
    """

    _more: "More | None" = None  # type: ignore[name-defined]  # noqa: F821

    def __init__(self, aor: bytes, sent_by: bytes, random_bytes: object, **settings: object) -> None:
        from .opening import check

        check(aor, sent_by, settings)
        self.uac = Uac(aor, sent_by, random_bytes, settings)

    def new_call_id(self) -> bytes:
        """Return a Call-ID that nobody has used: 80 random bits (RFC 3261 section 8.1.1.4)."""
        self.uac.fresh = call_id = self.uac.token(10)
        return call_id

    def send(self, call_id: bytes, target: bytes, body: bytes, now: int, **options: object) -> list | tuple:
        """Send a MESSAGE, at once or when the one pending for the same URI has its outcome (RFC 3428 section 8).

        call_id: from new_call_id(), or the stored one of a message that is sent again after a restart.
        target: a sip:, sips:, im: or tel: URI; for an im: URI resolve_im may know a better one.
        options: see agent.full_request.full_request().
        Raises UsageError: what can't be sent by any road, a request over the budget, a Call-ID in use, a full queue.
        """
        return self.uac.send(self.uac.request(call_id, target, body, options), now)

    def receive(self, data: object, flow: tuple, now: int) -> list | tuple:
        """Take a datagram, or what a stream's Framer found; never raises, whatever the octets are."""
        if isinstance(data, bytes):
            found = self.uac.match(data)
            if found is not None:
                reason = data[12 : data.find(b"\r\n")]
                return self.uac.answered(found[0], int(data[8:11]), reason, found[1], None, now)
        return self.more().receive(data, flow, now)  # type: ignore[no-any-return]

    def wake(self, now: int) -> list:
        """Let time pass: send again what has no answer, give up, forget. Call it when wait_ms() has passed."""
        events = self.uac.wake(now)
        return events if self._more is None else self._more.wake(now, events)

    def wait_ms(self, now: int) -> int | None:
        """Return the ms until wake() has work, 0 when overdue, None when nothing is under way."""
        wait = self.uac.wait_ms(now)
        return wait if self._more is None else self._more.wait_ms(now, wait)

    def more(self) -> "More":  # type: ignore[name-defined]  # noqa: F821
        """Return what has the rest of the methods."""
        if self._more is None:
            from .more import More

            self._more = More(self.uac)
        return self._more

    def __getattr__(self, name: str) -> object:
        if name == "clock" or name == "aor":
            return getattr(self.uac, name)
        return getattr(self.more(), name)
