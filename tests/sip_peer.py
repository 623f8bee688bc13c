"""A peer for SIP said word by word over UDP on loopback."""

import socket

from sipmote.agent.message import Message

DEADLINE_S = 20


class Peer:
    """A UDP socket with somebody's name, for SIP said word by word."""

    def __init__(self, name: bytes = b"sip:alice@example.org", host: str = "127.0.0.1", port: int = 0) -> None:
        """port: 0 for any free one."""
        self._name = name
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, port))
        self._socket.settimeout(DEADLINE_S)
        self.port: int = self._socket.getsockname()[1]
        self.from_port = 0
        self._count = 0
        self._answered: dict[bytes | None, bytes] = {}  # by Via: a repetition has the same one

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(
        self, port: int, content_type: bytes, body: bytes, fields: bytes = b"", to: bytes = b"sip:desk@127.0.0.1"
    ) -> None:
        """Send a MESSAGE."""
        self._count += 1
        self._socket.sendto(
            b"MESSAGE %s SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%d;branch=z9hG4bK%d;rport\r\nMax-Forwards: 70\r\n"
            b"From: <%s>;tag=1\r\nTo: <%s>\r\nCall-ID: %d-%d\r\nCSeq: 1 MESSAGE\r\n%sContent-Type: %s\r\n"
            b"Content-Length: %d\r\n\r\n%s"
            % (
                to,
                self.port,
                self._count,
                self._name,
                to,
                self.port,
                self._count,
                fields,
                content_type,
                len(body),
                body,
            ),
            ("127.0.0.1", port),
        )

    def put(self, data: bytes, port: int) -> None:
        """Send octets."""
        self._socket.sendto(data, ("127.0.0.1", port))

    def ask(
        self, port: int, content_type: bytes, body: bytes, fields: bytes = b"", to: bytes = b"sip:desk@127.0.0.1"
    ) -> Message:
        """Send a MESSAGE and return the response, which comes before anything else but the end of another answer."""
        self.send(port, content_type, body, fields, to)
        ours = b"%d-%d" % (self.port, self._count)
        response = self.receive()[0]
        while response.status == 100 or (response.status and response.get(b"call-id") != ours):  # on a busy machine
            response = self.receive()[0]
        assert response.status, response.data
        return response

    def receive(self) -> tuple[Message, tuple[str, int]]:
        """Return what comes, and from where. A repetition gets the same answer and isn't returned."""
        while True:
            data, address = self._socket.recvfrom(65535)
            message = Message(data)
            answer = self._answered.get(message.get(b"via")) if message.method else None
            if answer is None:
                return message, address
            self._socket.sendto(answer, address)

    def answer(self, status: int, fields: bytes = b"") -> Message:
        """Answer the next request and return it; from_port is where it came from."""
        request, address = self.receive()
        self.reply(request, address, status, fields)
        return request

    def reply(self, request: Message, address: tuple[str, int], status: int, fields: bytes = b"") -> None:
        """Answer a request that receive() has returned."""
        assert request.method in (b"MESSAGE", b"OPTIONS"), request.data
        copied = [b"%s: %s\r\n" % (name, request.get(name)) for name in (b"via", b"from", b"to", b"call-id", b"cseq")]
        response = b"SIP/2.0 %d X\r\n%s%sContent-Length: 0\r\n\r\n" % (status, b"".join(copied), fields)
        self._answered[request.get(b"via")] = response
        self._socket.sendto(response, address)
        self.from_port = address[1]

    def silent(self) -> bool:
        """Has nothing come that nobody has read?"""
        self._socket.setblocking(False)
        try:
            self._socket.recv(65535)
        except BlockingIOError:
            return True
        finally:
            self._socket.settimeout(DEADLINE_S)
        return False
