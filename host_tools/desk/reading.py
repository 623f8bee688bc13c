"""What the page reads: on a connection and a thread of its own, so that no search holds up an alert."""

import asyncio
import concurrent.futures
from collections.abc import Callable
from typing import Any, TypeVar

from sipmote.inbox.database import Database, StoreError
from sipmote.inbox.store import Store

_T = TypeVar("_T")
Step = Callable[..., _T]


class Reading:
    """Asks the store, one question at a time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._db: Database | None = None
        self._generation = -1
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "sipmote-page")

    async def ask(self, step: "Step[_T]", *arguments: Any) -> _T:
        """Return step(database, *arguments). Raises StoreError."""
        if self._store.db.is_private:  # nobody else can open it
            return step(self._store.db, *arguments)
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._step, step, *arguments)

    def _step(self, step: "Step[_T]", *arguments: Any) -> _T:
        if self._db is None or self._generation != self._store.generation:
            self._close()
            self._generation = self._store.generation
            self._db = self._store.db.reader()
        try:
            return step(self._db, *arguments)
        except StoreError:
            self._close()  # the next one opens another
            raise

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    async def close(self) -> None:
        """End the thread."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)
