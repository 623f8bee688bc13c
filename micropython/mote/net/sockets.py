"""Ticks and addresses as the ports of MicroPython have them."""

import time
from asyncio import core

try:
    import socket
except ImportError:  # a board without a network: its messages fail, its sensors and its log work
    socket = None


def now() -> int:
    """Return the ms that the core counts in: they wrap at 2**30 on every port."""
    return time.ticks_ms() & 0x3FFFFFFF


def readable(sock: object) -> object:
    """Suspend the task until sock has something to read; to be awaited."""
    yield core._io_queue.queue_read(sock)


def address_of(host: bytes, port: int) -> object:
    """Return what this port's sockets take as an address. host: an IP address; a name would block. Raises OSError."""
    if socket is None:
        raise OSError("no network")
    return socket.getaddrinfo(host.decode(), port)[0][-1]
