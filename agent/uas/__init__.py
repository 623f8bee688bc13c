"""The answering half: what RFC 3261 section 8.2 and RFC 3428 section 7 ask of a UAS, in their order.

Loaded when the first request comes. A request that can't be processed is answered without any state; all others get a
server transaction, so that a repeated request gets the same octets again. Each copy of a request is answered where it
came from itself, and what answers the first one isn't led astray by who sends a copy of it.

What a usual MESSAGE and its 200 need is here and in checks, response and server_transaction; all else is loaded when it
is needed.
"""

from collections import namedtuple

from ..compat import const
from ..errors import ParseError, UsageError
from ..events import Transmit
from ..headers.values import media_type, takes
from ..message import Message
from ..notices import Dropped
from ..uri import Uri
from .checks import Incoming
from .response import echo, response
from .server_transaction import ServerTransaction

_OPEN = (b"CANCEL", b"OPTIONS")  # nobody has to authenticate for these
_USUAL = const(1024)  # octets that a transaction may keep on average, twice what most do
_RTC = const(2)  # of agent.qualities
_STREAM = const(84)  # "T", of TCP and TLS: what goes by one isn't lost

# A MESSAGE for us has come. Take care of it (store it), then call UserAgent.respond() with this event.
# message: agent.message.Message. sender: URI of its From field, or what stands there in its place, as UTF-8: that
# can't be answered. date: Unix seconds of its Date field, None without a
# valid one. expired: has its Expires run out? None: not to be known without a clock. stale: is its Date minutes off our
# clock (RFC 3428 section 11)? None as above. key: the server transaction that waits for the answer. user: who has
# authenticated for it, with an authenticator.
MessageReceived = namedtuple(
    "MessageReceived", ("message", "flow", "sender", "call_id", "date", "expired", "stale", "key", "user")
)


class Uas:
    """Server transactions and the checks before them; a UserAgent owns one and hands it requests.

    contacts: URIs that a registrar knows for us.
    """

    contacts: tuple = ()
    _dated: tuple = (None, b"")  # the Unix second of the last Date, and its line: many answers leave in one second

    def __init__(self, settings: dict, token: object) -> None:
        """settings: what a UserAgent was made with. token: a function of n, for To tags."""
        given = settings.get
        self._accept = given("accept", (b"text/plain",))
        self._users = given("users")
        self._hosts = given("hosts")
        self._keep = given("keep", 16)
        self._strict = given("strict", False)
        self._inflate = given("inflate")
        self._token = token
        self._authenticator = given("authenticator")
        self._transactions: dict[bytes, ServerTransaction] = {}
        self._merged: dict[bytes, bytes] = {}  # what merged copies share -> transaction key
        self._waiting: list[ServerTransaction] = []  # no final response yet
        self._oldest: ServerTransaction | None = None  # of the answered, linked in order
        self._newest: ServerTransaction | None = None
        self._octets = 0  # that those keep

    def receive(self, message: Message, flow: tuple, clock: object | None, now: int) -> list:
        """Answer a request, or return it as MessageReceived for respond(). clock: None while nobody knows the time."""
        if message.method == b"ACK":
            return [Dropped("an ACK", flow)]
        try:
            request = Incoming(message, flow, message.grammar)
        except ParseError as error:
            from .stateless import refuse_malformed, reread

            found = None if self._strict else reread(message, flow)
            if found is None:
                return refuse_malformed(message, flow, error)
            request = found
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
        if not self._has_room(self._keep - 1, now):
            return [Dropped("too many unanswered requests", flow)]
        try:
            transaction = self._begin(request, now)
            status = self._status(request, is_copy)
            if status:
                from .refusals import refusal

                fields = refusal(status, message, self._accept, self._inflate)
                return self._answer(transaction, *fields, now)
            return [self._received(request, user, clock, now)]
        except MemoryError:  # it will come again, and is no repetition then
            self.forget(request)
            raise

    def respond(
        self, received: MessageReceived, status: int, reason: bytes, fields: bytes, clock: object | None, now: int
    ) -> list:
        """Send the final response to a MessageReceived. Raises UsageError for a status that may not be sent.

        reason: in place of the usual phrase, b"" for that. fields: header lines of a refusal. clock: for the Date of
        a 2xx.
        """
        if not 200 <= status < 700 or status == 408:
            raise UsageError("a final response other than 408 was expected (RFC 4320)")
        transaction = self._transactions.get(received.key)
        if transaction is None:
            return []
        return self._answer(transaction, status, self._date(clock, now) if status < 300 else fields, now, reason)

    def _date(self, clock: object | None, now: int) -> bytes:
        """Return the line with the time of day, b"" where nobody knows it well: such a board learns it from others."""
        if clock is None or clock.quality < _RTC:  # type: ignore[attr-defined]
            return b""
        unix = clock.unix(now)  # type: ignore[attr-defined]
        if unix != self._dated[0]:
            from ..headers.date_writer import format_date

            self._dated = (unix, b"Date: %s\r\n" % format_date(unix))
        return self._dated[1]  # type: ignore[no-any-return]

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
        self._has_room(self._keep, now)
        return events

    def wait_ms(self, now: int) -> int | None:
        """Return the ms until wake() has work, None when nothing is kept."""
        wait = None if self._oldest is None else self._oldest.wait_ms(now)
        for transaction in self._waiting:
            ms = transaction.wait_ms(now)
            if wait is None or ms < wait:
                wait = ms
        return wait

    def _has_room(self, most: int, now: int) -> bool:
        """Forget what nobody can repeat any more, and the oldest answered ones beyond `most`; False if more remain.

        Those that keep more than the usual octets make the others fewer: whoever sends them mustn't choose our memory.
        """
        while self._oldest is not None and (
            len(self._transactions) > most or self._octets > self._keep * _USUAL or self._oldest.is_over(now)
        ):
            oldest = self._oldest
            self._oldest = oldest.next
            self._octets -= oldest.octets()
            self._forget(oldest)
        return len(self._transactions) <= most

    def _begin(self, request: Incoming, now: int) -> ServerTransaction:
        copied = echo(request.vias, request.fields, b"" if request.to_tag else self._token(4))  # type: ignore[operator]
        transaction = ServerTransaction(request.flow[0][0] == _STREAM, request.answer_flow, now)
        transaction.key = request.key
        transaction.merged = request.merged
        transaction.echo = copied
        if request.fields[6] is not None:
            from .refusals import timestamp_of

            transaction.timestamp = timestamp_of(request.message)
        self._transactions[request.key] = transaction
        self._waiting.append(transaction)
        return transaction

    def forget(self, request: Incoming | MessageReceived) -> None:
        """Leave a request without an answer, unless it has one; it is a new one if it comes again."""
        transaction = self._transactions.get(request.key)
        if transaction is not None and not transaction.is_completed:
            if transaction in self._waiting:
                self._waiting.remove(transaction)
            self._forget(transaction)

    def _status(self, request: Incoming, is_copy: bool) -> int:
        """Return the status of the first check of RFC 3261 section 8.2 that fails, 0 for a MESSAGE that passes all.

        OPTIONS never comes to the application: where nothing fails it gets its 200. refusals tells 405 from 501.
        """
        message = request.message
        method = message.method
        if method == b"CANCEL":
            return 200 if request.key[:-6] + b"MESSAGE" in self._transactions else 481
        if method != b"MESSAGE" and method != b"OPTIONS":
            return 405
        if not request.uri.host:  # it is neither sip: nor sips: nor im:
            return 416
        if not self._is_ours(request.uri):
            return 404
        if is_copy:
            return 482
        if request.fields[7] is not None:
            return 420
        if message.body and not self._takes(request.fields):
            from .refusals import read_body

            status, body = read_body(message, self._accept, self._inflate)
            if status:
                return status
            if body is not None:
                message.data = message.data[: message.body_at] + body
                message.length = len(body)
        if request.to_tag:
            return 481
        return 200 if method == b"OPTIONS" else 0

    def _is_ours(self, uri: Uri) -> bool:
        """Is this one of the users and hosts that we are, or a contact, which no setting need name?"""
        if self._is_served(uri):
            return True
        if not self.contacts:
            return False
        from ..registration.contact import is_one_of

        return is_one_of(uri, self.contacts)

    def _is_served(self, uri: Uri) -> bool:
        if self._users is not None:
            user = (uri.user or b"").partition(b":")[0]  # a password may follow
            if b"%" in user:
                from ..escapes import unescape

                user = unescape(user)
            if user not in self._users:
                return False
        return self._hosts is None or uri.host in self._hosts

    def _takes(self, fields: tuple) -> bool:
        """Is the body as nearly all are: of a type that we take, and in no way special?"""
        return fields[8] is None and fields[9] is None and takes(self._accept, media_type(fields[4] or b""))

    def _received(self, request: Incoming, user: bytes | None, clock: object | None, now: int) -> MessageReceived:
        self._merged[request.merged] = request.key
        message = request.message
        freshness: tuple = (None, False, False)  # with Expires but no Date it has just begun to age
        if request.fields[5] is not None:
            from .freshness import judge

            freshness = judge(message, clock, now)  # type: ignore[arg-type]
        head = (message, request.flow, request.sender, request.fields[2])
        return MessageReceived(*head, *freshness, request.key, user)  # type: ignore[call-arg]

    def _answer(
        self, transaction: ServerTransaction, status: int, fields: bytes, now: int, reason: bytes = b""
    ) -> list:
        if status == 200:
            reason = reason or b"OK"
        else:
            from .refusals import complete

            reason, fields = complete(status, reason, fields, self._accept)
        octets = response(status, reason, transaction.echo, fields)
        events = [Transmit(octets, transaction.flow)]  # before anything changes, for which memory may be missing
        if not transaction.respond(octets, True, now):
            return []
        transaction.echo = b""
        self._waiting.remove(transaction)
        if transaction.reliable:
            self._forget(transaction)
        else:
            if self._oldest is None:
                self._oldest = transaction
            else:
                self._newest.next = transaction  # type: ignore[union-attr]
            self._newest = transaction
            self._octets += transaction.octets()
        return events

    def _forget(self, transaction: ServerTransaction) -> None:
        del self._transactions[transaction.key]
        if self._merged.get(transaction.merged) == transaction.key:
            del self._merged[transaction.merged]
