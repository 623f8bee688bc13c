"""Keeps an address-of-record bound at a registrar (RFC 3261 section 10), with outbound (RFC 5626) where it is offered.

Loaded by a user agent that registers. UserAgent.register() makes one, UserAgent.wake() and receive() drive it.
failure.py says what a failure means, route.py reads a Service-Route.
"""

from collections import namedtuple

from ..clock import later, until
from ..compat import const
from ..errors import UsageError
from ..events import Transmit
from ..headers.delta import parse_delta
from ..message import Message
from ..request import Request

_PING = b"\r\n\r\n"
_PING_MS = const(25000)  # keeps a NAT's UDP binding, which lives 30 s and more (RFC 5626 section 4.4.2)
_STREAM_PING_MS = const(95000)  # RFC 5626 section 4.4.1: below 120 s
_PONG_MS = const(10000)  # in which a stream's ping has to be answered, once it has been before
_HALF_WAY_S = const(1200)  # longer bindings are renewed this long before their end, shorter ones half-way
_MAX_CONTACTS = const(3)  # that we still answer to, beside the last one

# The registrar has answered 200: we are reachable for so many seconds, 0 after unregistering.
Registered = namedtuple("Registered", ("expires",))

# There is no binding; the next attempt comes by itself, in pause_s seconds. status: of the final response; 408 and 503
# as in Outcome. reason: what the registrar says of it, reason phrase and Warning; b"" where none has answered.
RegistrationLost = namedtuple("RegistrationLost", ("status", "pause_s", "reason"))

# Pings are no longer answered: the shell is to close the stream of this flow, and opens another on demand.
FlowLost = namedtuple("FlowLost", ("flow",))


class Register(Request):
    """A REGISTER request; extra: its header lines."""

    method = b"REGISTER"
    content_line = b""
    extra = b""

    def encode(self, cseq: int, via: bytes, fields: bytes, now: int, uri: bytes | None = None) -> bytes:
        """Return the octets of one attempt, as Request.encode() does."""
        return Request.encode(self, cseq, via, self.extra + fields, now, uri)


class Registration:
    """One binding. bound: is it in force? contacts: URIs of ours that it has named, the last one first."""

    has_moved = has_raised = False  # once for each renewal: our contact, what we ask for
    failures = 0  # in a row
    bound = False
    options = b"path, outbound"  # what we support; outbound is dropped for good where it is refused
    _interval = _cseq = 0
    _old_contact: bytes | None = None  # to be taken away in the next REGISTER
    _is_busy = False  # a REGISTER is on its way
    _is_leaving = False  # it unregisters
    next_at: int | None = None  # when to register again
    ping_at: int | None = None
    pong_at: int | None = None
    ponged = False

    def __init__(
        self,
        uac: "Uac",  # type: ignore[name-defined]  # noqa: F821
        registrar: bytes | None,
        expires: int,
        instance: bytes,
        contact: bytes,
    ) -> None:
        """Prepare what UserAgent.register() asks for. Raises UsageError for a registrar or contact that won't do."""
        from ..target import read_target  # not needed again, unless a NAT is in the way

        self._uac = uac
        self._aor = uac.aor
        hop = uac.settings.get("first_hop", (None,))
        try:
            aor = read_target(uac.aor, uac.transport, None)[0]
            user, place = _halves(aor)
            if registrar is None:
                registrar = aor[: aor.find(b":") + 1] + place.partition(b";")[0]
            self._registrar = read_target(registrar, uac.transport, hop[0])
            self._first_hop: tuple = hop if hop[0] else self._registrar[3:]
            if not contact:
                contact = user + uac.sent_by
                if self._first_hop[0][0] != b"UDP" and aor[:4] == b"sip:":
                    contact += b";transport=" + self._first_hop[0][0].lower()
            self._contact = read_target(contact, b"TLS", None)[0]
            self.contacts: tuple = (self._contact,)
        except UsageError as error:
            raise UsageError("registrar or contact: %s" % error)
        self._flow: tuple = ()  # where we have a binding
        self.asked = expires
        self.expires = expires  # what we ask for at the moment; 0 unregisters
        self._instance = instance
        self._call_id = uac.token(10)

    def start(self, now: int) -> list:
        """Send a REGISTER, unless one is on its way."""
        events: list = []
        if not self._is_busy:
            self._uac.start(self._uac.attempt(self._request(), now), events)
        self.next_at = None  # the end of what is on its way sets it anew
        if not events:
            return events
        self._old_contact = None
        self._is_busy = True
        self._is_leaving = self.expires == 0
        return events

    def _request(self) -> Request:
        """Return the next REGISTER (RFC 3261 section 10.2)."""
        flow, place = self._first_hop
        uac = self._uac
        uri, _, key = self._registrar[:3]
        contact = b"Contact: <%s>" % self._contact
        if self._instance and self.options.find(b"outbound") >= 0:
            contact += b';+sip.instance="<%s>";reg-id=1' % self._instance
        if self._old_contact is not None:
            contact += b", <%s>;expires=0" % self._old_contact
        fields = b"%s\r\nExpires: %d\r\nAllow: MESSAGE, OPTIONS\r\nSupported: %s\r\n"
        request = Register(self._call_id, (uri, self._aor, key, flow, place), self._aor, uac.token(4), b"")
        request.owner = self
        request.extra = fields % (contact, self.expires, self.options)
        request.cseq = self._cseq
        request.first_hop = uac.settings.get("first_hop")
        if self.bound and self._flow[:3] != flow[:3]:  # where we have a binding, before a name leads elsewhere
            request.flows, request.place, request.last_place = (self._flow, flow), None, place
        return request

    def stop(self, now: int) -> list:
        """Take the binding away. The Registered event that follows says 0 seconds."""
        self.expires = 0
        self.ping_at = self.pong_at = None
        return self.start(now)

    def finished(self, status: int, response: Message | None, attempt: object, now: int) -> list:
        """The REGISTER has its final response; challenges were answered before."""
        self._is_busy = False
        self._cseq = attempt.cseq  # type: ignore[attr-defined]
        if self.expires == 0 and not self._is_leaving:
            return self.start(now)  # stop() was called meanwhile, and this one may have bound us
        if response is not None and status < 300:
            if self.expires and self._move(response, attempt.flow[0]):  # type: ignore[attr-defined]
                return self.start(now)
            granted = self._granted(response)
            if granted > 0 or self.expires == 0:
                return self._bound(granted, attempt.flow, response, now)  # type: ignore[attr-defined]
        return self._lost(status, response, now)

    def _move(self, response: Message, transport: bytes) -> bool:
        """Take the address that the registrar saw as our contact, if it is another one: we are behind a NAT.

        transport: that the response came over; its address there is of no use over another one. Another port alone, of
        a stream, is the one that it left from (RFC 3261 section 18.1.1): of use where we have no port to listen at.
        Once for each renewal, so that a NAT that changes its mind each time can't keep us busy. With outbound we are
        reached on our flow, whatever the contact is, and a second one would turn outbound off at some proxies.
        """
        if self.has_moved or b",".join(response.all(b"require")).lower().find(b"outbound") >= 0:
            return False
        via = response.get(b"via") or b""
        port = _parameter(via, b"rport")
        if not port:
            return False
        from ..target import read_target

        old = self._contact
        user, place = _halves(old)
        flow = read_target(old, b"UDP", None)[3]
        host = (_parameter(via, b"received") or flow[1]).strip(b"[]")
        if host.find(b":") >= 0:
            host = b"[" + host + b"]"
        params = [one for one in place.split(b";")[1:] if one[:10].lower() != b"transport="]
        if transport != b"UDP" and user[:4] == b"sip:":
            params.append(b"transport=" + transport.lower())
        try:
            new = read_target(b";".join([user + host + b":" + port] + params), b"UDP", None)
        except UsageError:
            return False
        listens = place.partition(b";")[0].rpartition(b"]")[2].find(b":") >= 0
        if not new[3][2] or new[3] == flow or (transport != b"UDP" and new[3][1] == flow[1] and listens):
            return False
        self.has_moved = True
        self._old_contact = old
        self._contact = new[0]
        self._answer_to(new[0])
        return True

    def _answer_to(self, contact: bytes) -> None:
        """Requests for this URI are for us, too; b"" for none."""
        if contact and contact not in self.contacts:
            self.contacts = (contact,) + self.contacts[:_MAX_CONTACTS]

    def _bound(self, granted: int, flow: tuple, response: Message, now: int) -> list:
        self.failures = 0
        self.has_moved = self.has_raised = False
        self._flow = flow
        self.bound = granted > 0
        uac = self._uac
        uac.follow(None)
        if not granted:
            self.next_at = None
            return [Registered(0)]
        if response.get(b"service-route") is not None:
            from .route import read_route

            uac.follow(read_route(response, uac.transport, uac.settings.get("first_hop")))
        renew_s = granted - _HALF_WAY_S if granted > 2 * _HALF_WAY_S else granted // 2
        self.next_at = later(now, min(max(renew_s, 1), 86400) * 1000)
        timer = parse_delta(response.get(b"flow-timer"))
        self._interval = _PING_MS if flow[0] == b"UDP" else _STREAM_PING_MS
        if timer is not None and 0 < timer < 3600:  # RFC 5626 section 4.4: 80 to 100 % of it
            self._interval = timer * 1000 * (80 + uac.random_bytes(1)[0] % 21) // 100
        self.ping_at = later(now, self._interval)
        self.pong_at = None
        return [Registered(granted)]

    def _granted(self, response: Message) -> int:
        """Seconds that the registrar granted our contact."""
        if self.expires == 0:
            return 0
        contacts = b",".join(response.all(b"contact"))
        _, ours, params = contacts.partition(b"<%s>" % self._contact)
        params = params.partition(b",")[0]
        if not ours or params.find(b'"') >= 0:  # perhaps it is written in another way
            from .contact import granted, rewritten

            seconds = granted(self._contact, response)
            self._answer_to(rewritten(response))
        else:
            seconds = _parameter(params, b"expires")
        number = parse_delta(seconds or response.get(b"expires"))
        return self.expires if number is None else number

    def _lost(self, status: int, response: Message | None, now: int) -> list:
        """Ask for more seconds if there were too few (once for each renewal), else try again later."""
        from .failure import least_s, options_left, pause_s, reason_of

        least = least_s(status, response)
        if least > self.expires > 0 and not self.has_raised:
            self.has_raised = True
            self.expires = least
            return self.start(now)
        options = options_left(self.options, status, response)
        if options != self.options:
            self.options = options
            return self.start(now)
        pause = pause_s(self.failures, self._uac.random_bytes(1)[0], response)
        self.failures += 1
        self.bound = self.has_raised = False
        self.ping_at = self.pong_at = None
        self.ponged = False  # who is asked next has to show it first
        if self.expires == 0:
            self._uac.follow(None)
            return [Registered(0)]
        self.expires = self.asked
        self.next_at = later(now, pause * 1000)
        return [RegistrationLost(status, pause, reason_of(status, response))]

    def flow_failed(self, flow: tuple, now: int) -> list:
        """The flow we are reachable on is gone: register anew, on another one."""
        if flow[:3] != self._flow[:3] or not self.bound:
            return []
        return self._lost(503, None, now)

    def pong(self, flow: tuple) -> None:
        """A CRLF came on flow."""
        if flow[:3] == self._flow[:3]:
            self.ponged = True
            self.pong_at = None

    def wake(self, now: int) -> list:
        """Renew, ping, or find the flow dead, as far as it is time to."""
        if self.pong_at is not None and until(self.pong_at, now) <= 0:
            flow = self._flow
            events: list = self._uac.rescue().failed(flow, now, b"No answer to pings", [FlowLost(flow)])
            try:
                events += self.flow_failed(flow, now)
            except MemoryError:
                pass  # what has ended is told; this is due again
            return events
        if self.next_at is not None and until(self.next_at, now) <= 0:
            return self.start(now)
        if self.ping_at is not None and until(self.ping_at, now) <= 0:
            self.ping_at = later(now, self._interval)
            if self._flow[0] != b"UDP" and self.ponged and self.pong_at is None:
                self.pong_at = later(now, _PONG_MS)
            return [Transmit(_PING, self._flow)]
        return []

    def wait_ms(self, now: int) -> int | None:
        """Return the ms until wake() has work, None for never."""
        wait = None
        for at in (self.next_at, self.ping_at, self.pong_at):
            if at is not None:
                ms = max(0, until(at, now))
                wait = ms if wait is None else min(wait, ms)
        return wait


def _halves(uri: bytes) -> tuple[bytes, bytes]:
    """Return what stands in a URI before its host, and the rest."""
    at = uri.find(b"@") + 1 or uri.find(b":") + 1
    return uri[:at], uri[at:]


def _parameter(value: bytes, name: bytes) -> bytes:
    """Return the value of a parameter in a header field's value without quotes, b"" where there is none."""
    for one in value.split(b";")[1:]:
        found, _, content = one.partition(b"=")
        if found.strip().lower() == name:
            return content.strip()
    return b""
