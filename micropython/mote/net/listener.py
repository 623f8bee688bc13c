"""Streams that peers open. Loaded by a board that listens on TCP."""

import asyncio
import socket
from asyncio.stream import Stream

from agent.clock import until
from agent.compat import const
from mote.net.shell import address_of, host_port_of, now, readable
from mote.net.tcp import Connection

_MAX_CONNECTIONS = const(4)


async def listen(streams: object, host: str, port: int) -> None:
    """Accept connections at (host, port) for streams (mote.tcp.Streams).

    asyncio.start_server knows IPv6 only since MicroPython 1.27.
    """
    streams.server = server = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
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
        flow = (b"TCP",) + host_port_of(address)
        if len(streams.connections) >= _MAX_CONNECTIONS and not _make_room(streams):
            sock.close()
            continue
        sock.setblocking(False)
        streams.connections[flow] = connection = Connection()
        connection.stream = Stream(sock)
        connection.heard_at = now()
        asyncio.create_task(streams.read(flow, connection))


def _make_room(streams: object) -> bool:
    """Close the peer's stream that was silent for longest: idle ones keep nobody out. False if all are ours."""
    oldest = None
    for flow, connection in streams.connections.items():
        at = connection.heard_at
        if at is not None and (oldest is None or until(at, oldest[1].heard_at) < 0):
            oldest = (flow, connection)
    if oldest is None:
        return False
    streams.lost(oldest[0], oldest[1], b"room was needed")
    return True
