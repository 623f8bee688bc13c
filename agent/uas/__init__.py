"""The answering half: what RFC 3261 section 8.2 and RFC 3428 section 7 ask of a UAS, in their order.

Loaded when the first request comes. A request that can't be parsed is answered without any state; all others get a
server transaction, so that a repeated request gets the same octets again. Answers go to where the request came from:
a maddr in Via is not followed, since a third party's address there would make us its weapon. Each copy of a request is
answered where it came from itself, and what answers the first one isn't led astray by who sends a copy of it.
"""

from binascii import crc32

from ..compat import const
from ..errors import ParseError, UsageError
from ..events import Transmit
from ..headers.strict import check
from ..headers.values import Via, media_type, param, parse_address, parse_cseq, parse_via, takes
from ..message import Message
from ..notices import Dropped
from ..uri import Uri, parse_uri, unescape
from ..wall_clock import WallClock
from .events import MessageReceived
from .freshness import judge
from .server_transaction import ServerTransaction

_OPEN = (b"CANCEL", b"OPTIONS")  # nobody has to authenticate for these
_CAPABILITIES = b"Accept-Encoding: identity\r\nAccept-Language: *\r\nSupported:\r\n"
_ALLOW = b"Allow: MESSAGE, OPTIONS\r\n"
_KNOWN = (b"INVITE", b"BYE", b"REGISTER", b"SUBSCRIBE", b"NOTIFY", b"PUBLISH", b"INFO", b"PRACK", b"UPDATE", b"REFER")
_ONCE = (b"call-id", b"cseq", b"from", b"to", b"max-forwards", b"content-type", b"date", b"expires")
_ECHOED = ((b"from", b"From"), (b"to", b"To"), (b"call-id", b"Call-ID"), (b"cseq", b"CSeq"))  # beside Via
_MAX_REASON = const(60)
_MAX_VALUE = const(256)  # octets of a value that is given back and kept
_MAX_ECHO = const(8192)  # octets; who sends more to copy back gets no answer

REASONS = {
    100: b"Trying",
    200: b"OK",
    202: b"Accepted",
    400: b"Bad Request",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    415: b"Unsupported Media Type",
    416: b"Unsupported URI Scheme",
    420: b"Bad Extension",
    480: b"Temporarily Unavailable",
    481: b"Call/Transaction Does Not Exist",
    482: b"Loop Detected",
    483: b"Too Many Hops",
    493: b"Undecipherable",
    501: b"Not Implemented",
    503: b"Service Unavailable",
    603: b"Decline",
}


class Refusal(Exception):
    """The request gets this final response; fields are whole header lines."""

    def __init__(self, status: int, fields: bytes = b"") -> None:
        self.status = status
        self.fields = fields


class Uas:
    """Server transactions and the checks before them; UserAgent owns one and hands it requests."""

    def __init__(
        self, accept: tuple, users: tuple | None, hosts: tuple | None, keep: int, authenticator: object | None
    ) -> None:
        self._accept = accept
        self._users = users
        self._hosts = None if hosts is None else [host.lower() for host in hosts]
        self._keep = keep
        self._authenticator = authenticator
        self._uris = _Uris(keep // 256)  # none on a board
        self._transactions: dict[bytes, ServerTransaction] = {}
        self._merged: dict[bytes, bytes] = {}  # what merged copies share -> transaction key
        self._waiting: list[ServerTransaction] = []  # no final response yet
        self._oldest: ServerTransaction | None = None  # of the answered, linked in order
        self._newest: ServerTransaction | None = None

    def receive(self, message: Message, flow: tuple, token: bytes, clock: WallClock | None, now: int) -> list:
        """Answer a request, or return it as MessageReceived for respond(). token: random, for the To tag."""
        authenticator = self._authenticator
        vias = message.all(b"via")
        if not vias:
            return [Dropped("a request without Via", flow)]
        if message.method == b"ACK":
            return [Dropped("an ACK", flow)]
        answer_flow = flow
        echoed = [message.get(name) for name, _ in _ECHOED]
        try:
            if len(vias) > 1 or vias[0].find(b",") >= 0:
                vias = message.members(b"via")
            via = parse_via(vias[0])
            vias[0] = _stamped(via, flow)
            if flow[0] == b"UDP" and param(via.params, b"rport") is None:
                answer_flow = (flow[0], flow[1], via.port or 5060) + flow[3:]
            names = check(message)
            if message.missing():
                raise ParseError("a body as long as Content-Length says was expected")
            sender, from_tag, to_tag, cseq, uri = _check_fields(message, echoed, names, self._uris)
        except ParseError as error:
            if not _leads_back(vias[0]):
                return [Dropped("a request whose topmost Via can't be read", flow)]
            detail, status = message.fault or (error.detail, error.status)
            phrase = b"Version Not Supported" if status == 505 else detail.encode()
            has_no_tag = b"".join((echoed[1] or b"").lower().split()).find(b";tag=") < 0
            response = _stateless(message, vias, echoed, has_no_tag, status, phrase)
            return [Transmit(response, answer_flow), Dropped(detail, flow)] if response else [Dropped(detail, flow)]
        call_id = echoed[2] or b""
        merged = b"%s %s %s" % (from_tag, call_id, cseq)
        key = self._key(message, via, merged, to_tag, message.method)
        transaction = self._transactions.get(key)
        if transaction is not None:  # a repetition: the same octets again, silence while there are none
            return [Transmit(transaction.response, answer_flow)] if transaction.response else []
        is_copy = not to_tag and merged in self._merged
        user = None
        if authenticator is not None and message.method not in _OPEN and not is_copy:  # a copy is refused in any case
            try:
                user, fields = authenticator.check(message, now)  # type: ignore[attr-defined]
                status, detail = 401, "Unauthorized"
            except ParseError as error:
                status, detail, fields = error.status, error.detail, b""
            if user is None:  # strangers get no state: RFC 3261 section 26.3.2.4
                response = _stateless(message, vias, echoed, not to_tag, status, detail.encode(), fields)
                events: list = [Transmit(response, answer_flow)] if response else []
                if message.get(b"authorization") is not None and fields.find(b"stale=true") < 0:
                    events.append(Dropped("credentials that were no good", flow))
                return events
        self._expire(now)
        if len(self._transactions) >= self._keep:
            self._forget_oldest()
        if len(self._transactions) >= self._keep:
            return [Dropped("too many requests without an answer", flow)]
        echo = _echo(vias, echoed, b"" if to_tag else token)
        if not echo:
            return [Dropped("a request with more to copy than we give back", flow)]
        transaction = ServerTransaction(flow[0] != b"UDP", answer_flow, now)
        transaction.key = key
        transaction.merged = merged
        transaction.echo = echo
        if b"timestamp" in names:
            timestamp = (message.get(b"timestamp") or b"").split(None, 1)  # behind it is a delay of the client's own
            if timestamp and len(timestamp[0]) <= _MAX_VALUE:
                transaction.timestamp = timestamp[0]
        self._transactions[key] = transaction
        self._waiting.append(transaction)
        try:
            if message.method == b"CANCEL":
                known = self._key(message, via, merged, to_tag, b"MESSAGE") in self._transactions
                raise Refusal(200 if known else 481)
            self._check_request(message, names, uri, is_copy)
            if to_tag:
                raise Refusal(481)
            if message.method == b"OPTIONS":
                raise Refusal(200, _ALLOW + self._accept_fields() + _CAPABILITIES)
        except Refusal as refusal:
            return self._answer(transaction, refusal.status, refusal.fields, now)
        except ParseError:  # Require is needed to process the request (RFC 3261 section 8.2.2)
            return self._answer(transaction, 400, b"", now)
        self._merged[merged] = key
        date, expired, stale = judge(message, clock, now)
        return [MessageReceived(message, flow, sender, call_id, date, expired, stale, key, user)]

    def respond(self, received: MessageReceived, status: int, fields: bytes, now: int, reason: bytes = b"") -> list:
        """Send the final response to a MessageReceived. Raises UsageError for a status that may not be sent."""
        if not 200 <= status < 700 or status == 408:
            raise UsageError("a final response other than 408 answers a MESSAGE (RFC 4320 section 4.2)")
        if status == 415 and not fields:
            fields = self._accept_fields()
        transaction = self._transactions.get(received.key)
        return [] if transaction is None else self._answer(transaction, status, fields, now, reason)

    def wake(self, now: int) -> list:
        """Let time pass: 100 for what is still unanswered after 3.5 s, end what nobody can repeat any more."""
        events: list = []
        for transaction in list(self._waiting):
            if transaction.is_over(now):
                self._waiting.remove(transaction)
                self._forget(transaction)
            elif transaction.owes_trying(now):
                response = _status_line(100, REASONS[100]) + transaction.echo
                if transaction.timestamp:  # with our delay in seconds (RFC 3261 section 8.2.6.1)
                    ms = transaction.age_ms(now)
                    response += b"Timestamp: %s %d.%03d\r\n" % (transaction.timestamp, ms // 1000, ms % 1000)
                response += b"Content-Length: 0\r\n\r\n"
                transaction.respond(response, False, now)
                events.append(Transmit(response, transaction.flow))
        self._expire(now)
        return events

    def wait_ms(self, now: int) -> int | None:
        """Return the ms until wake() has work, None when nothing is kept."""
        wait = None if self._oldest is None else self._oldest.wait_ms(now)
        for transaction in self._waiting:
            ms = transaction.wait_ms(now)
            if wait is None or ms < wait:
                wait = ms
        return wait

    def _check_request(self, message: Message, names: list, uri: Uri, is_copy: bool) -> None:
        """Raise Refusal for the first of the checks of RFC 3261 section 8.2 that fails."""
        method = message.method
        if method not in (b"MESSAGE", b"OPTIONS"):
            raise Refusal(405 if method in _KNOWN else 501, _ALLOW)
        if uri.scheme not in (b"sip", b"sips", b"im"):
            raise Refusal(416)
        if self._users is not None and (uri.user is None or unescape(uri.user.split(b":")[0]) not in self._users):
            raise Refusal(404)
        if self._hosts is not None and uri.host not in self._hosts:
            raise Refusal(404)
        if is_copy:
            raise Refusal(482)
        if b"require" in names:
            unsupported = message.members(b"require")
            while len(b", ".join(unsupported)) > _MAX_VALUE and len(unsupported) > 1:
                unsupported.pop()
            raise Refusal(420, b"Unsupported: %s\r\n" % b", ".join(unsupported))
        if not message.body:
            return
        if b"content-disposition" in names:
            disposition = message.get(b"content-disposition") or b""
            if disposition.lower().find(b"handling=optional") >= 0:
                return
        if b"content-encoding" in names and (message.get(b"content-encoding") or b"").lower() != b"identity":
            raise Refusal(415, b"Accept-Encoding: identity\r\n")
        if not takes(self._accept, media_type(message.get(b"content-type") or b"")):
            raise Refusal(415, self._accept_fields())

    def _accept_fields(self) -> bytes:
        return b"Accept: %s\r\n" % b", ".join(self._accept)

    def _key(self, message: Message, via: Via, merged: bytes, to_tag: bytes, method: bytes) -> bytes:
        """What makes two requests the same one (RFC 3261 section 17.2.3)."""
        branch = (param(via.params, b"branch") or b"").lower()
        if branch[:7] == b"z9hg4bk" and len(branch) > 7:
            return b"%s %s %d %s" % (branch, via.host, via.port or 5060, method)
        return b"%s %s %s %s %s" % (message.uri, to_tag, merged, via.text, method)  # a peer of RFC 2543

    def _answer(
        self, transaction: ServerTransaction, status: int, fields: bytes, now: int, reason: bytes = b""
    ) -> list:
        response = _status_line(status, reason or REASONS.get(status, b"")) + transaction.echo + fields
        response += b"Content-Length: 0\r\n\r\n"
        if not transaction.respond(response, True, now):
            return []
        transaction.echo = b""
        self._waiting.remove(transaction)
        if transaction.reliable:
            self._forget(transaction)
        else:
            if self._newest is None:
                self._oldest = transaction
            else:
                self._newest.next = transaction
            self._newest = transaction
        return [Transmit(response, transaction.flow)]

    def _expire(self, now: int) -> None:
        while self._oldest is not None and self._oldest.is_over(now):
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        transaction = self._oldest
        if transaction is not None:
            self._oldest = transaction.next
            if self._oldest is None:
                self._newest = None
            self._forget(transaction)

    def _forget(self, transaction: ServerTransaction) -> None:
        del self._transactions[transaction.key]
        if self._merged.get(transaction.merged) == transaction.key:
            del self._merged[transaction.merged]


class _Uris:
    """parse_uri() that remembers up to so many: requests to a server name the same few."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[bytes, Uri] = {}

    def parse(self, value: bytes) -> Uri:
        uri = self._known.get(value)
        if uri is None:
            uri = parse_uri(value)
            if len(self._known) < self._most:
                self._known[value] = uri
            else:
                self._known.clear()
        return uri


def _check_fields(message: Message, echoed: list, names: list, uris: _Uris) -> tuple[bytes, bytes, bytes, bytes, Uri]:
    """Return (URI of From, From tag, To tag, CSeq, Request-URI). Raises ParseError when it can't be processed.

    echoed: the values of _ECHOED. names: of all its fields. The tags are b"" when absent, as RFC 2543 allowed.
    Source: RFC 3261 sections 8.1.1, 8.2.2 and 20.
    """
    for name in _ONCE:
        if names.count(name) > 1:
            raise ParseError("one %s only was expected" % name.decode())
    cseq = echoed[3]
    if not echoed[2] or cseq is None:
        raise ParseError("Call-ID and CSeq were expected")
    if parse_cseq(cseq)[1] != message.method:
        raise ParseError("the same method in CSeq as in the request line was expected")
    from_tag, sender = _tag_and_uri(echoed[0], uris)
    to_tag, _ = _tag_and_uri(echoed[1], uris)
    uri = uris.parse(message.uri)
    if b"content-type" not in names and message.method == b"MESSAGE" and message.body:
        raise ParseError("a Content-Type for the body was expected")
    return sender, from_tag, to_tag, cseq, uri


def _tag_and_uri(value: bytes | None, uris: _Uris) -> tuple[bytes, bytes]:
    if value is None:
        raise ParseError("From and To were expected")
    _, uri, params = parse_address(value)
    uris.parse(uri)
    return param(params, b"tag") or b"", uri


def _leads_back(via: bytes) -> bool:
    """Does a Via that may be of another version, or malformed further on, begin with a transport and an address?"""
    parts = via.split(b",")[0].split(b";")[0].split(b"/")
    try:
        parse_via(b"/".join([b"SIP", b"2.0"] + parts[2:]))
    except ParseError:
        return False
    return True


def _stamped(via: Via, flow: tuple) -> bytes:
    """Return the top Via with where the request really came from (RFC 3261 section 18.2.1, RFC 3581 section 4)."""
    semicolon = via.text.find(b";")
    out = via.text if semicolon < 0 else via.text[:semicolon].rstrip()
    symmetric = False
    for name, value in via.params:
        if name == b"rport":
            symmetric = True
        elif name != b"received":  # what the peer says of itself there is worth nothing
            out += b";" + name if value is None else b";" + name + b"=" + value
    if symmetric or via.host != flow[1]:
        out += b";received=" + flow[1]
    if symmetric:
        out += b";rport=%d" % flow[2]
    return out


def _echo(vias: list, echoed: list, tag: bytes) -> bytes:
    """Return the fields that a response copies from its request (RFC 3261 section 8.2.6.2).

    echoed: the values of _ECHOED, None for what is not there. tag: added to a To that has none.
    Returns b"" when the request lacks what every response has to have.
    """
    lines = [b"Via: %s\r\n" % value for value in vias]
    for i in range(len(_ECHOED)):
        value = echoed[i]
        if value is None:
            return b""
        if i == 1 and tag:
            value += b";tag=" + tag
        lines.append(b"%s: %s\r\n" % (_ECHOED[i][1], value))
    if sum([len(line) for line in lines]) > _MAX_ECHO:
        return b""
    out = b"".join(lines)
    ends = out.count(b"\r\n")
    if out.count(b"\r") != ends or out.count(b"\n") != ends:  # a stray one would end our line for some readers
        return b""
    return out


def _stateless(
    message: Message, vias: list, echoed: list, has_no_tag: bool, status: int, phrase: bytes, fields: bytes = b""
) -> bytes:
    """Return a response that no transaction remembers, b"" when there can't be one.

    A repeated copy has the same checksum, so it gets the same tag and the same octets.
    """
    echo = _echo(vias, echoed, b"%08x" % (crc32(message.data) & 0xFFFFFFFF) if has_no_tag else b"")
    return _status_line(status, phrase) + echo + fields + b"Content-Length: 0\r\n\r\n" if echo else b""


def _status_line(status: int, reason: bytes) -> bytes:
    return b"SIP/2.0 %d %s\r\n" % (status, reason[:_MAX_REASON])
