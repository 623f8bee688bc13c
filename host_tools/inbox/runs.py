"""Which messages the command of --exec is still to be run for: a queue in the store, that outlives us.

Who writes has a queue of his own, of which PLACES commands may run at once. The queues take turns: that comes next
which has waited for longest since there was a place for it.
"""

import os
import time

from sipmote.inbox.processes import end_marked
from sipmote.inbox.received import Received
from sipmote.inbox.rows import from_row
from sipmote.inbox.store import Store
from sipmote.inbox.turn import Turn

PLACES = 4
_INSERT = """
INSERT INTO run (id, queue, ready_at)
    VALUES (?, ?, CASE WHEN (SELECT count(*) FROM run WHERE queue = ? AND ready_at IS NOT NULL) < ? THEN ? END)
"""
_NEXT = "SELECT message.*, started FROM run JOIN message USING (id) WHERE ready_at >= 0 ORDER BY ready_at, id LIMIT 1"
_BEGUN = "UPDATE run SET ready_at = -1, started = 1 WHERE id = ?"
_NEXT_IS_READY = """
UPDATE run SET ready_at = ? WHERE id = (SELECT min(id) FROM run WHERE queue = ? AND ready_at IS NULL)
"""
_FIRST_ARE_READY = """
UPDATE run SET ready_at = CASE WHEN id IN (
    SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY queue ORDER BY id) AS place FROM run) AS placed
        WHERE place <= ?)
    THEN 0 END
"""


class Runs:
    """The queue of one inbox."""

    def __init__(self, store: Store) -> None:
        """Do nothing yet. One program at a time runs what is queued in a store (turn.py)."""
        self._store = store
        self._turn = Turn(store, "exec")
        self._taken_up = -1  # the generation of the store whose queue is ours
        self._name = b""  # no other queue's

    def add(self, one: Received) -> None:
        """Queue a message, within the commit that stores it.

        A stranger who writes in somebody's name, from elsewhere or without his password, holds up no queue but his own.
        """
        if one.duplicate:
            return
        queue = one.user or f"{one.sender} {one.source.rpartition(':')[0]}"
        self._store.db.execute(_INSERT, (one.id, queue, queue, PLACES, one.received))

    def begin(self) -> Received | None:
        """Return whose turn it is, None when all that is queued runs or has no place yet. Raises StoreError.

        What it returns has begun, on the disk, too: it is `again` if it had before.
        """
        if not self._turn.is_ours():
            self._taken_up = -1
            return None
        if self._taken_up != self._store.generation:
            self._take_up()
        rows = self._store.db.rows(_NEXT)
        if not rows:
            return None
        [row] = rows
        with self._store.transaction() as db:
            db.execute(_BEGUN, (row["id"],))
        one = from_row(row, bool(row["started"]))
        one.generation = self._store.generation
        return one

    def value(self, number: int) -> bytes:
        """Return what processes.VARIABLE is for the command of the message with this id, and for no other."""
        return b"%d %s" % (number, self._name)

    def _take_up(self) -> None:
        """Begin with what was left when the last inbox with this store ended; what it was running then runs no more."""
        self._name = f"{self._store.instance()} ".encode() + os.fsencode(self._store.db.mark)
        started = self._store.db.query("SELECT id FROM run WHERE started = 1")
        end_marked([self.value(number) for (number,) in started])
        with self._store.transaction() as db:
            db.execute("DELETE FROM run WHERE id NOT IN (SELECT id FROM message)")  # which somebody has deleted
            db.execute(_FIRST_ARE_READY, (PLACES,))
        self._taken_up = self._store.generation

    def end(self, one: Received) -> None:
        """The command for this message has ended, and the next in its queue is ready. Raises StoreError."""
        if one.generation != self._store.generation:
            return  # it is in another file
        with self._store.transaction() as db:
            for (queue,) in db.query("DELETE FROM run WHERE id = ? RETURNING queue", (one.id,)):
                db.execute(_NEXT_IS_READY, (time.time(), queue))

    def close(self) -> None:
        """Let another program run what is left."""
        self._turn.close()
