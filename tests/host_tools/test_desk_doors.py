"""The connections of the page: bounded, so that alerts, which need descriptors, too, are never kept out."""

import asyncio
import contextlib
from typing import Any

import pytest
from aiohttp import web

from sipmote.desk import doors, server
from sipmote.desk.guard import PageOptions
from sipmote.inbox.boards import Boards
from sipmote.inbox.store import Store


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


def test_who_asks_for_nothing_more_keeps_nobody_out_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """R0-P6: aiohttp would keep his connection for an hour"""
    monkeypatch.setattr(doors, "_most", lambda: 1)
    monkeypatch.setattr(server, "IDLE_S", 0.2)

    async def run(store: Store) -> None:
        replies: Any = None  # nothing is written
        page = server.Page(PageOptions("127.0.0.1", 0), store, Boards(store), replies, None, pytest.fail)
        port = int((await page.open()).rpartition(":")[2].strip("/"))
        for _ in range(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /page/icon.svg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 200 ")  # up to its end
            writer.close()
        await page.close()

    with contextlib.closing(Store(":memory:")) as store:
        asyncio.run(asyncio.wait_for(run(store), 20))
