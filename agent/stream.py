"""Cuts a TCP or TLS stream into messages and keepalives (RFC 3261 sections 7.5 and 18.3, RFC 5626 section 3.5.1)."""

from .compat import const
from .message import Message

PING = b"\r\n\r\n"
PONG = b"\r\n"
_PIECE = const(512)  # octets; what comes in smaller pieces is put together, as each piece takes a block of memory


class Framer:
    """One for each connection. What feed() returns goes to UserAgent.receive, item by item.

    lost: the framing is gone: hand over what feed() returned, carry out the answers, close the connection.
    pending: octets that wait for the rest of their message.
    limit: octets that one message may have, header section included. reader: of messages (agent.message).
    """

    def __init__(self, limit: int = 65535, reader: type[Message] = Message) -> None:
        self._limit = limit
        self._reader = reader
        self._pieces: list[bytes] = []  # what is pending, each octet of it copied a bounded number of times
        self._tail = b""  # the end of it
        self._half = False  # a PONG was handed over that may yet become a PING
        self._message: Message | None = None  # its header section is here, its body isn't yet
        self._total = 0  # octets of that message
        self.pending = 0
        self.lost = False

    def feed(self, data: bytes) -> list:
        """Take what the stream brought; return a list of Message, PING and PONG.

        A CRLF is a PONG at once, though it may be the first half of a PING: then the PING follows.
        """
        found: list = []
        if not self.lost:
            begun = self.pending > 3  # a message, whose end is looked for in what is new alone
            tail = self._tail + data
            self.pending += len(data)
            if begun and (tail.find(PING) < 0 if self._message is None else self.pending < self._total):
                self._keep(tail)
            else:
                self._pieces.append(tail)
                self._cut(b"".join(self._pieces), found)
            if self.lost or (self._message is None and self.pending > self._limit):
                self.lost = True
                self.pending = 0
                self._pieces = []
                self._tail = b""
        return found

    def _keep(self, tail: bytes) -> None:
        """Let octets wait; three of them at least stay in the tail, since a PING may be cut anywhere."""
        self._tail = tail
        if len(tail) > _PIECE:
            self._pieces.append(tail[:-3])
            self._tail = tail[-3:]

    def _cut(self, buffer: bytes, found: list) -> None:
        """Put what is whole in buffer into found; let the rest wait."""
        at = 0
        while at < len(buffer) and not self.lost:
            octets = self._next(buffer, at, found)
            if not octets:
                break
            at += octets
        self.pending = len(buffer) - at
        self._pieces = []
        self._keep(buffer[at:] if at else buffer)

    def _next(self, buffer: bytes, at: int, found: list) -> int:
        """Find what begins at an octet of buffer, append it; return its octets, 0 when it isn't whole yet."""
        message = self._message
        if message is None:
            head = buffer[at : at + 4]
            if head == PING:
                found.append(PING)
                self._half = False
                return 4
            if PING.startswith(head):
                if head == PONG and not self._half:
                    found.append(PONG)
                    self._half = True
                return 0  # the next octet tells
            if head[:2] == PONG:
                self._half = False
                return 2
            end = buffer.find(PING, at)
            if end < 0:
                return 0
            message = self._begin(buffer if end + 4 - at == len(buffer) else buffer[at : end + 4])
        if len(buffer) - at < self._total:
            return 0
        # The whole buffer isn't copied.
        message.data = buffer if len(buffer) == self._total else buffer[at : at + self._total]
        found.append(message)
        self._message = None
        return self._total

    def _begin(self, data: bytes) -> Message:
        """Read a header section and see whether the body behind it can be framed."""
        message = self._reader(data)
        if message.is_overlong:
            message.length = -1
        elif message.length is None:
            message.fault = ("Content-Length on a stream was expected", 400)
        elif message.body_at + message.length > self._limit:
            message.fault = ("a shorter message was expected", 513)
            message.length = -1
        self.lost = message.length is None or message.length < 0 or not message.body_at
        self._total = message.body_at + (0 if self.lost else message.length or 0)
        self._message = message
        return message
