"""What waits for a command or a URL that no inbox is given any more: told, and given up a week later.

Whoever mistypes a URL, or leaves --exec out for a day, still finds what waits when he gives it again.
"""

import contextlib
import time
from collections.abc import Callable, Collection

from sipmote.inbox.database import StoreError
from sipmote.inbox.runs import turn_of, without_secrets
from sipmote.inbox.store import Store

_KEEP_S = 7 * 86400
_LOOK_S = 86400.0  # between two looks


class Orphans:
    """The queues of a store that are no task of ours, nor of another inbox that runs."""

    def __init__(self, store: Store, tasks: Collection[str], warn: Callable[[str], None]) -> None:
        """tasks: ours, as the store knows them. warn: tells people."""
        self._store = store
        self._tasks = tasks
        self._warn = warn
        self._look_at = 0.0

    def look(self) -> None:
        """Tell of them, and give up what is to be given up: at the start, and once a day."""
        if time.monotonic() < self._look_at:
            return
        with contextlib.suppress(StoreError):  # which is told by who stores
            for task, count in self._store.db.query("SELECT task, count(*) FROM run GROUP BY task ORDER BY task"):
                turn = turn_of(self._store, task)
                if task not in self._tasks and turn.is_ours():  # else another inbox is at work on it
                    try:
                        self._see_to(task, count)
                    finally:
                        turn.close()
            self._look_at = time.monotonic() + _LOOK_S

    def _see_to(self, task: str, count: int) -> None:
        now = time.time()
        with self._store.transaction() as db:
            db.execute("INSERT INTO orphan (task, since) VALUES (?, ?) ON CONFLICT DO NOTHING", (task, now))
            [(since,)] = db.query("SELECT since FROM orphan WHERE task = ?", (task,))
            is_over = now >= since + _KEEP_S
            if is_over:
                db.execute("DELETE FROM run WHERE task = ?", (task,))
                db.execute("DELETE FROM orphan WHERE task = ?", (task,))
        option = "--exec" if task == "exec" else f"--webhook {without_secrets(task)}"
        what = f"{option}: {count} {'message waits' if count == 1 else 'messages wait'} for it"
        if is_over:
            self._warn(f"{what} no longer: no inbox was given it for a week")
        else:
            until = time.strftime("%Y-%m-%d %H:%M", time.localtime(since + _KEEP_S))
            self._warn(f"{what}, but no inbox is given it: give it again by {until}, or they are given up")
