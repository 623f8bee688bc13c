"""A registrar of our own, for machines without a SIP server: it asks one user for a password, over UDP or TCP."""

import os
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sipmote.agent.auth.digest import secret
from sipmote.agent.auth.server import Authenticator
from sipmote.agent.message import Message
from sipmote.agent.stream import Framer
from sipmote.sip.clock import now_ms
from tests.hardware.board import here
from tests.interop.peers import free_port

REALM = "own.test"


def hashed(user: str, password: str, algorithm: str) -> bytes:
    """Return what a server keeps of a password. algorithm: "MD5" or "SHA-256"."""
    return secret(algorithm.lower().encode(), user.encode(), REALM.encode(), password.encode())


@contextmanager
def own_registrar(
    transport: str, user: str, password: str, algorithm: str, granted: int, host: str = ""
) -> Iterator[int]:
    """Run one that keeps bindings for so many seconds, at most 25: it knows no pings. Gives its port.

    host: where it is; "" for the address at which boards reach this machine.
    """
    users = {user.encode(): {algorithm.lower().encode(): hashed(user, password, algorithm)}}
    authenticator = Authenticator(REALM.encode(), users, os.urandom)

    def answer(request: Message, peer: tuple[str, int]) -> bytes:
        flow = (transport.upper().encode(), peer[0].encode(), peer[1])
        known, challenge = authenticator.check(request, now_ms(), flow)
        lines = [b"SIP/2.0 200 OK" if known else b"SIP/2.0 401 Unauthorized"]
        lines += [b"%s: %s" % (name, request.get(name)) for name in (b"via", b"from", b"to", b"call-id", b"cseq")]
        contact = request.get(b"contact")  # a MESSAGE has none
        lines += [b"contact: %s;expires=%d" % (contact, granted)] if known and contact else []
        return b"\r\n".join(lines) + b"\r\n%sContent-Length: 0\r\n\r\n" % challenge

    class Datagram(socketserver.DatagramRequestHandler):
        def handle(self) -> None:
            self.wfile.write(answer(Message(self.rfile.read()), self.client_address))

    class Stream(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            framer = Framer()
            while data := self.request.recv(4096):
                for request in framer.feed(data):
                    self.request.sendall(answer(request, self.client_address))

    host = host or here()
    at = (host, free_port(host))
    server = socketserver.UDPServer(at, Datagram) if transport == "udp" else socketserver.ThreadingTCPServer(at, Stream)
    server.daemon_threads = True  # a board may keep its stream
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield at[1]
        finally:
            server.shutdown()
            thread.join()
