"""Tells browsers what has changed, as it does (server-sent events)."""

import asyncio
import contextlib
import json
import secrets
from collections import deque
from collections.abc import AsyncGenerator
from typing import Any

from sipmote.desk.reading import Reading
from sipmote.desk.views import Json, Patience, boards, count_open, messages, some_replies
from sipmote.inbox.database import Database, StoreError

_POLL_S = 0.5  # another inbox with the same store tells nobody here
_LEAST_S = 0.05  # between two looks
_KEPT = 2000  # events, for who comes back
_MOST = 300  # changes at once; who misses more loads anew
_KEEP_ALIVE_S = 15.0
Cursor = tuple[int, int]  # ids of the last message and the last change


class Live:
    """Follows the store while anybody watches."""

    def __init__(self, reading: Reading, patience: Patience) -> None:
        self._reading = reading
        self._patience = patience
        self._events: deque[tuple[int, str, str]] = deque(maxlen=_KEPT)  # number, name, data
        self._era = secrets.token_hex(4)  # within which nothing was missed
        self._number = 0
        self._cursor: Cursor | None = None
        self._watchers = 0
        self._more = asyncio.Event()  # something may have changed
        self._news = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False

    def start(self) -> None:
        """Begin to follow, within the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._follow())

    def poke(self) -> None:
        """Something has changed here."""
        self._more.set()

    async def _follow(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL_S):  # wait_for() may swallow what close() says
                    await self._more.wait()
            self._more.clear()
            if self._watchers:
                with contextlib.suppress(StoreError):  # which the inbox tells; the next look is soon
                    await self._look()
            elif self._cursor is not None:
                self._cursor, self._era = None, secrets.token_hex(4)
                self._events.clear()
            await asyncio.sleep(_LEAST_S)

    async def _look(self) -> None:
        self._cursor, found = await self._reading.ask(_changes, self._cursor, self._patience)
        if found:
            for name, data in found:
                self._number += 1
                self._events.append((self._number, name, json.dumps(data)))
            async with self._news:
                self._news.notify_all()

    async def watch(self, last_id: str) -> AsyncGenerator[str]:
        """Yield events as they are written to a browser. last_id: of the last that it has seen, "" for none."""
        self._watchers += 1
        try:
            if self._cursor is None:
                await self._look()
            number = self._resume(last_id)
            yield "retry: 2000\n\n"
            if number is None:
                number = self._number
                if last_id:
                    yield "event: reset\ndata: {}\n\n"
            while not self._is_closed:
                ready = [event for event in self._events if event[0] > number]
                if ready and ready[0][0] > number + 1:
                    number = self._number
                    yield "event: reset\ndata: {}\n\n"
                    continue
                for event in ready:
                    number = event[0]
                    yield f"id: {self._era}.{number}\nevent: {event[1]}\ndata: {event[2]}\n\n"
                if not ready:
                    try:
                        async with asyncio.timeout(_KEEP_ALIVE_S), self._news:
                            await self._news.wait()
                    except TimeoutError:
                        yield ": still here\n\n"
        finally:
            self._watchers -= 1

    def _resume(self, last_id: str) -> int | None:
        """Return the number of the event with this id, None where what came since isn't here any more."""
        era, _, number = last_id.partition(".")
        if era != self._era or not number.isdigit() or int(number) > self._number:
            return None
        return int(number) if self._number - int(number) <= len(self._events) else None

    async def close(self) -> None:
        """Let all who watch go."""
        self._is_closed = True
        if self._task:
            self._task.cancel()
        async with self._news:
            self._news.notify_all()


def _changes(db: Database, cursor: Cursor | None, patience: Patience) -> tuple[Cursor, list[tuple[str, Any]]]:
    """Return where the store is now, and the events since the cursor."""
    [(last, change)] = db.query(
        "SELECT (SELECT coalesce(max(id), 0) FROM message), (SELECT coalesce(max(id), 0) FROM change)"
    )
    if cursor is None or cursor == (last, change):
        return (last, change), []
    if last < cursor[0] or change < cursor[1] or last - cursor[0] > _MOST or change - cursor[1] > 2 * _MOST:
        return (last, change), [("reset", {})]
    came = db.query("SELECT id FROM message WHERE id > ? AND id <= ? ORDER BY id", (cursor[0], last))
    rows = db.query("SELECT kind, ref FROM change WHERE id > ? AND id <= ? ORDER BY id", (cursor[1], change))
    changed: dict[str, dict[str, None]] = {"board": {}, "reply": {}, "acknowledgement": {}, "forgotten": {}}
    for kind, ref in rows:
        changed.setdefault(kind, {})[ref] = None
    new = messages(db, [number for (number,) in came])
    seen = messages(db, [int(ref) for ref in changed["acknowledgement"]])
    touched = {**changed["board"], **{view["from"]: None for view in (*new, *seen)}}
    events: list[tuple[str, Json]] = [("message", view) for view in new]
    for view in seen:
        if view["acknowledged"]:
            events.append(("acknowledgement", {"message": view["id"], **view["acknowledged"]}))
    events += [("reply", view) for view in some_replies(db, [int(ref) for ref in changed["reply"]])]
    events += [("forgotten", {"boards": json.loads(ref)}) for ref in changed["forgotten"]]
    events += [("board", view) for view in boards(db, patience, list(touched))]
    if new or seen:
        events.append(("counts", {"open": count_open(db)}))
    return (last, change), events
