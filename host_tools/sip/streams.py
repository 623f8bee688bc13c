"""Streams, TCP and TLS: accepted and opened, so many at once, each until it is silent for too long.

They are asyncio protocols, so that TLS is one more argument.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections import Counter
from collections.abc import Iterable, Sequence
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
_MAX_WAITING = 16384  # octets that a peer may leave unread; then we read no more of his, either
_MAX_UNSENT = 131072  # when we give him up
_MAX_HELD = 16 << 20  # octets of messages that aren't whole yet, all streams together
_MAX_CONNECTIONS = 1000
_MAX_HANDSHAKES = 100  # of those, streams that peers open and that aren't there yet
_DESCRIPTORS = 100  # kept back: for datagrams, files, look-ups and commands
_BACKLOG = 256
_RETRY_S = 0.1
_NETWORK = 8  # octets of an IPv6 address that a network has: one machine takes all addresses in it
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
        self._listeners: list[tuple[bytes, socket.socket, asyncio.Task[None]]] = []
        self.connections: dict[Flow, Connection] = {}
        self._max_connections = _connections_allowed()
        self._held = 0  # octets of messages that aren't whole yet
        self.buffer = bytearray(_READ)  # one for all: it is emptied before anyone else reads

    @property
    def has_certificate(self) -> bool:
        """Can we listen for TLS?"""
        return self._tls is not None and self._tls.server is not None

    async def listen(self, transport: bytes, family: int, address: Any) -> Any:
        """Accept streams at an address; returns it, its port filled in. Raises OSError."""
        sock = bound_socket(family, socket.SOCK_STREAM, address)
        sock.listen(_BACKLOG)
        self._listeners.append((transport, sock, self._loop.create_task(self._accept(transport, sock))))
        return sock.getsockname()

    async def _accept(self, kind: bytes, listener: socket.socket) -> None:
        """Take in who comes. A stream counts from here on, not only when its handshake is done."""
        while True:
            try:
                sock, address = await self._loop.sock_accept(listener)
            except OSError:  # he has gone already, or descriptors have run out
                await asyncio.sleep(_RETRY_S)
                continue
            flow = (kind, without_scope(address[0]).encode(), address[1])
            connection = Connection(self, flow, is_ours=False)
            self.opened(connection)
            connection.opening = self._loop.create_task(self._welcome(connection, sock))
            await asyncio.sleep(0)  # others have their turn

    async def _welcome(self, connection: "Connection", sock: socket.socket) -> None:
        security: dict[str, Any] = {}
        if connection.flow[0] == b"TLS":
            assert self._tls and self._tls.server, "the caller has seen to it"
            security = {"ssl": self._tls.server, "ssl_handshake_timeout": _HANDSHAKE_S}
        try:
            await self._loop.connect_accepted_socket(lambda: connection, sock, **security)
        except OSError as error:  # a handshake that failed or took too long
            self.lost(connection, reason_of(error))
        finally:
            connection.opening = None

    async def close(self) -> None:
        """Let written octets leave, then close everything."""
        for _, sock, task in self._listeners:
            task.cancel()
            sock.close()
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
            connection = Connection(self, flow, is_ours=True)
            self.opened(connection)
            connection.opening = self._loop.create_task(self._connect(connection))
        connection.write(data)

    def sent_by(self, flow: Flow) -> tuple[str, bytes]:
        """Return (host, host:port) of ours as the end of a flow sees us; raises OSError where it can't be reached."""
        host = local_host(numeric(with_zone(flow[1], self._zones), flow[2])[1])
        ports = [sock.getsockname()[1] for kind, sock, _ in self._listeners if kind == flow[0]]
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
        finally:
            connection.opening = None

    def check_server(self, transport: asyncio.Transport, flow: Flow) -> str:
        """Return why the server at the other end is not the one that flow is to lead to, or nothing."""
        name = flow[3] if len(flow) > 3 else flow[1]
        return self._tls.check(transport.get_extra_info("ssl_object"), name.decode()) if self._tls else ""

    def opened(self, connection: "Connection") -> None:
        """Keep a connection; others have to go for it when there are too many."""
        twin = self.connections.pop(connection.flow, None)
        if twin:
            twin.abort()  # its peer started anew, on the same port
        if len(self.connections) >= self._max_connections:
            self._give_up(list(self.connections.values()))
        shaking = [one for one in self.connections.values() if one.opening and not one.is_ours]
        if len(shaking) >= _MAX_HANDSHAKES:
            self._give_up(shaking)
        self.connections[connection.flow] = connection

    def _give_up(self, candidates: Sequence["Connection"]) -> None:
        """Close the one of these that we can spare: strangers first, then who has authenticated, ours last.

        It is the one that was silent for longest, of the address that has most of them: nobody can take them all.
        """
        least = min((one.is_ours, one.is_known) for one in candidates)
        candidates = [one for one in candidates if (one.is_ours, one.is_known) == least]
        greediest, _ = Counter(one.source for one in candidates).most_common(1)[0]
        victim = min((one for one in candidates if one.source == greediest), key=lambda one: one.active_at)
        del self.connections[victim.flow]
        self._loop.call_soon(self._owner.failed, victim.flow, "closed, as there were too many streams")
        victim.abort()

    def know(self, flow: Flow) -> None:
        """Who is at the other end has authenticated: strangers go before him."""
        if flow in self.connections:
            self.connections[flow].is_known = True

    def hold(self, octets: int) -> None:
        """Count octets that wait in a framer, or wait no more; beyond the limit somebody has to go."""
        self._held += octets
        if octets > 0 and self._held > _MAX_HELD:
            self._give_up([one for one in self.connections.values() if one.pending])

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

    def __init__(self, streams: Streams, flow: Flow, is_ours: bool) -> None:
        """is_ours: we open it, for requests of our own; else a peer did."""
        self.flow = flow
        self.is_ours = is_ours
        self.is_known = False  # the peer has authenticated
        self.source = b"" if is_ours else _source_of(flow[1])
        self.opening: asyncio.Task[None] | None = None  # while it isn't there
        self.active_at = asyncio.get_running_loop().time()  # when the last whole message or ping came
        self._streams = streams
        self._refusal = ""
        self._framer = Framer(reader=Message)
        self._transport: asyncio.Transport | None = None
        self._unsent: list[bytes] = []  # written before the connection was there

    @property
    def pending(self) -> int:
        """Octets of a message that isn't whole yet."""
        return self._framer.pending

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(_MAX_WAITING)
        if self.is_ours and self.flow[0] == b"TLS":
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
        before = self._framer.pending
        frames = self._framer.feed(bytes(memoryview(self._streams.buffer)[:nbytes]))
        self._streams.hold(self._framer.pending - before)
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
        self._let_go()
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
            self.abort()

    def _let_go(self) -> None:
        """Count what waits in the framer no more."""
        self._streams.hold(-self._framer.pending)
        self._framer.pending = 0

    def abort(self) -> None:
        self._let_go()
        if self._transport:
            self._transport.abort()
        elif self.opening:
            self.opening.cancel()


def _source_of(host: bytes) -> bytes:
    """Return what one peer can't have many of: an IPv4 address, or the network of an IPv6 address."""
    if b":" not in host:
        return host
    return ipaddress.IPv6Address(host.decode()).packed[:_NETWORK]


def _connections_allowed() -> int:
    """Raise the limit on open files as far as we may, and return how many streams fit below it."""
    try:
        import resource
    except ImportError:  # not on Windows
        return _MAX_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_CONNECTIONS + _DESCRIPTORS
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(16, min(_MAX_CONNECTIONS, soft - _DESCRIPTORS))
