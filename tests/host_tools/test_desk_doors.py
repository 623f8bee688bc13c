"""The connections of the page: bounded, so that alerts, which need descriptors, too, are never kept out."""

import asyncio
import contextlib

import pytest
from aiohttp import web

from sipmote.desk import doors


def test_who_asks_for_nothing_is_let_in_up_to_a_bound_and_not_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """R0-P6: who is kept out gets in when those have ended"""
    monkeypatch.setattr(doors, "_most", lambda: 3)
    monkeypatch.setattr(doors, "_SILENT_S", 0.3)
    monkeypatch.setattr(doors, "_LOOK_S", 0.05)

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text="here")

    async def ask(port: int) -> bytes:
        with contextlib.suppress(ConnectionError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            said = await reader.read()
            writer.close()
            return said
        return b""

    async def run() -> None:
        these = doors.Doors()
        app = web.Application(middlewares=[these.middleware])
        app.router.add_get("/", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        assert runner.server
        port = await these.open(runner.server, "127.0.0.1", 0, None)
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        assert await ask(port) == b""
        assert [await reader.read() for reader, _ in silent] == [b""] * 3  # they are closed
        assert (await ask(port)).endswith(b"here")
        for _, writer in silent:
            writer.close()
        these.close()
        await runner.cleanup()

    asyncio.run(asyncio.wait_for(run(), 20))
