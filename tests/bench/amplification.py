"""How many octets an inbox sends to somebody who never answers, for each octet that came in his name."""

import contextlib
import socket
import time
from collections.abc import Iterator

from sipmote.agent.cpim import imdn
from sipmote.agent.cpim.writer import build_cpim
from tests.tools import Tool

WAITED_S = 33  # Timer F has fired
_SENDER = b"sip:a@b.invalid"


def octets() -> Iterator[tuple[str, int, int]]:
    """Give (kind of message, octets sent, octets that came back) of a usual message and of the shortest."""
    for what, head in (
        (
            "full names",
            b"Via: %s\r\nMax-Forwards: 70\r\nFrom: <%s>;tag=1\r\nTo: <%s>\r\nCall-ID: %d\r\nCSeq: 1 MESSAGE\r\n",
        ),
        ("compact", b"v:%s\r\nf:<%s>;tag=1\r\nt:<%s>\r\ni:%d\r\nCSeq:1 MESSAGE\r\n"),
    ):
        with (
            Tool("inbox", "--imdn", "--bind", "udp:127.0.0.1:0", "--db", ":memory:") as inbox,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
        ):
            port = int(inbox.wait_for(event="ready")["bind"][0].rpartition(":")[2])
            sock.bind(("127.0.0.1", 0))
            via = b"SIP/2.0/UDP 127.0.0.1:%d;branch=z9hG4bK1" % sock.getsockname()[1]
            body = build_cpim(_SENDER, _SENDER, b"hi", b"text/plain", None, None, imdn.ask(b"1"))
            fields = head % (via, _SENDER, _SENDER, 1) + b"Content-Type: message/cpim\r\n"
            data = b"MESSAGE sip:a@127.0.0.1 SIP/2.0\r\n%sl: %d\r\n\r\n%s" % (fields, len(body), body)
            sock.sendto(data, ("127.0.0.1", port))
            yield what, len(data), sum(map(len, _coming(sock)))


def _coming(sock: socket.socket) -> Iterator[bytes]:
    """Give what comes for as long as a request is repeated."""
    deadline = time.monotonic() + WAITED_S
    while (left := deadline - time.monotonic()) > 0:
        sock.settimeout(left)
        with contextlib.suppress(TimeoutError):
            yield sock.recv(65535)
