"""Streams that the core asks for. Loaded by a board that uses TCP or TLS; those that peers open: mote.listener."""

import asyncio

from agent.clock import until
from agent.compat import const
from agent.stream import Framer
from mote.net.sockets import now

_MAX_MESSAGE = const(2048)  # octets
_CONNECT_S = const(10)


class Connection:
    """One flow's stream, and what is still to be written to it."""

    stream = None  # until it is connected
    opening = None  # the task that connects
    unsent = b""
    flushing = False
    heard_at = None  # when a peer's stream brought something whole; None for one that we opened


class Streams:
    """Keeps one connection for each flow, opens it when there is something to send, and reads until it ends."""

    def __init__(self, shell: object) -> None:
        self.shell = shell
        self.connections = {}

    def close(self) -> None:
        """Close every connection."""
        for connection in self.connections.values():
            if connection.stream is not None:
                connection.stream.s.close()

    def write(self, flow: tuple, data: bytes) -> None:
        """Send data on the flow's connection, opened first if need be; the core hears of a connection that fails."""
        connection = self.connections.get(flow)
        if connection is None:
            self.connections[flow] = connection = Connection()
            connection.unsent = data
            try:
                asyncio.create_task(self._give_up(flow, connection))
                connection.opening = asyncio.create_task(self._connect(flow, connection))
            except MemoryError:
                del self.connections[flow]
                raise
            return
        if connection.stream is not None and not connection.flushing:
            asyncio.create_task(self._flush(flow, connection))
        connection.unsent += data  # last: who is told of a MemoryError writes it again

    def accept(self, flow: tuple, stream: object) -> None:
        """Read a stream that a peer has opened."""
        connection = Connection()
        connection.stream = stream
        connection.heard_at = now()
        asyncio.create_task(self.read(flow, connection))
        self.connections[flow] = connection

    def make_room(self) -> bool:
        """Close the peer's stream that was silent for longest: idle ones keep nobody out. False if all are ours."""
        oldest = None
        for flow, connection in self.connections.items():
            at = connection.heard_at
            if at is not None and (oldest is None or until(at, oldest[1].heard_at) < 0):
                oldest = (flow, connection)
        if oldest is None:
            return False
        self.lost(oldest[0], oldest[1], b"room was needed")
        return True

    def drop_all(self, reason: bytes) -> None:
        """Close every connection, and tell the core."""
        for flow, connection in list(self.connections.items()):
            self.lost(flow, connection, reason)

    def hang_up(self, flow: tuple) -> None:
        """Close the stream of a flow that the core has found dead."""
        connection = self.connections.get(flow)
        if connection is not None:
            self.lost(flow, connection, b"no answer to pings")

    async def _connect(self, flow: tuple, connection: Connection) -> None:
        try:
            if flow[0] == b"TLS":
                from mote.net.tls import connect

                connection.stream = await connect(flow, self.shell)
            else:
                connection.stream, _ = await asyncio.open_connection(flow[1].decode(), flow[2])
            asyncio.create_task(self.read(flow, connection))
        except Exception as error:
            await self._failed(flow, connection, error)
            return
        await self._flush(flow, connection)

    async def _give_up(self, flow: tuple, connection: Connection) -> None:
        await asyncio.sleep(_CONNECT_S)
        if connection.stream is None and connection.opening is not None:
            connection.opening.cancel()
            self.lost(flow, connection, b"no connection in time")

    async def _flush(self, flow: tuple, connection: Connection) -> None:
        connection.flushing = True
        try:
            while connection.unsent:
                data, connection.unsent = connection.unsent, b""
                connection.stream.write(data)
                await connection.stream.drain()
        except Exception as error:
            await self._failed(flow, connection, error)
        connection.flushing = False

    async def _failed(self, flow: tuple, connection: Connection, error: Exception) -> None:
        self.lost(flow, connection, str(error).encode())
        if not isinstance(error, OSError):
            await self.shell.failed(error)

    async def read(self, flow: tuple, connection: Connection) -> None:
        framer = Framer(_MAX_MESSAGE)
        try:
            while not framer.lost:
                try:
                    data = await connection.stream.read(256)
                except MemoryError as error:
                    await self.shell.failed(error)
                    continue
                if not data:
                    break
                found = framer.feed(data)
                data = None  # what is found may need the room
                for item in found:
                    if connection.heard_at is not None:
                        connection.heard_at = now()
                    try:
                        self.shell.others().receive(item, flow)
                    except Exception as error:
                        await self.shell.failed(error)
        except OSError:
            pass
        except Exception as error:
            await self.shell.failed(error)
        if connection.unsent or connection.flushing:
            await asyncio.sleep_ms(100)  # the answer that says why
        self.lost(flow, connection, b"the connection has ended")

    def lost(self, flow: tuple, connection: Connection, reason: bytes) -> None:
        """Close a connection that has ended or is dead, and tell the core, unless that was done."""
        if self.connections.get(flow) is not connection:
            return
        shell = self.shell
        end = (lambda: shell.user_agent.failed(flow, now(), reason),)
        del self.connections[flow]
        if connection.stream is not None:
            connection.stream.s.close()
        shell.carry_out(end)
