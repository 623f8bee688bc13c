"""The answering half: what RFC 3261 section 8.2 and RFC 3428 section 7 ask of a UAS, in their order.

Loaded when the first request comes. A request that can't be processed is answered without any state; all others get a
server transaction, so that a repeated request gets the same octets again. Each copy of a request is answered where it
came from itself, and what answers the first one isn't led astray by who sends a copy of it.

What a usual MESSAGE and its 200 need is here and in checks, response and server_transaction; all else is loaded when it
is needed.
"""

from ..errors import ParseError, UsageError
from ..events import Transmit
from ..headers.values import media_type, takes
from ..message import Message
from ..notices import Dropped
from ..uri import Uri, unescape
from .checks import Incoming
from .events import MessageReceived
from .response import response
from .server_transaction import ServerTransaction

_OPEN = (b"CANCEL", b"OPTIONS")  # nobody has to authenticate for these


class Uas:
    """Server transactions and the checks before them; a UserAgent owns one and hands it requests."""

    def __init__(
        self, accept: tuple, users: tuple | None, hosts: tuple | None, keep: int, authenticator: object, token: object
    ) -> None:
        """accept, users, hosts, keep, authenticator: as UserAgent takes them. token: a function of n, for To tags."""
        self._accept = accept
        self._users = users
        self._hosts = None if hosts is None else [host.lower() for host in hosts]
        self._keep = keep
        self._token = token
        self._authenticator = authenticator
        self._transactions: dict[bytes, ServerTransaction] = {}
        self._merged: dict[bytes, bytes] = {}  # what merged copies share -> transaction key
        self._waiting: list[ServerTransaction] = []  # no final response yet
        self._oldest: ServerTransaction | None = None  # of the answered, linked in order
        self._newest: ServerTransaction | None = None

    def receive(self, message: Message, flow: tuple, clock: object | None, now: int) -> list:
        """Answer a request, or return it as MessageReceived for respond(). clock: None while nobody knows the time."""
        if message.get(b"via") is None:
            return [Dropped("a request without Via", flow)]
        if message.method == b"ACK":
            return [Dropped("an ACK", flow)]
        try:
            request = Incoming(message, flow)
        except ParseError as error:
            from .stateless import refuse_malformed

            return refuse_malformed(message, flow, error)
        known = self._transactions.get(request.key)
        if known is not None:  # the same octets again, silence while there are none
            return [Transmit(known.response, request.answer_flow)] if known.response else []
        is_copy = not request.to_tag and request.merged in self._merged
        user = None
        if self._authenticator is not None and message.method not in _OPEN and not is_copy:
            from .stateless import authenticate

            user, events = authenticate(self._authenticator, request, now)
            if user is None:
                return events
        if not self._has_room(now):
            return [Dropped("too many requests without an answer", flow)]
        transaction = self._begin(request, now)
        if transaction is None:
            return [Dropped("a request with more to copy than we give back", flow)]
        refusal = self._refusal(request, is_copy)
        if refusal is not None:
            return self._answer(transaction, refusal[0], refusal[1], now)
        return [self._received(request, user, clock, now)]

    def respond(self, received: MessageReceived, status: int, fields: bytes, now: int, reason: bytes = b"") -> list:
        """Send the final response to a MessageReceived. Raises UsageError for a status that may not be sent.

        fields: further header lines. reason: in place of the usual phrase.
        """
        if not 200 <= status < 700 or status == 408:
            raise UsageError("a final response other than 408 answers a MESSAGE (RFC 4320 section 4.2)")
        transaction = self._transactions.get(received.key)
        if transaction is None:
            return []
        if status == 415 and not fields:
            from .refusals import accept_field

            fields = accept_field(self._accept)
        return self._answer(transaction, status, fields, now, reason)

    def wake(self, now: int) -> list:
        """Let time pass: 100 for what is still unanswered after 3.5 s, end what nobody can repeat any more."""
        events: list = []
        for transaction in list(self._waiting):
            if transaction.is_over(now):
                self._waiting.remove(transaction)
                self._forget(transaction)
            elif transaction.owes_trying(now):
                from .refusals import trying

                transaction.respond(trying(transaction, now), False, now)
                events.append(Transmit(transaction.response, transaction.flow))
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

    def _has_room(self, now: int) -> bool:
        """Make room for one more transaction; False when none of those we keep has been answered."""
        self._expire(now)
        if len(self._transactions) >= self._keep:
            self._forget_oldest()
        return len(self._transactions) < self._keep

    def _begin(self, request: Incoming, now: int) -> ServerTransaction | None:
        echo = request.echo(self._token(4))  # type: ignore[operator]
        if not echo:
            return None
        transaction = ServerTransaction(request.flow[0] != b"UDP", request.answer_flow, now)
        transaction.key = request.key
        transaction.merged = request.merged
        transaction.echo = echo
        if request.message.get(b"timestamp") is not None:
            from .refusals import timestamp_of

            transaction.timestamp = timestamp_of(request.message)
        self._transactions[request.key] = transaction
        self._waiting.append(transaction)
        return transaction

    def _refusal(self, request: Incoming, is_copy: bool) -> tuple[int, bytes] | None:
        """Return (status, header lines) for the first check of RFC 3261 section 8.2 that fails, None when all pass.

        OPTIONS never comes to the application: what "fails" last is its 200.
        """
        message = request.message
        method = message.method
        if method == b"CANCEL":
            return 200 if request.key[:-6] + b"MESSAGE" in self._transactions else 481, b""
        if method != b"MESSAGE" and method != b"OPTIONS":
            from .refusals import refuse_method

            return refuse_method(method)
        if request.uri.scheme not in (b"sip", b"sips", b"im"):
            return 416, b""
        if not self._is_ours(request.uri):
            return 404, b""
        if is_copy:
            return 482, b""
        if message.get(b"require") is not None:
            from .refusals import refuse_extensions

            return refuse_extensions(message)
        if message.body and not self._takes(message):
            from .refusals import refuse_body

            refusal = refuse_body(message, self._accept)
            if refusal is not None:
                return refusal
        if request.to_tag:
            return 481, b""
        if method == b"OPTIONS":
            from .refusals import capabilities

            return 200, capabilities(self._accept)
        return None

    def _is_ours(self, uri: Uri) -> bool:
        """Is this one of the users and hosts that we are?"""
        users = self._users
        if users is not None and (uri.user is None or unescape(uri.user.split(b":")[0]) not in users):
            return False
        return self._hosts is None or uri.host in self._hosts

    def _takes(self, message: Message) -> bool:
        """Is the body as nearly all are: of a type that we take, and in no way special?"""
        return (
            message.get(b"content-encoding") is None
            and message.get(b"content-disposition") is None
            and takes(self._accept, media_type(message.get(b"content-type") or b""))
        )

    def _received(self, request: Incoming, user: bytes | None, clock: object | None, now: int) -> MessageReceived:
        self._merged[request.merged] = request.key
        message = request.message
        freshness: tuple = (None, False, False)  # with Expires but no Date it has just begun to age
        if message.get(b"date") is not None:
            from .freshness import judge

            freshness = judge(message, clock, now)  # type: ignore[arg-type]
        head = (message, request.flow, request.sender, request.call_id)
        return MessageReceived(*head, *freshness, request.key, user)  # type: ignore[call-arg]

    def _answer(
        self, transaction: ServerTransaction, status: int, fields: bytes, now: int, reason: bytes = b""
    ) -> list:
        if not reason:
            reason = b"OK"
            if status != 200:
                from .refusals import REASONS

                reason = REASONS.get(status, b"")
        octets = response(status, reason, transaction.echo, fields)
        if not transaction.respond(octets, True, now):
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
        return [Transmit(octets, transaction.flow)]

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
