"""The shell around agent.user_agent.UserAgent on CPython: sockets, names and time for `inbox` and `send`.

One asyncio loop. Datagrams are drained with add_reader: asyncio's own DatagramProtocol reads each into a 256 KiB
buffer and carried a third to a tenth of it. Streams are asyncio protocols, so that TLS is one more argument. What came
in during one turn of the loop reaches the application as one batch, to be stored in one commit and then answered.

The flow of a datagram is (b"UDP", host, port, local socket), for IPv6 with flow label and scope behind, so that an
answer leaves from where its request came to. The flow of a stream is (b"TCP" or b"TLS", host, port), for TLS with the
name behind that the certificate has to be for. A flow that the core made of a name is looked up, and the core told
where it leads.
"""

import argparse
import asyncio
import getpass
import os
import socket
import ssl
import struct
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sipmote.agent.errors import ParseError, UsageError
from sipmote.agent.events import Outcome, Transmit
from sipmote.agent.notices import Dropped, Provisional, Resolve
from sipmote.agent.registration.events import FlowLost, Registered, RegistrationLost
from sipmote.agent.stream import Framer
from sipmote.agent.uas.events import MessageReceived
from sipmote.agent.uri import Uri, bracketed, parse_host_port, parse_uri
from sipmote.agent.user_agent import UserAgent
from sipmote.agent.wall_clock import NTP
from sipmote.errors import ToolError
from sipmote.sip import tls
from sipmote.sip.reader import Message
from sipmote.sip.resolver import Resolver
from sipmote.sip.tls import Tls

Flow = tuple[Any, ...]
Answer = tuple[int, bytes]  # a final status, and the phrase where the usual one (b"") won't do

IDLE_S = 180.0  # a stream that brings no whole message or ping for so long is closed; well above 64*T1 = 32 s
_CONNECT_S = 20.0  # below Timer F, so that a host that swallows SYN is reported as such
_ROUTED_S = 60.0  # how long the local socket chosen for an address is used
_BATCH = 512  # datagrams read in one turn of the loop
_MAX_DATAGRAM = 65535
_STREAM_READ = 16384
_MAX_UNSENT = 262144  # octets that a slow reader may leave with us
_MAX_CONNECTIONS = 1000
_RECEIVE_BUFFER = 4 << 20  # asked of the kernel: what comes while a commit waits for the disk
_IP_RECVERR, _IPV6_RECVERR = 11, 25  # of linux/in.h and linux/in6.h: tell an unconnected socket of ICMP errors
_STREAMS = (b"TCP", b"TLS")
_HANDSHAKE_S = 10.0


class Application(Protocol):
    """What the owner of a Shell does with what happens."""

    def take(self, batch: Sequence[MessageReceived]) -> Sequence[Answer]:
        """Take care of these messages; returns what to answer each with. They are answered on return."""

    def outcome(self, event: Outcome, trouble: str) -> None:
        """A message that was sent has its result; trouble: why its flow failed, "" when the peer or a timer spoke."""

    def provisional(self, event: Provisional) -> None:
        """A peer works on a message that was sent."""

    def dropped(self, event: Dropped) -> None:
        """Bytes came that led to nothing."""

    def registration(self, event: Registered | RegistrationLost, trouble: str) -> None:
        """A registrar has us, or has us no more; trouble as in outcome()."""


@dataclass(frozen=True)
class Bind:
    """A place to listen at: transport b"UDP", b"TCP" or b"TLS", host without brackets, port (0: any free one)."""

    transport: bytes
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.transport.decode().lower()}:{place(self.host, self.port)}"


def parse_bind(text: str) -> Bind:
    """Read "udp:HOST:PORT", "tcp:HOST:PORT" or "tls:HOST:PORT", IPv6 in brackets: the type of a --bind argument."""
    transport, _, rest = text.partition(":")
    try:
        host, port = parse_host_port(rest.encode())
    except ParseError:
        port = None
    if transport not in ("udp", "tcp", "tls") or port is None:
        raise argparse.ArgumentTypeError(
            f"{text}: udp:HOST:PORT, tcp:HOST:PORT or tls:HOST:PORT was expected, IPv6 in brackets"
        )
    return Bind(transport.upper().encode(), host.decode(), port)


def uri_of(option: str, text: str) -> bytes:
    """Return the URI that an option was given; raises UsageError that names the option."""
    uri = os.fsencode(text)
    try:
        parse_uri(uri)
    except ParseError as error:
        raise UsageError(f"{option} {text}: {error.detail}, such as sip:192.0.2.1") from None
    return uri


def place(host: str, port: int) -> str:
    """Return host:port for people, IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def user_name() -> bytes:
    """Return the name of the person at this computer as the user part of a URI."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = ""
    return "".join([c for c in name if c.isascii() and (c.isalnum() or c in "-_.")]).encode() or b"sipmote"


def now_ms() -> int:
    """Return the core's `now`."""
    return time.monotonic_ns() // 1_000_000 & 0x3FFFFFFF


class Shell:
    """Owns the sockets of one UserAgent and carries out what it says."""

    def __init__(
        self,
        user_agent: UserAgent,
        application: Application,
        tls: Tls | None = None,
        resolver: Resolver | None = None,
        proxy: bytes | None = None,
        idle_s: float = IDLE_S,
    ) -> None:
        """Make a shell with nothing open; call it within the running loop that is to serve it.

        proxy: the URI that the user agent was given as such.
        """
        self._ua = user_agent
        self._application = application
        self._tls = tls
        self._idle_s = idle_s
        self._loop = asyncio.get_running_loop()
        self._udp: list[socket.socket] = []
        self._listeners: list[tuple[bytes, asyncio.Server]] = []
        self._connections: dict[Flow, _Connection] = {}
        self._max_connections = _connections_allowed()
        self.stream_buffer = bytearray(_STREAM_READ)
        self._routes: dict[Flow, tuple[float, socket.socket, Any]] = {}  # UDP flow -> (good until, socket, address)
        self._resolver = resolver or Resolver()
        self._proxy = proxy
        self._locating: set[bytes] = set()  # URIs that are being looked up
        self._tasks: set[asyncio.Task[None]] = set()
        self._batch: list[MessageReceived] = []
        self._closing: list[_Connection] = []
        self._settling = False
        self._timer: asyncio.TimerHandle | None = None
        self._sweeper: asyncio.TimerHandle
        self._sweep()

    # Opening and closing

    async def open(self, binds: Sequence[Bind]) -> list[Bind]:
        """Listen at binds; returns where we do, ports filled in. Port 0 gives UDP and TCP the same number if it can.

        Raises ToolError for a port that is in use or an address that isn't ours.
        """
        opened: dict[int, Bind] = {}  # by position in binds; streams first, for TCP's free ports are the scarcer
        for i, bind in sorted(enumerate(binds), key=lambda place: place[1].transport == b"UDP"):
            if bind.transport == b"TLS" and not (self._tls and self._tls.server):
                raise ToolError(f"can't listen at {bind} without a certificate: add --tls-cert FILE")
            pair = {b"UDP", b"TCP"}
            twins = [b.port for b in opened.values() if bind.port == 0 and {b.transport, bind.transport} == pair]
            twin = twins[0] if twins else 0
            try:
                opened[i] = await self._listen(bind, twin or bind.port)
            except OSError as error:
                if not twin:
                    raise ToolError(f"can't listen at {bind}: {reason_of(error)}; {_remedy(bind)}") from error
                opened[i] = await self._listen(bind, 0)
        return [opened[i] for i in range(len(binds))]

    async def _listen(self, bind: Bind, port: int) -> Bind:
        kind = socket.SOCK_DGRAM if bind.transport == b"UDP" else socket.SOCK_STREAM
        found = await self._loop.getaddrinfo(bind.host, port, type=kind, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        if kind == socket.SOCK_DGRAM:
            sock = self._open_udp(family, address)
        else:
            sock = _bound_socket(family, kind, address)
            security: dict[str, Any] = {}
            if bind.transport == b"TLS":
                assert self._tls and self._tls.server, "open() has seen to it"
                security = {"ssl": self._tls.server, "ssl_handshake_timeout": _HANDSHAKE_S}
            server = await self._loop.create_server(
                lambda: _Connection(self, None, bind.transport), sock=sock, backlog=256, **security
            )
            self._listeners.append((bind.transport, server))
        host, port = sock.getsockname()[:2]
        return Bind(bind.transport, host, port)

    def _open_udp(self, family: int, address: Any) -> socket.socket:
        sock = _bound_socket(family, socket.SOCK_DGRAM, address)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        if sys.platform == "linux":
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
            else:
                sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        self._loop.add_reader(sock, self._read_udp, sock)
        self._udp.append(sock)
        return sock

    async def close(self) -> None:
        """Answer what has come, let written bytes leave for a second, close everything."""
        self._settle()
        self._sweeper.cancel()
        for task in self._tasks:  # names to resolve, connections to open
            task.cancel()
        for _, server in self._listeners:
            server.close()
        for connection in list(self._connections.values()):
            connection.close()
        deadline = self._loop.time() + 1.0
        while self._connections and self._loop.time() < deadline:
            await asyncio.sleep(0.01)
        for connection in list(self._connections.values()):
            connection.abort()
        for sock in self._udp:
            self._loop.remove_reader(sock)
            sock.close()
        if self._timer:
            self._timer.cancel()

    # Inputs of the core

    def _read_udp(self, sock: socket.socket) -> None:
        """Hand over the datagrams that wait, a batch at most; the loop comes back for the rest."""
        now = now_ms()
        for count in range(_BATCH):
            try:
                data, address = sock.recvfrom(_MAX_DATAGRAM)
            except BlockingIOError:
                if not count:  # woken for an ICMP error alone
                    self._read_errors(sock)
                return
            except OSError:
                self._read_errors(sock)
                continue
            self.carry_out(self._ua.receive(data, _udp_flow(sock, address), now))

    def _read_errors(self, sock: socket.socket) -> None:
        """Take the ICMP errors that wait at sock (Linux only) and fail what went where they came from."""
        while sys.platform == "linux":
            try:
                _, ancillary, _, address = sock.recvmsg(0, 256, socket.MSG_ERRQUEUE)
            except OSError:
                return
            code = struct.unpack_from("=I", ancillary[0][2])[0] if ancillary else 0
            text = reason_of(OSError(code, os.strerror(code)))
            named = [flow for flow, route in self._routes.items() if route[1:] == (sock, address)]
            for flow in named or [_udp_flow(sock, address)]:
                self.fail(flow, text)

    def received(self, frames: Iterable[Any], flow: Flow) -> None:
        """Hand over what a stream's framer cut out."""
        now = now_ms()
        for frame in frames:
            self.carry_out(self._ua.receive(frame, flow, now))

    def close_after_answers(self, connection: "_Connection") -> None:
        """Close a stream whose framing is lost (RFC 3261 section 18.3) when this turn's answers have been written."""
        self._closing.append(connection)
        self.carry_out(())

    def fail(self, flow: Flow, text: str) -> None:
        """Tell the core that flow has failed, and why those whose messages were on it."""
        self._routes.pop(flow, None)
        self.carry_out(self._ua.failed(flow, now_ms()), text)

    def _wake(self) -> None:
        self._timer = None
        self.carry_out(self._ua.wake(now_ms()))

    # Outputs of the core

    def carry_out(self, events: Iterable[Any], trouble: str = "") -> None:
        """Do what the core says, in order; messages wait for the end of this turn of the loop.

        trouble: what was wrong with a flow, if that is what these events come from.
        """
        for event in events:
            if type(event) is Transmit:
                self._transmit(event.data, event.flow)
            elif type(event) is MessageReceived:
                self._batch.append(event)
            elif type(event) is Outcome:
                self._application.outcome(event, trouble)
            elif type(event) is Provisional:
                self._application.provisional(event)
            elif type(event) is Dropped:
                self._application.dropped(event)
            elif type(event) is Registered or type(event) is RegistrationLost:
                self._application.registration(event, trouble)
            elif type(event) is Resolve:
                self._locate(event.uri)
            elif type(event) is FlowLost:
                self._hang_up(event.flow)
        if not self._settling:
            self._settling = True
            self._loop.call_soon(self._settle)

    def _settle(self) -> None:
        """End a turn: hand over the batch, answer it, close what lost its framing, set the timer."""
        self._settling = False
        batch, self._batch = self._batch, []
        if batch:
            now = now_ms()
            for event, (status, reason) in zip(batch, self._application.take(batch), strict=True):
                self.carry_out(self._ua.respond(event, status, now, reason))
        closing, self._closing = self._closing, []
        for connection in closing:
            connection.close()
        if self._timer:
            self._timer.cancel()
        wait_ms = self._ua.wait_ms(now_ms())
        self._timer = None if wait_ms is None else self._loop.call_later(wait_ms / 1000, self._wake)

    def _transmit(self, data: bytes, flow: Flow) -> None:
        if flow[0] == b"UDP" and len(flow) > 3:
            self._send_datagram(data, flow, flow[3], (flow[1].decode(), flow[2], *flow[4:]))
        elif flow[0] in _STREAMS:
            self._stream(flow).write(data)
        else:
            try:
                _, sock, address = self._route(flow)
            except OSError as error:
                self.fail(flow, reason_of(error))
            else:
                self._send_datagram(data, flow, sock, address)

    def _send_datagram(self, data: bytes, flow: Flow, sock: socket.socket, address: Any) -> None:
        for attempt in (1, 2):
            try:
                sock.sendto(data, address)
                return
            except BlockingIOError:
                return  # the kernel's buffer is full: as good as lost on the way, and the timers make up for that
            except OSError as error:
                self._read_errors(sock)  # the error may be about a datagram before this one, to somebody else
                if attempt == 2:
                    self.fail(flow, reason_of(error))

    # Finding the way

    async def reach(self, uri: Uri) -> str:
        """Find out where a URI leads and approach() it.

        Raises OSError for a name that can't be resolved and an address that can't be reached, ParseError for a URI
        that leads nowhere by its form.
        """
        return self._approach_first(await self._resolver.flows(uri))

    def _approach_first(self, flows: Sequence[Flow]) -> str:
        """Approach the first flow that is alive and that this machine has a route to."""
        trouble = OSError("no address")
        for flow in self._ua.live_first(list(flows), now_ms()):
            try:
                return self.approach(flow)
            except OSError as error:
                trouble = error
        raise trouble

    def approach(self, flow: Flow) -> str:
        """Tell the core our address as seen from the end of a flow it is about to send on; returns the host.

        Raises OSError for an address that can't be reached.
        """
        if flow[0] == b"UDP":
            if len(flow) > 3:
                sock, address = flow[3], (flow[1].decode(), flow[2], *flow[4:])
            else:
                _, sock, address = self._route(flow)
            host = _local_host(address, sock)
            ports = [sock.getsockname()[1]]
        else:
            host = _local_host((flow[1].decode(), flow[2]))
            ports = [server.sockets[0].getsockname()[1] for kind, server in self._listeners if kind == flow[0]]
        self._ua.move_to(bracketed(host.encode()) + (b":%d" % ports[0] if ports else b""))
        return host

    def _route(self, flow: Flow) -> tuple[float, socket.socket, Any]:
        """Return the local socket and the address for a flow that the core made from a URI."""
        if flow not in self._routes:
            found = socket.getaddrinfo(flow[1], flow[2], type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
            family, _, _, _, address = found[0]
            self._routes[flow] = (self._loop.time() + _ROUTED_S, self._udp_socket_for(family, address), address)
        return self._routes[flow]

    def _udp_socket_for(self, family: int, address: Any) -> socket.socket:
        """Choose the bound socket whose address leads to this one, or open another."""
        ours = _local_host(address)
        for sock in self._udp:
            if sock.family == family and sock.getsockname()[0] in (ours, "0.0.0.0", "::"):
                return sock
        return self._open_udp(family, ("::" if family == socket.AF_INET6 else "0.0.0.0", 0))

    def _locate(self, uri: bytes) -> None:
        """Look up where a URI leads, unless that is being done already."""
        if uri not in self._locating:
            self._locating.add(uri)
            self._start(self._relocate(uri))

    async def _relocate(self, uri: bytes) -> None:
        trouble = ""
        flows: list[Flow] = []
        try:
            flows = await self._resolver.flows(parse_uri(uri))
            self._approach_first(flows)
        except (OSError, ParseError) as error:
            trouble = reason_of(error)
            flows = []
        self._locating.discard(uri)
        self.carry_out(self._ua.resolved(uri, flows, now_ms(), trouble.encode()), trouble)

    # Streams

    def _stream(self, flow: Flow) -> "_Connection":
        """Return the connection of flow; one that isn't there is opened, and takes bytes meanwhile."""
        connection = self._connections.get(flow)
        if connection is None:
            connection = _Connection(self, flow)
            self.opened(connection)
            self._start(self._connect(connection))
        return connection

    async def _connect(self, connection: "_Connection") -> None:
        transport, host, port, *name = connection.flow
        security: dict[str, Any] = {}
        if transport == b"TLS":
            client = self._tls.client if self._tls else ssl.create_default_context()
            expected = (name or [host])[0].decode()
            security = {"ssl": client, "server_hostname": expected, "ssl_handshake_timeout": _HANDSHAKE_S}
        opening = self._loop.create_connection(lambda: connection, host.decode(), port, **security)
        try:
            await asyncio.wait_for(opening, _CONNECT_S)
        except OSError as error:  # a TimeoutError among them
            self.lost(connection, reason_of(error))

    def check_server(self, transport: asyncio.Transport) -> str:
        """Return why the server at the other end is not the one that is pinned, or nothing."""
        certificate: bytes = transport.get_extra_info("ssl_object").getpeercert(True)
        return self._tls.check(certificate) if self._tls else ""

    def opened(self, connection: "_Connection") -> None:
        """Keep a connection; over the limit the one that was silent for longest has to go."""
        twin = self._connections.pop(connection.flow, None)
        if twin:
            twin.abort()  # its peer started anew, on the same port
        while len(self._connections) >= self._max_connections:
            oldest = min(self._connections.values(), key=lambda c: c.active_at)
            del self._connections[oldest.flow]
            oldest.abort()
        self._connections[connection.flow] = connection

    def lost(self, connection: "_Connection", text: str) -> None:
        """Forget a connection that has ended."""
        if self._connections.get(connection.flow) is connection:
            del self._connections[connection.flow]
            self.fail(connection.flow, text)

    def _hang_up(self, flow: Flow) -> None:
        """Close a stream of which the core knows that it is dead."""
        connection = self._connections.pop(flow, None)
        if connection:
            connection.abort()

    def _sweep(self) -> None:
        """Close idle streams and forget old routes, now and then; keep the core's calendar right."""
        assert self._ua.clock, "hosts know the time"
        self._ua.clock.set(int(time.time()), NTP, now_ms())
        now = self._loop.time()
        for connection in list(self._connections.values()):
            if now - connection.active_at > self._idle_s:
                connection.abort()
        for flow in [flow for flow, route in self._routes.items() if route[0] < now]:
            del self._routes[flow]
        self._sweeper = self._loop.call_later(self._idle_s / 10, self._sweep)

    def _start(self, coroutine: Any) -> None:
        task: asyncio.Task[None] = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Connection(asyncio.BufferedProtocol):
    """One stream, accepted (flow None) or opened by us, with its framer."""

    def __init__(self, shell: Shell, flow: Flow | None, kind: bytes = b"") -> None:
        """kind: the transport of a stream that was accepted."""
        self._shell = shell
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
            self.flow = (self._kind, _plain(host), port)
            self._shell.opened(self)
        elif self.flow[0] == b"TLS":
            self._refusal = self._shell.check_server(transport)
        if self._refusal:
            transport.abort()
            return
        for data in self._unsent:
            transport.write(data)
        self._unsent = []

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._shell.stream_buffer  # one for all: it is emptied before anyone else reads

    def buffer_updated(self, nbytes: int) -> None:
        frames = self._framer.feed(bytes(memoryview(self._shell.stream_buffer)[:nbytes]))
        if frames:
            self.active_at = asyncio.get_running_loop().time()
            self._shell.received(frames, self.flow)
        if self._framer.lost:
            self._shell.close_after_answers(self)

    def pause_writing(self) -> None:
        """The peer doesn't read its answers: take no more requests from it until it does."""
        if self._transport and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport and not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._shell.lost(self, self._refusal or (reason_of(exc) if exc else "the peer closed the connection"))

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
            self._shell.lost(self, "closed before it was open")

    def abort(self) -> None:
        if self._transport:
            self._transport.abort()


def reason_of(error: BaseException) -> str:
    """Return what went wrong, in the operating system's words and without Python's."""
    if isinstance(error, ssl.SSLError):
        return tls.reason_of(error)
    if isinstance(error, TimeoutError):
        return "no connection in time"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, ConnectionAbortedError) and error.errno is None:  # asyncio's, not the system's
        return "no TLS handshake in time: is TLS spoken at that port?"
    return getattr(error, "strerror", None) or str(error)


def _remedy(bind: Bind) -> str:
    other = Bind(bind.transport, bind.host, bind.port + 2 if bind.port else 0)
    return f"stop the program that has it or use an address of this machine, e.g. --bind {other}"


def _bound_socket(family: int, kind: int, address: Any) -> socket.socket:
    sock = socket.socket(family, kind)
    try:
        sock.setblocking(False)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # [::] and 0.0.0.0 side by side
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


def _plain(host: str) -> bytes:
    """Return a socket's host without the scope of a link-local address, which means nothing elsewhere."""
    return host.partition("%")[0].encode()


def _udp_flow(sock: socket.socket, address: Any) -> Flow:
    return (b"UDP", _plain(address[0]), address[1], sock, *address[2:])


def _local_host(address: Any, sock: socket.socket | None = None) -> str:
    """Return our address as it is seen from a peer's address; connecting a UDP socket sends nothing."""
    if sock is not None and sock.getsockname()[0] not in ("0.0.0.0", "::"):
        host: str = sock.getsockname()[0]
    else:
        with socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(address)
            host = probe.getsockname()[0]
    return host.partition("%")[0]


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
