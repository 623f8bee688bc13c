"""Streams, TCP and TLS: accepted and opened, so many at once, each until it is silent for too long.

They are asyncio protocols, so that TLS is one more argument.
"""

import asyncio
import socket
import ssl
from collections.abc import Iterable
from typing import Any

from sipmote.agent.stream import Framer
from sipmote.agent.uri import bracketed
from sipmote.sip.places import Flow, FlowOwner, Zones, with_zone, without_scope
from sipmote.sip.reader import Message
from sipmote.sip.reasons import reason_of
from sipmote.sip.tls import Tls
from sipmote.sip.udp import bound_socket, local_host, numeric

_CONNECT_S = 20.0  # below Timer F, so that a host that swallows SYN is reported as such
_HANDSHAKE_S = 10.0
_READ = 16384
_MAX_UNSENT = 262144  # octets that a slow reader may leave with us
_MAX_CONNECTIONS = 1000
_CLOSING_S = 1.0  # in which written octets may leave


class Streams:
    """The streams of a shell."""

    def __init__(self, owner: FlowOwner, tls: Tls | None, idle_s: float, zones: Zones) -> None:
        """idle_s: a stream that brings no whole message or ping for so long is closed."""
        self._owner = owner
        self._tls = tls
        self._idle_s = idle_s
        self._zones = zones
        self._loop = asyncio.get_running_loop()
        self._listeners: list[tuple[bytes, asyncio.Server]] = []
        self.connections: dict[Flow, Connection] = {}
        self._max_connections = _connections_allowed()
        self._opening: set[asyncio.Task[None]] = set()
        self.buffer = bytearray(_READ)  # one for all: it is emptied before anyone else reads

    @property
    def has_certificate(self) -> bool:
        """Can we listen for TLS?"""
        return self._tls is not None and self._tls.server is not None

    async def listen(self, transport: bytes, family: int, address: Any) -> Any:
        """Accept streams at an address; returns it, its port filled in. Raises OSError."""
        sock = bound_socket(family, socket.SOCK_STREAM, address)
        security: dict[str, Any] = {}
        if transport == b"TLS":
            assert self._tls and self._tls.server, "the caller has seen to it"
            security = {"ssl": self._tls.server, "ssl_handshake_timeout": _HANDSHAKE_S}
        server = await self._loop.create_server(
            lambda: Connection(self, None, transport), sock=sock, backlog=256, **security
        )
        self._listeners.append((transport, server))
        return sock.getsockname()

    async def close(self) -> None:
        """Let written octets leave, then close everything."""
        for task in self._opening:
            task.cancel()
        for _, server in self._listeners:
            server.close()
        for connection in list(self.connections.values()):
            connection.close()
        deadline = self._loop.time() + _CLOSING_S
        while self.connections and self._loop.time() < deadline:
            await asyncio.sleep(0.01)
        for connection in list(self.connections.values()):
            connection.abort()

    def send(self, data: bytes, flow: Flow) -> None:
        """Write to the stream of flow; one that isn't there is opened, and takes octets meanwhile."""
        connection = self.connections.get(flow)
        if connection is None:
            connection = Connection(self, flow)
            self.opened(connection)
            task = self._loop.create_task(self._connect(connection))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)
        connection.write(data)

    def sent_by(self, flow: Flow) -> tuple[str, bytes]:
        """Return (host, host:port) of ours as the end of a flow sees us; raises OSError where it can't be reached."""
        host = local_host(numeric(with_zone(flow[1], self._zones), flow[2])[1])
        ports = [server.sockets[0].getsockname()[1] for kind, server in self._listeners if kind == flow[0]]
        return host, bracketed(host.encode()) + (b":%d" % ports[0] if ports else b"")

    async def _connect(self, connection: "Connection") -> None:
        transport, host, port, *name = connection.flow
        security: dict[str, Any] = {}
        if transport == b"TLS":
            client = self._tls.client if self._tls else ssl.create_default_context()
            expected = (name or [host])[0].decode()
            security = {"ssl": client, "server_hostname": expected, "ssl_handshake_timeout": _HANDSHAKE_S}
        opening = self._loop.create_connection(lambda: connection, with_zone(host, self._zones), port, **security)
        try:
            await asyncio.wait_for(opening, _CONNECT_S)
        except OSError as error:  # a TimeoutError among them
            self.lost(connection, reason_of(error))

    def check_server(self, transport: asyncio.Transport, flow: Flow) -> str:
        """Return why the server at the other end is not the one that flow is to lead to, or nothing."""
        name = flow[3] if len(flow) > 3 else flow[1]
        return self._tls.check(transport.get_extra_info("ssl_object"), name.decode()) if self._tls else ""

    def opened(self, connection: "Connection") -> None:
        """Keep a connection; over the limit the one that was silent for longest has to go."""
        twin = self.connections.pop(connection.flow, None)
        if twin:
            twin.abort()  # its peer started anew, on the same port
        while len(self.connections) >= self._max_connections:
            oldest = min(self.connections.values(), key=lambda c: c.active_at)
            del self.connections[oldest.flow]
            oldest.abort()
        self.connections[connection.flow] = connection

    def received(self, connection: "Connection", frames: Iterable[Any], is_broken: bool) -> None:
        """Pass on what a connection brought. is_broken: its framing is lost with that (RFC 3261 section 18.3)."""
        self._owner.received(frames, connection.flow)
        if is_broken:
            self._loop.call_soon(connection.close)  # behind the answers, for which this turn is waited

    def lost(self, connection: "Connection", text: str) -> None:
        """Forget a connection that has ended."""
        if self.connections.get(connection.flow) is connection:
            del self.connections[connection.flow]
            self._owner.failed(connection.flow, text)

    def hang_up(self, flow: Flow) -> None:
        """Close a stream of which the core knows that it is dead."""
        connection = self.connections.pop(flow, None)
        if connection:
            connection.abort()

    def close_idle(self) -> None:
        """Close streams that have been silent for too long."""
        now = self._loop.time()
        for connection in list(self.connections.values()):
            if now - connection.active_at > self._idle_s:
                connection.abort()


class Connection(asyncio.BufferedProtocol):
    """One stream, accepted (flow None) or opened by us, with its framer."""

    def __init__(self, streams: Streams, flow: Flow | None, kind: bytes = b"") -> None:
        """kind: the transport of a stream that was accepted."""
        self._streams = streams
        self._kind = kind
        self._refusal = ""
        self.flow: Flow = flow or ()
        self._framer = Framer(reader=Message)
        self._transport: asyncio.Transport | None = None
        self._unsent: list[bytes] = []  # written before the connection was there
        self.active_at = asyncio.get_running_loop().time()  # when the last whole message or ping came

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not self.flow:
            host, port = transport.get_extra_info("peername")[:2]
            self.flow = (self._kind, without_scope(host).encode(), port)
            self._streams.opened(self)
        elif self.flow[0] == b"TLS":
            self._refusal = self._streams.check_server(transport, self.flow)
        if self._refusal:
            transport.abort()
            return
        for data in self._unsent:
            transport.write(data)
        self._unsent = []

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._streams.buffer

    def buffer_updated(self, nbytes: int) -> None:
        frames = self._framer.feed(bytes(memoryview(self._streams.buffer)[:nbytes]))
        if frames:
            self.active_at = asyncio.get_running_loop().time()
        if frames or self._framer.lost:
            self._streams.received(self, frames, self._framer.lost)

    def pause_writing(self) -> None:
        """The peer doesn't read its answers: take no more requests from it until it does."""
        if self._transport and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport and not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._streams.lost(self, self._refusal or (reason_of(exc) if exc else "the peer closed the connection"))

    def write(self, data: bytes) -> None:
        if self._transport is None:
            self._unsent.append(data)
        elif not self._transport.is_closing():
            self._transport.write(data)
            if self._transport.get_write_buffer_size() > _MAX_UNSENT:
                self._transport.abort()

    def close(self) -> None:
        if self._transport:
            self._transport.close()
        else:
            self._streams.lost(self, "closed before it was open")

    def abort(self) -> None:
        if self._transport:
            self._transport.abort()


def _connections_allowed() -> int:
    """Raise the limit on open files as far as we may, and return how many streams fit below it."""
    try:
        import resource
    except ImportError:  # not on Windows
        return _MAX_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_CONNECTIONS + 100
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(16, min(_MAX_CONNECTIONS, soft - 100))
