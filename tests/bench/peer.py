"""A desk for the board under test: takes messages over UDP and TCP at once, and may send it a command."""

import os
import selectors
import socket
import threading
import time
from typing import Any

from sipmote.agent.auth.digest import secret
from sipmote.agent.auth.server import Authenticator
from sipmote.agent.events import MessageReceived, Transmit
from sipmote.agent.message import Message
from sipmote.agent.stream import Framer
from sipmote.agent.user_agent import UserAgent


class Peer:
    """Answers each MESSAGE with 200 in a thread of its own; with command, each one also brings that command back."""

    def __init__(self, command: bytes = b"", password: bytes = b"", reuse: bool = True) -> None:
        """password: challenge the user boiler for it, and let it register; reuse: a nonce serves more than once."""
        self._command = command
        self._password = password
        self._reuse = reuse
        # TCP chooses the port: one that is free for UDP may be a connection's that has just ended.
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._tcp.getsockname()[1]
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", self.port))
        self._agent = UserAgent(b"sip:desk@127.0.0.1", b"127.0.0.1:%d" % self.port, os.urandom, keep=1000)
        self._arm()
        self._ended = False
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _arm(self) -> None:
        """Ask for the password, with nonces that nobody has seen before."""
        if self._password:
            hashes = {b"sha-256": secret(b"sha-256", b"boiler", b"bench", self._password)}
            self._agent.authenticator = Authenticator(b"bench", {b"boiler": hashes}, os.urandom)

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._thread.join()
        self._udp.close()
        self._tcp.close()

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._udp, selectors.EVENT_READ)
            selector.register(self._tcp, selectors.EVENT_READ)
            while not self._ended:
                for key, _ in selector.select(0.05):
                    if key.fileobj is self._udp:
                        data, (host, port) = self._udp.recvfrom(65535)
                        self._take(data, (b"UDP", host.encode(), port, None))
                    elif key.fileobj is self._tcp:
                        stream, _ = self._tcp.accept()
                        selector.register(stream, selectors.EVENT_READ, Framer())
                    else:
                        self._read(key.fileobj, key.data, selector)
            for key in list(selector.get_map().values()):
                if key.data:
                    key.fileobj.close()  # type: ignore[union-attr]

    def _read(self, stream: Any, framer: Framer, selector: selectors.BaseSelector) -> None:
        try:
            data = stream.recv(65535)
        except OSError:
            data = b""
        if not data:
            selector.unregister(stream)
            stream.close()
        for item in framer.feed(data):
            host, port = stream.getpeername()
            self._take(item, (b"TCP", host.encode(), port, stream))

    def _take(self, data: Any, flow: Any) -> None:
        now = time.monotonic_ns() // 1_000_000 & 0x3FFFFFFF
        message = data if isinstance(data, Message) else Message(data)
        if message.method == b"REGISTER":
            self._send([Transmit(_registered(message), flow)], flow)
            return
        for event in self._agent.receive(data, flow, now):
            if type(event) is MessageReceived:
                self._send(self._agent.respond(event, 200, now), flow)
                if not self._reuse:
                    self._arm()
                if self._command:
                    self._agent.pending.clear()  # of a board that has run out of memory
                    self._agent.queues.clear()
                    call_id = self._agent.new_call_id()
                    self._send(self._agent.send(call_id, event.sender, self._command, now, flow=flow), flow)
            self._send([event], flow)

    def _send(self, events: Any, flow: Any) -> None:
        for event in events:
            if type(event) is Transmit:
                if flow[3] is None:
                    self._udp.sendto(event.data, (flow[1].decode(), flow[2]))
                else:
                    flow[3].sendall(event.data)


def _registered(request: Message) -> bytes:
    """Return the 200 of a registrar that takes whatever it is asked for."""
    lines = [b"SIP/2.0 200 OK"]
    for name in (b"Via", b"From", b"To", b"Call-ID", b"CSeq", b"Contact", b"Expires"):
        lines.append(name + b": " + (request.get(name.lower()) or b""))
    return b"\r\n".join(lines) + b"\r\nContent-Length: 0\r\n\r\n"
