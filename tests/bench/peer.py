"""A desk for the board under test: takes messages over UDP and TCP at once, and may send it a command."""

import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from sipmote.agent.auth.digest import secret
from sipmote.agent.auth.server import Authenticator
from sipmote.agent.events import Transmit
from sipmote.agent.message import Message
from sipmote.agent.qualities import RTC
from sipmote.agent.stream import Framer
from sipmote.agent.uas import MessageReceived
from sipmote.agent.user_agent import UserAgent
from sipmote.agent.wall_clock import WallClock


class Peer:
    """Answers each MESSAGE with 200 in a thread of its own; with command, each one also brings that command back."""

    def __init__(
        self,
        command: bytes = b"",
        password: bytes = b"",
        reuse: bool = True,
        date: bool = False,
        seal: Callable[[bytes, bytes], tuple[bytes, bytes]] | None = None,
    ) -> None:
        """password: challenge the user boiler for it, and let it register; reuse: a nonce serves more than once.
        date: each 200 has a Date. seal: makes content type and body of a command, given its Call-ID and text.
        """
        self._command = command
        self._seal = seal
        self._password = password
        self._reuse = reuse
        self._date = date
        # TCP chooses the port: one that is free for UDP may be a connection's that has just ended.
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._tcp.getsockname()[1]
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", self.port))
        self._agent = self._new_agent()
        self._ended = False
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _new_agent(self) -> UserAgent:
        """Return a user agent that has seen no message and given out no nonce."""
        settings: dict[str, Any] = {"keep": 1000, "accept": (b"*/*",)}
        if self._password:
            hashes = {b"sha-256": secret(b"sha-256", b"boiler", b"bench", self._password)}
            settings["authenticator"] = Authenticator(b"bench", {b"boiler": hashes}, os.urandom)
        if self._date:
            settings["clock"] = clock = WallClock()
            clock.set(int(time.time()), RTC, _now())
        return UserAgent(b"sip:desk@127.0.0.1", b"127.0.0.1:%d" % self.port, os.urandom, **settings)

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
        message = data if isinstance(data, Message) else Message(data)
        if message.method == b"REGISTER":
            self._send([Transmit(_registered(message), flow)], flow)
            return
        if message.status:  # a command of ours was taken; we don't wait for it
            return
        for event in self._agent.receive(data, flow, _now()):
            if type(event) is MessageReceived:
                self._send(self._agent.respond(event, 200, _now()), flow)
                if not self._reuse:
                    self._agent = self._new_agent()
                if self._command:  # by an agent of its own: a board that has run out of memory leaves it waiting
                    asking = UserAgent(b"sip:desk@127.0.0.1", b"127.0.0.1:%d" % self.port, os.urandom)
                    call_id = asking.new_call_id()
                    kind, body = b"text/plain", self._command
                    if self._seal is not None:
                        kind, body = self._seal(call_id, body)
                    asked = asking.send(call_id, event.sender, body, _now(), flow=flow, content_type=kind)
                    self._send(asked, flow)
            self._send([event], flow)

    def _send(self, events: Any, flow: Any) -> None:
        for event in events:
            if type(event) is Transmit:
                if flow[3] is None:
                    self._udp.sendto(event.data, (flow[1].decode(), flow[2]))
                else:
                    flow[3].sendall(event.data)


def _now() -> int:
    return time.monotonic_ns() // 1_000_000 & 0x3FFFFFFF


def _registered(request: Message) -> bytes:
    """Return the 200 of a registrar that takes whatever it is asked for."""
    lines = [b"SIP/2.0 200 OK"]
    for name in (b"Via", b"From", b"To", b"Call-ID", b"CSeq", b"Contact", b"Expires"):
        lines.append(name + b": " + (request.get(name.lower()) or b""))
    return b"\r\n".join(lines) + b"\r\nContent-Length: 0\r\n\r\n"
