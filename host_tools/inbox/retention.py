"""How long messages are kept: by their age, and by how much room they take. What is still to be done stays."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sipmote.inbox.database import StoreError
from sipmote.inbox.store import Store

_STEP = 200  # messages that go in one commit, so that no alert waits for long
_PAUSE_S = 0.05  # between two of them
_NEXT_S = 10.0  # until there may be more of them
_LOOK_S = 60.0  # between two looks at the size
_DAY_S = 86400
_OLDEST = """
SELECT id FROM message WHERE id < (SELECT max(id) FROM message) AND received < ?
    AND id <= (SELECT shown FROM progress WHERE progress.inbox = message.inbox)
    AND NOT EXISTS (SELECT 1 FROM backlog WHERE backlog.id = message.id)
    AND NOT EXISTS (SELECT 1 FROM run WHERE run.id = message.id)
    AND NOT EXISTS (SELECT 1 FROM parcel WHERE parcel.id = message.id AND ended IS NULL)
    AND NOT EXISTS (SELECT 1 FROM reply WHERE reply.message = message.id AND ended_at IS NULL)
    ORDER BY id LIMIT ?
"""


@dataclass(frozen=True)
class Keep:
    """days: that a message is kept for. octets: that all take. None: no matter how many."""

    days: int | None = None
    octets: int | None = None


FOR_EVER = Keep()


class Retention:
    """Deletes what is too old or too much, one inbox at a time of those that share a store."""

    def __init__(self, store: Store, keep: Keep) -> None:
        """Delete nothing yet."""
        self._store = store
        self._keep = keep
        self._surplus = 0  # messages, as the last look at the size has found
        self._look_at = 0.0
        self._next: asyncio.TimerHandle | None = None

    def step(self) -> bool:
        """Delete some; is there more to delete? Raises StoreError."""
        db = self._store.db
        if not db.has_turn("keep"):
            return False
        if self._keep.octets is not None and not self._surplus and time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _LOOK_S
            [(count,)] = db.query("SELECT count(*) FROM message")
            self._surplus = max(0, int(count * (1 - self._keep.octets / max(db.octets(), 1))))
        oldest = float("-inf") if self._keep.days is None else time.time() - self._keep.days * _DAY_S
        ids = [row[0] for row in db.query(_OLDEST, (oldest, _STEP))]
        if not ids and self._surplus:
            ids = [row[0] for row in db.query(_OLDEST, (float("inf"), min(_STEP, self._surplus)))]
            self._surplus = self._surplus - len(ids) if ids else 0
        if ids:
            self._delete(ids)
        return bool(ids)

    def _delete(self, ids: Sequence[int]) -> None:
        these = f"({', '.join('?' * len(ids))})"
        with self._store.transaction() as db:
            for table, column in (("parcel", "id"), ("acknowledgement", "message"), ("reply", "message")):
                db.execute(f"DELETE FROM {table} WHERE {column} IN {these}", ids)
            for sender, is_open in db.query(f"DELETE FROM message WHERE id IN {these} RETURNING sender, open", ids):
                if is_open:
                    db.execute("UPDATE board SET open = open - 1 WHERE aor = ? AND open > 0", (sender,))

    def start(self) -> None:
        """Delete from now on, a little at a time, within the running loop."""
        has_more = False
        with contextlib.suppress(StoreError):  # told by who stores
            has_more = self.step()
        self._next = asyncio.get_running_loop().call_later(_PAUSE_S if has_more else _NEXT_S, self.start)

    def close(self) -> None:
        """Let another program do it."""
        if self._next is not None:
            self._next.cancel()
        self._store.db.end_turn("keep")
