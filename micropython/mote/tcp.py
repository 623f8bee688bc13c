"""Streams: connections that the core asks for and those that peers open. Loaded by a board that uses TCP or TLS."""

import asyncio
import gc
import socket
from asyncio.stream import Stream

from agent.clock import until
from agent.compat import const
from agent.stream import Framer
from mote.shell import address_of, host_port_of, now, readable

_MAX_MESSAGE = const(2048)  # octets
_MAX_CONNECTIONS = const(4)
_CONNECT_S = const(10)


class Connection:
    """One flow's stream, and what is still to be written to it."""

    def __init__(self) -> None:
        self.stream = None  # until it is connected
        self.unsent = b""
        self.flushing = False
        self.heard_at = None  # when a peer's stream brought something whole; None for one that we opened


class Streams:
    """Keeps one connection for each flow, opens it when there is something to send, and reads until it ends."""

    def __init__(self, shell: object) -> None:
        self._shell = shell
        self._connections = {}
        self._server = None

    async def listen(self, host: str, port: int) -> None:
        """Accept connections at (host, port). asyncio.start_server knows IPv6 only since MicroPython 1.27."""
        self._server = server = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(address_of(host.encode(), port))
        server.listen(5)
        server.setblocking(False)
        while True:
            await readable(server)
            try:
                sock, address = server.accept()
            except (OSError, MemoryError):
                continue  # it has gone again, or will have to
            sock.setblocking(False)
            asyncio.create_task(self._accepted(Stream(sock), address))

    def close(self) -> None:
        """Close every connection and the listening socket."""
        if self._server is not None:
            self._server.close()
        for connection in self._connections.values():
            if connection.stream is not None:
                connection.stream.s.close()

    def write(self, flow: tuple, data: bytes) -> None:
        """Send data on the flow's connection, opened first if need be; the core hears of a connection that fails."""
        connection = self._connections.get(flow)
        if connection is None:
            if self._shell.locate(flow):
                return
            self._connections[flow] = connection = Connection()
            asyncio.create_task(self._connect(flow, connection))
        connection.unsent += data
        if connection.stream is not None and not connection.flushing:
            asyncio.create_task(self._flush(flow, connection))

    async def _connect(self, flow: tuple, connection: Connection) -> None:
        try:
            if flow[0] == b"TLS":
                from mote.tls import connect

                connection.stream = await asyncio.wait_for(connect(flow, self._shell), _CONNECT_S)
            else:
                opening = asyncio.open_connection(flow[1].decode(), flow[2])
                connection.stream, _ = await asyncio.wait_for(opening, _CONNECT_S)
        except asyncio.TimeoutError:
            self.lost(flow, b"no connection in time")
            return
        except OSError as error:
            self.lost(flow, str(error).encode())
            return
        asyncio.create_task(self._read(flow, connection))
        await self._flush(flow, connection)

    async def _accepted(self, stream: object, address: object) -> None:
        flow = (b"TCP",) + host_port_of(address)
        if len(self._connections) >= _MAX_CONNECTIONS and not self._make_room():
            stream.s.close()
            return
        self._connections[flow] = connection = Connection()
        connection.stream = stream
        connection.heard_at = now()
        await self._read(flow, connection)

    def _make_room(self) -> bool:
        """Close the peer's stream that was silent for longest: idle ones keep nobody out. False if all are ours."""
        oldest = None
        for flow, connection in self._connections.items():
            at = connection.heard_at
            if at is not None and (oldest is None or until(at, oldest[0]) < 0):
                oldest = (at, flow)
        if oldest is None:
            return False
        self.lost(oldest[1], b"room was needed")
        return True

    async def _flush(self, flow: tuple, connection: Connection) -> None:
        connection.flushing = True
        try:
            while connection.unsent:
                data, connection.unsent = connection.unsent, b""
                connection.stream.write(data)
                await connection.stream.drain()
        except OSError as error:
            self.lost(flow, str(error).encode())
        connection.flushing = False

    async def _read(self, flow: tuple, connection: Connection) -> None:
        framer = Framer(_MAX_MESSAGE)
        try:
            while not framer.lost:
                data = await connection.stream.read(512)
                if not data:
                    break
                if data[:9] != b"SIP/2.0 2":
                    gc.collect()  # as in mote.shell
                for item in framer.feed(data):
                    if connection.heard_at is not None:
                        connection.heard_at = now()
                    self._shell.carry_out(self._shell.user_agent.receive(item, flow, now()))
        except OSError:
            pass
        if connection.unsent or connection.flushing:
            await asyncio.sleep_ms(100)  # the answer that says why
        self.lost(flow, b"the connection has ended")

    def lost(self, flow: tuple, reason: bytes) -> None:
        """Close the connection of a flow that has ended or is dead, and tell the core."""
        connection = self._connections.pop(flow, None)
        if connection is not None:
            if connection.stream is not None:
                connection.stream.s.close()
            self._shell.carry_out(self._shell.user_agent.failed(flow, now(), reason))
