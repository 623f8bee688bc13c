"""What the inbox keeps: messages, and what is still to be done with them.

A message counts as kept only when it is where a person finds it: in the file of that name.
"""

import contextlib
import uuid
from collections.abc import Callable, Sequence

from sipmote.inbox.database import Database, Row, StoreError
from sipmote.inbox.received import Received
from sipmote.inbox.rows import COLUMNS, from_row, to_row
from sipmote.inbox.sqlite import Sqlite
from sipmote.inbox.twins import is_twin

_INSERT = f"""
INSERT INTO message ({", ".join(COLUMNS)}, nth) VALUES ({", ".join("?" * len(COLUMNS))}, ?)
    ON CONFLICT DO NOTHING RETURNING id
"""
_ALIKE = """
SELECT id, from_tag, cseq, received, nth FROM message WHERE twin = ? ORDER BY nth DESC LIMIT 64
"""
_UNSHOWN = """
SELECT id FROM message WHERE id > (SELECT shown FROM progress) OR id IN (SELECT id FROM run WHERE started = 1 AND ? = 1)
"""
_BACKLOG = "SELECT message.* FROM backlog JOIN message USING (id) WHERE id > ? ORDER BY id LIMIT 1"
_EARLIER = """
SELECT * FROM message WHERE id <= (SELECT shown FROM progress) AND id NOT IN (SELECT id FROM backlog)
    ORDER BY id DESC LIMIT ?
"""

Queue = Callable[[Sequence[Received]], None]


class Store:
    """The messages. What add() has returned from is on the disk, a power cut included."""

    def __init__(self, path: str, tell: Callable[[str], None] = lambda text: None) -> None:
        """Open path, made if missing, or ":memory:"; raises ToolError if that can't be.

        tell: called with what a person should know about the file.
        """
        self.db: Database = Sqlite(path, tell)
        self.path = self.db.place
        self._generation = self.db.generation  # that of _shown
        self._shown = self._shown_in_file = (0, 0)  # messages to this id have been shown; of the backlog, to that

    @property
    def generation(self) -> int:
        """Of what is open: the ids of its rows mean nothing in another file."""
        return self.db.generation

    def transaction(self) -> contextlib.AbstractContextManager[Database]:
        """Commit what is done within, or nothing of it. Raises StoreError."""
        return self.db.transaction()

    # Messages

    def instance(self) -> str:
        """Return the URN of an inbox with this file, the same after a restart (RFC 5626 section 4.1)."""
        return uuid.UUID(hex=self.db.query("SELECT number FROM instance")[0][0], version=4).urn

    def identity(self) -> str | None:
        """Return the URI that --as has given, None where nobody has. Raises StoreError."""
        rows = self.db.query("SELECT aor FROM identity")
        return str(rows[0][0]) if rows else None

    def be(self, aor: str | None) -> None:
        """Write down who we are, None for nobody in particular. Raises StoreError."""
        with self.transaction() as db:
            db.execute("DELETE FROM identity")
            if aor is not None:
                db.execute("INSERT INTO identity VALUES (?)", (aor,))

    def add(self, batch: Sequence[Received], queues: Sequence[Queue] = ()) -> None:
        """Keep these in one commit, twins of what is there left out and marked; raises StoreError and keeps none.

        queues: called with all, within the commit, to note what else is to be done for each; twins are marked by then.
        """
        for _ in range(2):
            self.db.refresh()
            self._write(batch, queues)
            if self.db.is_current():  # it may have moved between the two
                return
        raise StoreError("the file is moved again and again")

    def _write(self, batch: Sequence[Received], queues: Sequence[Queue]) -> None:
        rows = [(*to_row(one), 0) for one in batch]
        with self.transaction() as db:
            for one, row, inserted in zip(batch, rows, db.many(_INSERT, rows), strict=True):
                one.duplicate, one.id, one.twin = False, 0, 0
                if inserted is None:
                    self._insert_alike(one, row)
                else:
                    [one.id] = inserted
            for queue in queues:
                queue(batch)
            shown = self._write_shown()
        self._shown_in_file = shown

    def _insert_alike(self, one: Received, row: Row) -> None:
        """Keep a message whose key is there if it is new even so; mark one that isn't."""
        *_, twin, same, _ = row
        alike = self.db.query(_ALIKE, (twin,))
        named = self.db.query("SELECT id FROM message WHERE same = ?", (same,))
        first = next(iter(named), None) or next((other for other in alike if is_twin(one, *other[1:4])), None)
        if first is not None:
            one.duplicate, one.twin = True, first[0]
        else:
            [(one.id,)] = self.db.query(_INSERT, (*row[:-1], alike[0][-1] + 1))

    # What has been shown

    def shown(self, last: int, of_backlog: bool = False) -> None:
        """All messages to the one with this id have been shown; it is written down with the next commit.

        of_backlog: that is, all of those that were set aside; else all that came since then.
        """
        came, left = self._shown_now()
        self._shown = (came, max(left, last)) if of_backlog else (max(came, last), left)

    def flush(self) -> None:
        """Write down what has been shown. Raises StoreError."""
        if self._shown_now() != self._shown_in_file:
            with self.transaction():
                shown = self._write_shown()
            self._shown_in_file = shown

    def _write_shown(self) -> tuple[int, int]:
        (came, left), before = self._shown_now(), self._shown_in_file
        if came != before[0]:
            self.db.execute("UPDATE progress SET shown = ? WHERE shown < ?", (came, came))
        if left != before[1]:
            self.db.execute("DELETE FROM backlog WHERE id <= ?", (left,))
        return came, left

    def _shown_now(self) -> tuple[int, int]:
        """Return what has been shown of what is open now."""
        if self._generation != self.db.generation:
            self._generation = self.db.generation
            self._shown = self._shown_in_file = (0, 0)
        return self._shown

    def set_aside(self, runs: bool) -> None:
        """Make what was stored up to now and may not have been shown the backlog. Raises StoreError.

        runs: and what was shown, but whose command is run again.
        """
        if not self.db.query(f"{_UNSHOWN} LIMIT 1", (int(runs),)):
            return
        with self.transaction() as db:
            db.execute(f"INSERT INTO backlog {_UNSHOWN} ON CONFLICT DO NOTHING", (int(runs),))
            db.execute("UPDATE progress SET shown = (SELECT coalesce(max(id), 0) FROM message)")

    def backlog(self, after: int) -> Received | None:
        """Return the first message of the backlog behind an id, None at its end. Raises StoreError."""
        rows = self.db.rows(_BACKLOG, (after,))
        return from_row(rows[0], True) if rows else None

    def earlier(self, count: int) -> list[Received]:
        """Return so many messages that have been shown, the newest, in the order in which they came.

        Raises StoreError, and ValueError for one that somebody has damaged.
        """
        return [from_row(row, False) for row in reversed(self.db.rows(_EARLIER, (count,)))]

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(StoreError):  # then it is shown once more
            self.flush()
        self.db.close()
