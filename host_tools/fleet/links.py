"""How a board of a fleet reaches its first hop: a UDP socket of its own, or a stream that is opened when it sends.

Nothing is sent to another host than that of the first hop, whatever answers say.
"""

import asyncio
import contextlib
import socket
from typing import Any, Protocol

from sipmote.agent.stream import Framer
from sipmote.agent.uri import bracketed
from sipmote.sip.places import Flow
from sipmote.sip.udp import bound_socket, numeric

_MAX_DATAGRAM = 65535


class Owner(Protocol):
    """Who hears of what a link brings: a board."""

    def came(self, item: Any, flow: Flow) -> None:
        """A flow has brought a datagram, or what a stream's framer has cut out."""

    def lost(self, flow: Flow) -> None:
        """A stream has ended, or couldn't be opened."""


class UdpLink:
    """Datagrams. An ICMP error is nothing to it, as to a board."""

    def __init__(self, owner: Owner, flow: Flow, bind: str) -> None:
        """flow: of the first hop. bind: our address. Raises OSError."""
        self._owner = owner
        self._flow = flow
        self._loop = asyncio.get_running_loop()
        family, self._peer = numeric(flow[1].decode(), flow[2])
        self._sock = bound_socket(family, socket.SOCK_DGRAM, (bind, 0))
        self.sent_by = b"%s:%d" % (bracketed(bind.encode()), self._sock.getsockname()[1])
        self._loop.add_reader(self._sock, self._read)

    def send(self, data: bytes, flow: Flow) -> None:
        """Send a datagram; what can't be sent is as good as lost on the way."""
        if flow[1] == self._flow[1]:
            with contextlib.suppress(OSError):
                self._sock.sendto(data, (flow[1].decode(), flow[2]))

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            data, address = self._sock.recvfrom(_MAX_DATAGRAM)
            self._owner.came(data, (b"UDP", address[0].encode(), address[1]))

    def close(self) -> None:
        """Be gone."""
        self._loop.remove_reader(self._sock)
        self._sock.close()


class TcpLink(asyncio.Protocol):
    """One stream at a time, opened by what is sent."""

    def __init__(self, owner: Owner, flow: Flow, bind: str) -> None:
        """As UdpLink."""
        self._owner = owner
        self._flow = flow
        self._bind = bind
        self._loop = asyncio.get_running_loop()
        self.sent_by = bracketed(bind.encode())
        self._stream: asyncio.Transport | None = None
        self._opening: asyncio.Task[None] | None = None
        self._framer = Framer()
        self._unsent = b""
        self._is_closed = False

    def send(self, data: bytes, flow: Flow) -> None:
        """Write to the stream, once it is open."""
        if flow[1] != self._flow[1]:
            return
        if self._stream is not None:
            self._stream.write(data)
            return
        self._unsent += data
        if self._opening is None:
            self._opening = self._loop.create_task(self._open())

    async def _open(self) -> None:
        try:
            host, port = self._flow[1].decode(), self._flow[2]
            await self._loop.create_connection(lambda: self, host, port, local_addr=(self._bind, 0))
        except OSError:
            self._end()
        finally:
            self._opening = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open: what waits may leave."""
        assert isinstance(transport, asyncio.Transport)
        self._stream = transport
        self._framer = Framer()
        transport.write(self._unsent)
        self._unsent = b""

    def data_received(self, data: bytes) -> None:
        """Hand over what is whole."""
        for item in self._framer.feed(data):
            self._owner.came(item, self._flow)
        if self._framer.lost and self._stream is not None:
            self._stream.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """The next message opens another one."""
        self._end()

    def _end(self) -> None:
        self._stream = None
        self._unsent = b""
        if not self._is_closed:
            self._owner.lost(self._flow)

    def close(self) -> None:
        """Be gone."""
        self._is_closed = True
        if self._opening is not None:
            self._opening.cancel()
        if self._stream is not None:
            self._stream.abort()
