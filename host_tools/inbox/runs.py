"""Which messages a task is still to be done for, --exec or a webhook: a queue in the store, that outlives us.

Who writes has a queue of his own, of which PLACES may be under way at once. The queues take turns: that comes next
which has waited for longest since there was a place for it.
"""

import os
import time
from collections.abc import Sequence
from hashlib import blake2b
from urllib.parse import urlsplit

from sipmote.inbox.processes import end_marked
from sipmote.inbox.received import Received
from sipmote.inbox.rows import from_row
from sipmote.inbox.store import Store
from sipmote.inbox.turn import Turn

PLACES = 4
_LOOK_S = 1.0
_INSERT = """
INSERT INTO run (id, task, queue, ready_at) VALUES (?, ?, ?,
    CASE WHEN (SELECT count(*) FROM run WHERE task = ? AND queue = ? AND ready_at IS NOT NULL) < ? THEN ? END)
    RETURNING id
"""
_NEXT = """
SELECT message.*, started, tries FROM run JOIN message USING (id) WHERE task = ? AND ready_at BETWEEN 0 AND ?
    ORDER BY ready_at, id LIMIT 1
"""
_BEGUN = "UPDATE run SET ready_at = -1, started = 1 WHERE id = ? AND task = ?"
_LATER = "UPDATE run SET ready_at = ?, tries = tries + 1 WHERE id = ? AND task = ?"
_NEXT_IS_READY = """
UPDATE run SET ready_at = ? WHERE task = ? AND id =
    (SELECT min(id) FROM run WHERE task = ? AND queue = ? AND ready_at IS NULL)
"""
_FIRST_ARE_READY = """
UPDATE run SET ready_at = CASE WHEN id IN (
    SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY queue ORDER BY id) AS place FROM run WHERE task = ?)
        AS placed WHERE place <= ?)
    THEN 0 END WHERE task = ?
"""


def turn_of(store: Store, task: str) -> Turn:
    """Return the turn of who does what is queued for a task."""
    return Turn(store, task if task.isalnum() else blake2b(task.encode(), digest_size=8).hexdigest())


def without_secrets(task: str) -> str:
    """Return exec, or where a webhook leads: the rest of its URL may be a password."""
    found = urlsplit(task)
    return f"{found.scheme}://{found.hostname}" if found.hostname else task


class Runs:
    """The queue of one task."""

    def __init__(self, store: Store, task: str) -> None:
        """Do nothing yet. One program at a time does what is queued in a store (turn.py)."""
        self._store = store
        self.task = task
        self._turn = turn_of(store, task)
        self._taken_up = -1  # the generation of the store whose queue is ours
        self._name = b""  # no other queue's

    def add(self, batch: Sequence[Received]) -> None:
        """Queue messages, within the commit that stores them.

        A stranger who writes in somebody's name, from elsewhere or without his password, holds up no queue but his own.
        """
        rows = []
        for one in batch:
            if not one.duplicate:
                queue = one.user or f"{one.sender} {one.source.rpartition(':')[0]}"
                rows.append((one.id, self.task, queue, self.task, queue, PLACES, one.received))
        self._store.db.many(_INSERT, rows)

    def begin(self) -> tuple[Received, int] | None:
        """Return whose turn it is, and how often it was put off; None when all that is queued runs or isn't due.

        What it returns has begun, on the disk, too: it is `again` if it had before. Raises StoreError.
        """
        if not self._turn.is_ours():
            self._taken_up = -1
            return None
        if self._taken_up != self._store.generation:
            self._take_up()
        rows = self._store.db.rows(_NEXT, (self.task, time.time()))
        if not rows:
            return None
        [row] = rows
        with self._store.transaction() as db:
            db.execute(_BEGUN, (row["id"], self.task))
        one = from_row(row, bool(row["started"]))
        one.generation = self._store.generation
        return one, row["tries"]

    def wait_s(self) -> float:
        """Return the seconds until one may be due: put off, or queued or left by another inbox. Raises StoreError."""
        if self._taken_up == -1:
            return _LOOK_S
        [(at,)] = self._store.db.query("SELECT min(ready_at) FROM run WHERE task = ? AND ready_at >= 0", (self.task,))
        return _LOOK_S if at is None else min(max(0.0, at - time.time()), _LOOK_S)

    def put_off(self, one: Received, seconds: float) -> None:
        """Have it done so much later; it keeps its place. Raises StoreError."""
        if one.generation == self._store.generation:
            with self._store.transaction() as db:
                db.execute(_LATER, (time.time() + seconds, one.id, self.task))

    def value(self, number: int) -> bytes:
        """Return what processes.VARIABLE is for the command of the message with this id, and for no other."""
        return b"%d %s" % (number, self._name)

    def _take_up(self) -> None:
        """Begin with what was left when the last inbox with this store ended; what it was running then runs no more."""
        self._name = f"{self._store.number().urn} ".encode() + os.fsencode(self._store.db.mark)
        started = self._store.db.query("SELECT id FROM run WHERE task = ? AND started = 1", (self.task,))
        end_marked([self.value(number) for (number,) in started])
        with self._store.transaction() as db:
            db.execute("DELETE FROM run WHERE id NOT IN (SELECT id FROM message)")  # which somebody has deleted
            db.execute("DELETE FROM orphan WHERE task = ?", (self.task,))
            db.execute(_FIRST_ARE_READY, (self.task, PLACES, self.task))
        self._taken_up = self._store.generation

    def end(self, one: Received) -> None:
        """The command for this message has ended, and the next in its queue is ready. Raises StoreError."""
        if one.generation != self._store.generation:
            return  # it is in another file
        with self._store.transaction() as db:
            for (queue,) in db.query("DELETE FROM run WHERE id = ? AND task = ? RETURNING queue", (one.id, self.task)):
                db.execute(_NEXT_IS_READY, (time.time(), self.task, self.task, queue))

    def close(self) -> None:
        """Let another program run what is left."""
        self._turn.close()
