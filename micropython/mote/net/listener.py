"""Streams that peers open. Loaded by a board that listens on TCP."""

import asyncio
import socket
from asyncio.stream import Stream

from agent.compat import const
from mote.net.peer import host_port_of
from mote.net.sockets import address_of, readable

_MAX_CONNECTIONS = const(4)


class Listener:
    """Accepts connections at a place for streams (mote.net.tcp.Streams).

    asyncio.start_server knows IPv6 only since MicroPython 1.27.
    """

    def __init__(self, streams: object, host: str, port: int) -> None:
        """host: brackets allowed. Raises OSError."""
        host = host.strip("[]")
        self._streams = streams
        self._server = server = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(address_of(host.encode(), port))
        server.listen(5)
        server.setblocking(False)
        asyncio.create_task(self._accept())

    def close(self) -> None:
        """Close the listening socket."""
        self._server.close()

    async def _accept(self) -> None:
        streams = self._streams
        while True:
            sock = None
            try:
                await readable(self._server)
                sock, address = self._server.accept()
                if len(streams.connections) < _MAX_CONNECTIONS or streams.make_room():
                    sock.setblocking(False)
                    streams.accept((b"TCP",) + host_port_of(address), Stream(sock))
                    continue
            except OSError:
                pass  # it has gone again
            except Exception as error:
                await streams.shell.failed(error)
            if sock is not None:
                sock.close()
