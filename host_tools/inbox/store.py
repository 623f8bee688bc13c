"""What the inbox keeps: messages, and what is still to be done with them.

A message counts as kept only when it is where a person finds it: in the file of that name.
"""

import contextlib
import uuid
from collections.abc import Callable, Sequence

from sipmote.errors import ToolError
from sipmote.inbox.database import Database, Lost, Row, StoreError
from sipmote.inbox.received import Received
from sipmote.inbox.rows import COLUMNS, from_row, to_row
from sipmote.inbox.sqlite import Sqlite
from sipmote.inbox.twins import is_twin

_INSERT = f"""
INSERT INTO message ({", ".join(f'"{name}"' for name in COLUMNS)}, inbox, nth) VALUES ({"?, " * len(COLUMNS)}?, ?)
    ON CONFLICT DO NOTHING RETURNING id
"""
_ALIKE = """
SELECT id, from_tag, cseq, received, nth FROM message WHERE twin = ? ORDER BY nth DESC LIMIT 64
"""
_UNSHOWN = """
SELECT id, inbox FROM message WHERE inbox = ? AND id > (SELECT shown FROM progress WHERE inbox = ?)
UNION SELECT id, inbox FROM run JOIN message USING (id) WHERE started = 1 AND inbox = ? AND ? = 1
"""
_UNTOLD = """
INSERT INTO backlog (id, inbox) SELECT id, inbox FROM message WHERE inbox = ? AND id > ? ON CONFLICT DO NOTHING
"""
_BACKLOG = (
    "SELECT message.* FROM backlog JOIN message USING (id) WHERE id > ? AND backlog.inbox = ? ORDER BY id LIMIT 1"
)
_EARLIER = """
SELECT * FROM message WHERE inbox = ? AND id <= (SELECT shown FROM progress WHERE inbox = ?)
    AND id NOT IN (SELECT id FROM backlog WHERE inbox = ?) ORDER BY id DESC LIMIT ?
"""

Queue = Callable[[Sequence[Received]], None]


class Store:
    """The messages. What add() has returned from is on the disk, a power cut included."""

    def __init__(self, path: str, tell: Callable[[str], None] = lambda text: None, name: str = "") -> None:
        """Open path, made if missing, or ":memory:", or postgresql://...; raises ToolError if that can't be.

        tell: called with what a person should know about it. name: of this inbox among those that share a server.
        """
        self.db: Database = _server(path, name, tell) if is_url(path) else Sqlite(path, tell)
        self.path = self.db.place
        self._edition, self._generation = self.db.edition, self.db.generation  # that we know of
        self._shown = self._shown_in_file = (0, 0)  # messages to this id have been shown; of the backlog, to that
        self._last = self._edition, self._newest()  # what is behind it in our name nobody has told us of

    @property
    def generation(self) -> int:
        """Of what is open: no turn outlives it."""
        return self.db.generation

    @property
    def edition(self) -> int:
        """Of what is stored: the ids of its rows mean nothing in another."""
        return self.db.edition

    def transaction(self) -> contextlib.AbstractContextManager[Database]:
        """Commit what is done within, or nothing of it. Raises StoreError."""
        return self.db.transaction()

    # Messages

    def instance(self) -> str:
        """Return the URN of an inbox with this store, the same after a restart (RFC 5626 section 4.1)."""
        return (uuid.uuid5(self.number(), self.db.name) if self.db.name else self.number()).urn

    def number(self) -> uuid.UUID:
        """Return what no other store has, whoever shares it. Raises StoreError."""
        return uuid.UUID(hex=self.db.query("SELECT number FROM instance")[0][0], version=4)

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
        for is_last in (False, True):
            self.refresh()
            try:
                self._write(batch, queues)
            except Lost:
                if is_last:
                    raise
                continue  # a server that is there again need not be told of to anybody
            if self.db.is_current():  # it may have moved between the two
                return
        raise StoreError("the file is moved again and again")

    def refresh(self) -> None:
        """Open what is there now. What we have committed without hearing of it becomes backlog. Raises StoreError."""
        self.db.refresh()
        self._shown_now()
        if self._generation == self.db.generation:
            return
        edition, last = self._last
        with self.transaction() as db:
            newest = self._newest()
            if edition == db.edition and newest > last:
                db.execute(_UNTOLD, (db.name, last))
        self._last, self._generation = (self.db.edition, newest), self.db.generation

    def _newest(self) -> int:
        return int(self.db.query("SELECT coalesce(max(id), 0) FROM message")[0][0])

    def _write(self, batch: Sequence[Received], queues: Sequence[Queue]) -> None:
        rows = [(*to_row(one), self.db.name, 0) for one in batch]
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
        self._last = self.db.edition, max(self._last[1], *(one.id for one in batch))

    def _insert_alike(self, one: Received, row: Row) -> None:
        """Keep a message whose key is there if it is new even so; mark one that isn't."""
        *_, twin, same, _, _ = row
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
            self.db.execute("UPDATE progress SET shown = ? WHERE inbox = ? AND shown < ?", (came, self.db.name, came))
        if left != before[1]:
            self.db.execute("DELETE FROM backlog WHERE inbox = ? AND id <= ?", (self.db.name, left))
        return came, left

    def _shown_now(self) -> tuple[int, int]:
        """Return what has been shown of what is stored there now."""
        if self._edition != self.db.edition:
            self._edition = self.db.edition
            self._shown = self._shown_in_file = (0, 0)
        return self._shown

    def set_aside(self, runs: bool) -> None:
        """Make what was stored up to now and may not have been shown the backlog. Raises StoreError.

        runs: and what was shown, but whose command is run again.
        """
        name = self.db.name
        values = (name, name, name, runs)
        if not self.db.query(f"{_UNSHOWN} LIMIT 1", values):
            return
        with self.transaction() as db:
            db.execute(f"INSERT INTO backlog (id, inbox) {_UNSHOWN} ON CONFLICT DO NOTHING", values)
            db.execute("UPDATE progress SET shown = ? WHERE inbox = ?", (self._newest(), name))

    def backlog(self, after: int) -> Received | None:
        """Return the first message of the backlog behind an id, None at its end. Raises StoreError."""
        rows = self.db.rows(_BACKLOG, (after, self.db.name))
        return from_row(rows[0], True) if rows else None

    def earlier(self, count: int) -> list[Received]:
        """Return so many messages that have been shown, the newest, in the order in which they came.

        Raises StoreError, and ValueError for one that somebody has damaged.
        """
        name = self.db.name
        return [from_row(row, False) for row in reversed(self.db.rows(_EARLIER, (name, name, name, count)))]

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(StoreError):  # then it is shown once more
            self.flush()
        self.db.close()


def is_url(path: str) -> bool:
    """Is this of a server, and no file?"""
    return path.startswith(("postgresql://", "postgres://"))


def open_reader(url: str) -> Database:
    """Return a server's database to read messages from. Raises ToolError."""
    return _server(url, None, lambda text: None)


def _server(url: str, name: str | None, tell: Callable[[str], None]) -> Database:
    try:
        from sipmote.inbox.postgresql import Postgresql  # who has a file needs no driver
    except ImportError:
        raise ToolError("--db postgresql://... needs a driver: pip install 'sipmote[desk]'") from None
    return Postgresql(url, name, tell)
