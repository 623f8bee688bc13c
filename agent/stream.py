"""Cuts a TCP or TLS stream into messages and keepalives (RFC 3261 sections 7.5 and 18.3, RFC 5626 section 3.5.1)."""

from .message import Message

PING = b"\r\n\r\n"
PONG = b"\r\n"


class Framer:
    """One for each connection. What feed() returns goes to UserAgent.receive, item by item.

    lost: the framing is gone: hand over what feed() returned, carry out the answers, close the connection.
    limit: octets that one message may have, header section included.
    """

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
        buffer = self._buffer + data
        searched = max(len(self._buffer) - 3, 0)  # no end of a header section before here
        at = 0
        size = len(buffer)
        while at < size and not self.lost:
            if self._message is None:
                if buffer[at] == 13:
                    if PING.startswith(buffer[at : at + 4]) and size - at < 4:
                        if size - at == 2 and not self._half:
                            found.append(PONG)
                            self._half = True
                        break  # the next octet tells
                    if buffer[at : at + 2] == PONG:
                        whole = buffer[at : at + 4] == PING
                        if whole:
                            found.append(PING)
                        at += 4 if whole else 2
                        self._half = False
                        continue
                end = buffer.find(PING, max(searched, at))
                if end < 0:
                    self.lost = size - at > self._limit
                    break
                self._begin(buffer if at == 0 and end + 4 == size else buffer[at : end + 4])
            message = self._message
            if message is None:
                break
            total = message.body_at + (message.length or 0)
            if self.lost:
                total = message.body_at
            if size - at < total:
                break
            message.data = buffer if at == 0 and total == size else buffer[at : at + total]
            found.append(message)
            self._message = None
            at += total
        self._buffer = b"" if self.lost else buffer[at:]
        return found

    def _begin(self, data: bytes) -> None:
        """Read a header section and see whether the body behind it can be framed."""
        message = self._message = Message(data)
        if message.length is None:
            message.fault = ("Content-Length on a stream was expected", 400)
        elif message.body_at + message.length > self._limit:
            message.fault = ("a shorter message was expected", 513)
            message.length = -1
        self.lost = message.length is None or message.length < 0 or not message.body_at
