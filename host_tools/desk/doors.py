"""The connections of the page: as many as leave room for SIP, and none that doesn't ask for anything any more."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

_MOST = 256
_SHARE = 16  # a part of the files that we may have open, of which the streams of SIP leave 100
_SILENT_S = 10.0  # until the first request, TLS included
_LOOK_S = 2.0
IDLE_S = 10  # from an answer until the next request, which aiohttp would wait an hour for


class Doors:
    """Lets connections in."""

    def __init__(self) -> None:
        """Open nothing yet, within the running loop."""
        self._loop = asyncio.get_running_loop()
        self._server: asyncio.Server | None = None
        self._silent: dict[Any, float] = {}  # handler of a connection that has asked for nothing yet -> when it began
        self._timer: asyncio.TimerHandle | None = None

    async def open(self, handlers: web.Server, host: str, port: int, tls: ssl.SSLContext | None) -> int:
        """Listen; returns the port. Raises OSError."""
        most = _most()

        def connected() -> asyncio.Protocol:
            if len(handlers.connections) >= most:
                return _Full()
            handler = handlers()
            self._silent[handler] = self._loop.time()
            return handler

        handshake_s = None if tls is None else _SILENT_S
        listen = self._loop.create_server
        self._server = await listen(connected, host, port, ssl=tls, ssl_handshake_timeout=handshake_s)
        self._look()
        return int(self._server.sockets[0].getsockname()[1])

    @web.middleware
    async def middleware(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Note who asks."""
        self._silent.pop(request.protocol, None)
        return await handler(request)

    def _look(self) -> None:
        """Close what has been silent for too long."""
        for handler, began in list(self._silent.items()):
            if self._loop.time() - began > _SILENT_S:
                del self._silent[handler]
                handler.force_close()  # of one that has ended by itself, nothing
        self._timer = self._loop.call_later(_LOOK_S, self._look)

    def close(self) -> None:
        """Let nobody in any more."""
        if self._timer:
            self._timer.cancel()
        if self._server:
            self._server.close()


class _Full(asyncio.Protocol):
    """Closes at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def _most() -> int:
    """Return how many connections may be there at once."""
    with contextlib.suppress(ImportError):  # Windows has no such limit
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != resource.RLIM_INFINITY:
            return max(8, min(_MOST, soft // _SHARE))
    return _MOST
