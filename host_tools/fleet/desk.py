"""What a desk shows of a fleet's alerts: heard from its events as they come, and counted in its list in the end."""

import asyncio
import contextlib
import json
import time
from typing import Any

import aiohttp

from sipmote.errors import ToolError
from sipmote.fleet.report import Tally

_PAGE = 500  # messages
_PATIENCE_S = 15.0  # for an answer
_AGAIN_S = 0.5  # between two attempts at a desk that is away
_LINE = 1 << 20  # octets that a line of an event may have


class Desk:
    """Watches the API of one desk. It may be away now and then."""

    def __init__(self, url: str, tally: Tally) -> None:
        """url: http://HOST:PORT."""
        self._url = url.rstrip("/")
        self._tally = tally
        self._tally.is_watched = True
        self._last_id = 0  # of the messages that were counted
        self._session: aiohttp.ClientSession
        self._follower: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to listen; what is there already doesn't count. Raises ToolError where no desk answers."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_PATIENCE_S)
        self._session = aiohttp.ClientSession(timeout=timeout, read_bufsize=_LINE)
        try:
            found = await self._get("/api/messages?limit=1")
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            await self._session.close()
            raise ToolError(f"no desk at {self._url} ({error}): start sipmote inbox --http HOST:PORT") from error
        self._last_id = found["messages"][0]["id"] if found["messages"] else 0
        ready = asyncio.Event()
        self._follower = asyncio.create_task(self._follow(ready))
        await asyncio.wait_for(ready.wait(), _PATIENCE_S)

    async def _get(self, path: str) -> dict[str, Any]:
        async with self._session.get(self._url + path, timeout=aiohttp.ClientTimeout(total=_PATIENCE_S)) as answer:
            found: dict[str, Any] = await answer.json()
            if answer.status != 200:
                raise ValueError(found.get("error", answer.status))
            return found

    async def _follow(self, ready: asyncio.Event) -> None:
        """Hear of each message as it comes. What is missed meanwhile is counted in the end, without its time."""
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with self._session.get(f"{self._url}/api/events") as events:
                    ready.set()
                    kind = ""
                    async for line in events.content:
                        name, _, value = line.rstrip(b"\r\n").partition(b":")
                        if name == b"event":
                            kind = value.strip().decode()
                        elif name == b"data" and kind == "message":
                            self._tally.show(json.loads(value), time.time())
            await asyncio.sleep(_AGAIN_S)

    async def count(self, patience_s: float) -> None:
        """Look through all that has come since the begin, until nothing is missing or patience is at its end."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience_s
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, ValueError):
                await self._count_new()
                if not self._tally.lost():
                    return
            if loop.time() >= deadline:
                return
            await asyncio.sleep(_AGAIN_S)

    async def _count_new(self) -> None:
        while True:
            found = await self._get(f"/api/messages?after={self._last_id}&limit={_PAGE}")
            for message in found["messages"]:
                self._tally.show(message, None)
                self._last_id = message["id"]
            if found["next"] is None:
                return
            self._last_id = found["next"]

    async def close(self) -> None:
        """Listen no more."""
        if self._follower is not None:
            self._follower.cancel()
        await self._session.close()
