"""Datagrams: bound sockets, which of them leads to an address, and the errors that ICMP brings.

They are drained with add_reader: asyncio's own DatagramProtocol reads each into a 256 KiB buffer and carried a third to
a tenth of it.
"""

import asyncio
import os
import socket
import struct
import sys
from typing import Any

from sipmote.agent.uri import bracketed
from sipmote.sip.places import Flow, FlowOwner, Zones, with_zone, without_scope
from sipmote.sip.reasons import reason_of

_ROUTED_S = 60.0  # how long the local socket chosen for an address is used
_BATCH = 512  # datagrams read in one turn of the loop
_BATCH_OCTETS = 1 << 20  # of them: they wait for the end of the turn
_MAX_DATAGRAM = 65535
_RECEIVE_BUFFER = 4 << 20  # asked of the kernel: what comes while a commit waits for the disk
_IP_RECVERR, _IPV6_RECVERR = 11, 25  # of linux/in.h and linux/in6.h: tell an unconnected socket of ICMP errors


class UdpSockets:
    """The sockets of a shell that carry datagrams, at the places where it listens and one more where none leads on."""

    def __init__(self, owner: FlowOwner, zones: Zones) -> None:
        self._owner = owner
        self._zones = zones
        self._loop = asyncio.get_running_loop()
        self._sockets: list[socket.socket] = []
        self._routes: dict[Flow, tuple[float, socket.socket, Any]] = {}  # flow -> (good until, socket, address)

    def open(self, family: int, address: Any) -> socket.socket:
        """Bind a socket and read from it; raises OSError."""
        sock = bound_socket(family, socket.SOCK_DGRAM, address)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        if sys.platform == "linux":
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
            else:
                sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        self._loop.add_reader(sock, self._read, sock)
        self._sockets.append(sock)
        return sock

    def close(self) -> None:
        """Close all of them."""
        for sock in self._sockets:
            self._loop.remove_reader(sock)
            sock.close()

    def forget(self, flow: Flow) -> None:
        """Choose a socket anew the next time: this flow has failed."""
        self._routes.pop(flow, None)

    def forget_old_routes(self) -> None:
        """Choose sockets anew, now and then: interfaces come and go."""
        now = self._loop.time()
        for flow in [flow for flow, route in self._routes.items() if route[0] < now]:
            del self._routes[flow]

    def send(self, data: bytes, flow: Flow) -> None:
        """Send a datagram, from the socket of its flow or one that leads there."""
        try:
            sock, address = self._way(flow)
        except OSError as error:
            self._owner.failed(flow, reason_of(error))
            return
        for attempt in (1, 2):
            try:
                sock.sendto(data, address)
                return
            except BlockingIOError:
                return  # the kernel's buffer is full: as good as lost on the way, and the timers make up for that
            except OSError as error:
                self._read_errors(sock)  # the error may be about a datagram before this one, to somebody else
                if attempt == 2:
                    self._owner.failed(flow, reason_of(error))

    def sent_by(self, flow: Flow) -> tuple[str, bytes]:
        """Return (host, host:port) of ours as the end of a flow sees us; raises OSError where it can't be reached."""
        sock, address = self._way(flow)
        host = local_host(address, sock)
        return host, b"%s:%d" % (bracketed(host.encode()), sock.getsockname()[1])

    def _way(self, flow: Flow) -> tuple[socket.socket, Any]:
        """Return the local socket and the peer's address of a flow, which the core may have made of a URI."""
        if len(flow) > 3:
            return flow[3], (flow[1].decode(), flow[2], *flow[4:])
        if flow not in self._routes:
            family, address = numeric(with_zone(flow[1], self._zones), flow[2])
            self._routes[flow] = (self._loop.time() + _ROUTED_S, self._socket_for(family, address), address)
        return self._routes[flow][1:]

    def _socket_for(self, family: int, address: Any) -> socket.socket:
        """Choose the bound socket whose address leads to this one, or open another."""
        ours = local_host(address)
        for sock in self._sockets:
            if sock.family == family and without_scope(sock.getsockname()[0]) in (ours, "0.0.0.0", "::"):
                return sock
        return self.open(family, ("::" if family == socket.AF_INET6 else "0.0.0.0", 0))

    def _read(self, sock: socket.socket) -> None:
        """Hand over the datagrams that wait, a batch at most; the loop comes back for the rest."""
        octets = 0
        for count in range(_BATCH):
            if octets > _BATCH_OCTETS:
                return
            try:
                data, address = sock.recvfrom(_MAX_DATAGRAM)
            except BlockingIOError:
                if not count:  # woken for an ICMP error alone
                    self._read_errors(sock)
                return
            except OSError:
                self._read_errors(sock)
                continue
            octets += len(data)
            self._owner.received((data,), _flow(sock, address))

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
            for flow in named or [_flow(sock, address)]:
                self._owner.failed(flow, text)


def bound_socket(family: int, kind: int, address: Any) -> socket.socket:
    """Return a socket at this address that never blocks; raises OSError."""
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


def numeric(host: str, port: int) -> tuple[int, Any]:
    """Return family and socket address of an IP address, perhaps with a zone; raises OSError for what is none here."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
    return found[0][0], found[0][4]


def local_host(address: Any, sock: socket.socket | None = None) -> str:
    """Return our address as it is seen from a peer's address; connecting a UDP socket sends nothing."""
    if sock is not None and sock.getsockname()[0] not in ("0.0.0.0", "::"):
        host: str = sock.getsockname()[0]
    else:
        with socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(address)
            host = probe.getsockname()[0]
    return without_scope(host)


def _flow(sock: socket.socket, address: Any) -> Flow:
    return (b"UDP", without_scope(address[0]).encode(), address[1], sock, *address[2:])
