"""Keeps an address-of-record bound at a registrar (RFC 3261 section 10), with outbound (RFC 5626) where it is offered.

Loaded by a user agent that registers. UserAgent.register() makes one; wake() and receive() of the user agent drive it.
"""

from agent.clock import later, until
from agent.compat import const
from agent.errors import ParseError, UsageError
from agent.events import Event, Transmit
from agent.headers import param, parse_address, parse_delta, parse_via
from agent.message import Message
from agent.uac import Draft, Uac
from agent.uri import Uri, bracketed, parse_host_port, parse_uri

_PING = b"\r\n\r\n"
_PING_MS = const(25000)  # keeps a NAT's UDP binding, which lives 30 s and more (RFC 5626 section 4.4.2)
_STREAM_PING_MS = const(95000)  # RFC 5626 section 4.4.1: below 120 s
_PONG_MS = const(10000)  # in which a stream's ping has to be answered, once it has been before
_FIRST_PAUSE_S = const(30)  # RFC 5626 section 4.5: doubled with each failure in a row
_LONGEST_PAUSE_S = const(1800)
_HALF_WAY_S = const(1200)  # longer bindings are renewed this long before their end, shorter ones half-way


class Registered(Event):
    """The registrar has answered 200: we are reachable for so many seconds, 0 after unregistering."""

    __slots__ = ("expires",)
    expires: int


class RegistrationLost(Event):
    """There is no binding; the next attempt comes by itself."""

    __slots__ = ("status", "pause_s")
    status: int  # of the final response; 408 and 503 as in Outcome
    pause_s: int


class FlowLost(Event):
    """Pings are no longer answered: the shell is to close the stream of this flow, and opens another on demand."""

    __slots__ = ("flow",)
    flow: tuple


def make(ua: Uac, registrar: bytes | None, expires: int, instance: bytes, contact: bytes) -> "Registration":
    """Return what UserAgent.register() asks for. Raises UsageError for a registrar or contact that won't do."""
    try:
        aor = parse_uri(ua.aor)
        uri = Uri(aor.scheme, None, aor.host, aor.port, []) if registrar is None else parse_uri(registrar)
        flow = ua.proxy_flow or uri.flow(ua.transport)
        if not contact:
            contact = b"%s:%s@%s" % (aor.scheme, aor.user or b"", ua.sent_by)
            if flow[0] != b"UDP" and aor.scheme == b"sip":
                contact += b";transport=" + flow[0].lower()
        return Registration(ua, uri, flow, parse_uri(contact), expires, instance)
    except ParseError as error:
        raise UsageError("registrar or contact: " + error.detail)


class Registration:
    """One binding. bound: is it in force?"""

    def __init__(self, ua: Uac, registrar: Uri, flow: tuple, contact: Uri, expires: int, instance: bytes) -> None:
        self._ua = ua
        self._aor = ua.aor  # whose binding it is, whoever the user agent speaks for later
        self._registrar = registrar
        self._first_flow = flow  # where to ask for a binding; a name may lead to other places each time
        self._flow = flow  # where we have one
        self._contact = contact
        self._asked = expires
        self._expires = expires  # what we ask for at the moment; 0 unregisters
        self._instance = instance
        self._old_contact: Uri | None = None  # to be taken away in the next REGISTER
        self._has_moved = False
        self._has_raised = False
        self._call_id = ua.new_call_id()
        self._cseq = 0
        self._failures = 0
        self._under_way = False
        self._is_leaving = False  # the REGISTER that was sent last unregisters
        self._draft: Draft  # that REGISTER
        self._interval = 0
        self._next_at: int | None = None  # when to register again
        self._ping_at: int | None = None
        self._pong_at: int | None = None
        self._ponged = False
        self.bound = False

    def start(self, now: int) -> list[Event]:
        """Send a REGISTER, unless one is on its way."""
        self._next_at = None  # the end of what is on its way sets it anew
        if self._under_way:
            return []
        flows = [self._flow, self._first_flow] if self.bound and self._flow != self._first_flow else self._first_flow
        draft = self._ua.new_draft(b"REGISTER", self._registrar, flows)
        draft.owner = self
        draft.aor = draft.to = self._aor
        draft.call_id = self._call_id
        draft.cseq = self._cseq
        contact = b"Contact: <%s>" % self._contact.request_uri()
        if self._instance:
            contact += b';+sip.instance="<%s>";reg-id=1' % self._instance
        if self._old_contact is not None:
            contact += b", <%s>;expires=0" % self._old_contact.request_uri()
            self._old_contact = None
        draft.extra = b"%s\r\nExpires: %d\r\nAllow: MESSAGE, OPTIONS\r\nSupported: path, outbound\r\n" % (
            contact,
            self._expires,
        )
        self._draft = draft
        self._under_way = True
        self._is_leaving = self._expires == 0
        self._ua.build(draft, now)
        return self._ua.start(draft, now)

    def stop(self, now: int) -> list[Event]:
        """Take the binding away. The Registered event that follows says 0 seconds."""
        self._expires = 0
        self._ping_at = self._pong_at = None
        return self.start(now)

    def finished(self, status: int, message: Message | None, now: int) -> list[Event]:
        """The REGISTER has its final response; agent.retry has answered challenges before."""
        self._under_way = False
        self._cseq = self._draft.cseq
        if self._expires == 0 and not self._is_leaving:
            return self.start(now)  # stop() was called meanwhile, and this one may have bound us
        if message is not None and status < 300:
            if self._expires and self._move(message):
                return self.start(now)
            granted = self._granted(message)
            if granted is not None and (granted > 0 or self._expires == 0):
                return self._bound(granted, message, now)
            status = 500  # a 200 that doesn't list our contact: there is no binding
        if message is not None and status == 423:
            least = parse_delta(message.get(b"min-expires"))
            if least is not None and least > self._expires > 0 and not self._has_raised:
                self._has_raised = True  # once for each renewal: a registrar may ask for more each time
                self._expires = least
                return self.start(now)
        return self._lost(status, message, now)

    def _move(self, message: Message) -> bool:
        """Take the address that the registrar saw as our contact, if it is another one: we are behind a NAT.

        Once for each renewal, so that a NAT that changes its mind each time can't keep us busy. With outbound we are
        reached on our flow, whatever the contact is, and a second one would turn outbound off at some proxies.
        """
        try:
            if b"outbound" in [option.lower() for option in message.members(b"require")]:
                return False
            via = parse_via(message.get(b"via") or b"")
            seen = (param(via.params, b"received") or via.host).strip(b"[]")
            host, port = parse_host_port(b"%s:%s" % (bracketed(seen), param(via.params, b"rport") or b"0"))
        except ParseError:
            return False
        old = self._contact
        if self._has_moved or not port or (host, port) == (old.host, old.port or 5060):
            return False
        self._has_moved = True
        self._old_contact = old
        self._contact = Uri(old.scheme, old.user, host, port, old.params)
        return True

    def _bound(self, granted: int, message: Message, now: int) -> list[Event]:
        self._failures = 0
        self._has_moved = self._has_raised = False
        self._flow = self._draft.flow
        self.bound = granted > 0
        if not granted:
            self._next_at = None
            self._ua.route = None
            return [Registered(0)]
        self._ua.route = None
        if message.get(b"service-route") is not None:
            from agent.service_route import read_route

            self._ua.route = read_route(self._ua, message)
        renew_s = granted - _HALF_WAY_S if granted > 2 * _HALF_WAY_S else granted // 2
        self._next_at = later(now, min(max(renew_s, 1), 86400) * 1000)
        timer = parse_delta(message.get(b"flow-timer"))
        self._interval = _PING_MS if self._flow[0] == b"UDP" else _STREAM_PING_MS
        if timer is not None and 0 < timer < 3600:  # RFC 5626 section 4.4: 80 to 100 % of it
            self._interval = timer * 1000 * (80 + self._ua.random_octet() % 21) // 100
        self._ping_at = later(now, self._interval)
        self._pong_at = None
        return [Registered(granted)]

    def _granted(self, message: Message) -> int | None:
        """Seconds that the registrar granted our contact; None when the 200 doesn't list it."""
        if self._expires == 0:
            return 0
        try:
            contacts = message.members(b"contact")
        except ParseError:
            return None
        for contact in contacts:
            try:
                _, uri, params = parse_address(contact)
                if parse_uri(uri).key() != self._contact.key():
                    continue
            except ParseError:
                continue
            seconds = parse_delta(param(params, b"expires"))
            if seconds is None:
                seconds = parse_delta(message.get(b"expires"))
            return self._expires if seconds is None else seconds
        return None

    def _lost(self, status: int, message: Message | None, now: int) -> list[Event]:
        """Try again later: the longer, the more attempts in a row have failed; not before Retry-After."""
        pause_s = min(_FIRST_PAUSE_S << min(self._failures, 6), _LONGEST_PAUSE_S)
        pause_s -= pause_s * self._ua.random_octet() // 512  # 50 to 100 % of it
        if message is not None:
            from agent.retry import retry_after_s

            pause_s = max(pause_s, retry_after_s(message.get(b"retry-after")))
        self._failures += 1
        self._has_raised = False
        self.bound = False
        self._ping_at = self._pong_at = None
        self._ponged = False  # who is asked next has to show it first
        if self._expires == 0:
            self._ua.route = None
            return [Registered(0)]
        self._expires = self._asked
        self._next_at = later(now, pause_s * 1000)
        return [RegistrationLost(status, pause_s)]

    def flow_failed(self, flow: tuple, now: int) -> list[Event]:
        """The flow we are reachable on is gone: register anew, on another one."""
        if flow[:3] != self._flow[:3] or not self.bound:
            return []
        return self._lost(503, None, now)

    def pong(self, flow: tuple) -> None:
        """A CRLF came on flow."""
        if flow[:3] == self._flow[:3]:
            self._ponged = True
            self._pong_at = None

    def wake(self, now: int) -> list[Event]:
        """Renew, ping, or find the flow dead, as far as it is time to."""
        if self._pong_at is not None and until(self._pong_at, now) <= 0:
            ended: list[Event] = self._ua.failed(self._flow, now, b"No answer to pings")
            return [FlowLost(self._flow)] + ended
        if self._next_at is not None and until(self._next_at, now) <= 0:
            return self.start(now)
        if self._ping_at is not None and until(self._ping_at, now) <= 0:
            self._ping_at = later(now, self._interval)
            if self._flow[0] != b"UDP" and self._ponged and self._pong_at is None:
                self._pong_at = later(now, _PONG_MS)
            return [Transmit(_PING, self._flow)]
        return []

    def wait_ms(self, now: int) -> int | None:
        """Return the ms until wake() has work, None for never."""
        wait = None
        for at in (self._next_at, self._ping_at, self._pong_at):
            if at is not None:
                ms = max(0, until(at, now))
                wait = ms if wait is None else min(wait, ms)
        return wait
