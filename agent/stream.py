"""Cuts a TCP or TLS stream into messages and keepalives (RFC 3261 sections 7.5 and 18.3, RFC 5626 section 3.5.1)."""

from agent.message import Message

PING = b"\r\n\r\n"
PONG = b"\r\n"


class Framer:
    """One for each connection. What feed() returns goes to UserAgent.receive, item by item.

    lost: the framing is gone: hand over what feed() returned, carry out the answers, close the connection.
    limit: octets that one message may have, header section included.
    """

    __slots__ = ("_buffer", "_half", "_limit", "_message", "lost")

    def __init__(self, limit: int = 65535) -> None:
        self._limit = limit
        self._buffer = b""
        self._half = False  # a PONG was handed over that may yet become a PING
        self._message: Message | None = None  # its header section is here, its body isn't yet
        self.lost = False

    @property
    def pending(self) -> int:
        """Octets that wait for the rest of their message."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list:
        """Take what the stream brought; return a list of Message, PING and PONG.

        A CRLF is a PONG at once, though it may be the first half of a PING: then the PING follows.
        """
        found: list = []
        searched = len(self._buffer) - 3
        self._buffer += data
        while self._buffer and not self.lost:
            if self._message is None:
                if self._buffer[:2] == b"\r\n" or self._buffer == b"\r":
                    if PING.startswith(self._buffer) and len(self._buffer) < 4:
                        if len(self._buffer) == 2 and not self._half:
                            found.append(PONG)
                            self._half = True
                        break  # the next octet tells
                    whole = self._buffer[:4] == PING
                    if whole:
                        found.append(PING)
                    self._buffer = self._buffer[4 if whole else 2 :]
                    self._half = False
                    searched = 0
                    continue
                if self._buffer.find(PING, max(searched, 0)) < 0:
                    self.lost = len(self._buffer) > self._limit
                    break
                searched = 0
                self._begin()
            message = self._message
            if message is None:
                break
            total = message.body_at + (message.length or 0)
            if not self.lost and len(self._buffer) < total:
                break
            message.data = self._buffer
            found.append(message)
            self._message = None
            self._buffer = self._buffer[total:]
        return found

    def _begin(self) -> None:
        """Read the header section and see whether its body can be framed."""
        message = self._message = Message(self._buffer)
        if message.length is None:
            message.fault = ("Content-Length on a stream was expected", 400)
        elif message.body_at + message.length > self._limit:
            message.fault = ("a shorter message was expected", 513)
            message.length = -1
        self.lost = message.length is None or message.length < 0 or not message.body_at
