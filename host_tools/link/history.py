"""What boards have said, kept in a file of SQLite's: each event, whether it was shown or not, until it is too old.

An event is on disk about a second after it was heard. The file holds no more than it was allowed to: the oldest events
go first. Its owner alone can read it. A running monitor and those who read may share it.
"""

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sipmote.errors import ToolError
from sipmote.link.board_events import Event

_OURS = 0x736D6C67  # application_id: tells our files from others
_COMMIT_S = 1.0
_ROTATE_S = 60.0
_SHARE = 10  # of what may be kept, a tenth goes at once
_TABLE = """
CREATE TABLE IF NOT EXISTS heard (id INTEGER PRIMARY KEY, unix REAL, board TEXT, port TEXT, event TEXT);
CREATE INDEX IF NOT EXISTS heard_unix ON heard (unix);
"""
Kept = tuple[float, str, str, Event]  # Unix seconds, the board's name, its port, the event


class History:
    """The file while a monitor writes it."""

    def __init__(self, path: str, keep_s: float, most: int) -> None:
        """keep_s: how old an event gets; most: octets. Raises ToolError for a file that can't be ours."""
        self._keep_s = keep_s
        self._most = most
        self._waiting: list[tuple[float, str, str, str]] = []
        self._commit_at = self._rotate_at = 0.0
        self._is_new_trouble = True
        self._path = path
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._db = _opened(path, "rwc")
            self._db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute(f"PRAGMA application_id = {_OURS}")
            self._db.executescript(_TABLE)
        except (OSError, sqlite3.Error) as error:
            raise ToolError(f"can't keep a history in {path}: {error}; name another file with --db") from None

    def add(self, event: Event, board: str, port: str, unix: float) -> None:
        """Keep an event; commit() puts it on disk."""
        self._waiting.append((unix, board, port, json.dumps(event)))

    def commit(self, now: float, unix: float) -> str | None:
        """Write what waits if it is time for that; returns what is wrong when something new is.

        now: seconds of a clock that never steps; unix: the time of day.
        """
        if now < self._commit_at or not self._waiting:
            return None
        self._commit_at = now + _COMMIT_S
        try:
            with self._db:
                self._db.executemany("INSERT INTO heard (unix, board, port, event) VALUES (?, ?, ?, ?)", self._waiting)
            if now >= self._rotate_at:
                self._rotate_at = now + _ROTATE_S
                self._rotate(unix)
        except sqlite3.Error as error:
            lost, is_new = len(self._waiting), self._is_new_trouble
            self._waiting.clear()  # nor may memory grow while the disk is full
            self._is_new_trouble = False
            return f"{self._path} takes nothing, so {lost} events are not kept: {error}" if is_new else None
        self._waiting.clear()
        self._is_new_trouble = True
        return None

    def close(self, unix: float) -> None:
        """Write what waits."""
        self.commit(float("inf"), unix)
        with contextlib.suppress(sqlite3.Error):
            self._db.close()

    def _rotate(self, unix: float) -> None:
        """Drop what is too old, and the oldest where it is too much."""
        with self._db:
            self._db.execute("DELETE FROM heard WHERE unix < ?", (unix - self._keep_s,))
            free, pages, size = (
                self._number(f"PRAGMA {name}") for name in ("freelist_count", "page_count", "page_size")
            )
            used = (pages - free) * size
            if used > self._most:
                first, last = self._db.execute("SELECT min(id), max(id) FROM heard").fetchone()
                share = 1 - self._most * (1 - 1 / _SHARE) / used
                self._db.execute("DELETE FROM heard WHERE id <= ?", (first + int((last - first) * share),))
        self._db.execute("PRAGMA incremental_vacuum").fetchall()
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _number(self, query: str) -> int:
        (number,) = self._db.execute(query).fetchone()
        return int(number)


def boards(path: str, since: float, until: float) -> list[str]:
    """Return the names of the boards that find() tells of. Raises as it does."""
    return [
        name for (name,) in _rows(path, "SELECT DISTINCT board FROM heard WHERE unix BETWEEN ? AND ?", since, until)
    ]


def find(path: str, since: float, until: float) -> Iterator[Kept]:
    """Yield what was kept between two points in time, in Unix seconds, in the order in which it was heard.

    Raises ToolError for a file that isn't there or is no history.
    """
    query = "SELECT unix, board, port, event FROM heard WHERE unix BETWEEN ? AND ? ORDER BY id"
    for unix, board, port, event in _rows(path, query, since, until):
        yield unix, board, port, json.loads(event)


def _rows(path: str, query: str, *values: float) -> Iterator[tuple[Any, ...]]:
    if not Path(path).is_file():
        raise ToolError(f"there is no file {path}: sipmote monitor --db {path} makes it")
    try:
        with contextlib.closing(_opened(path, "ro")) as db:
            yield from db.execute(query, values)
    except sqlite3.Error as error:
        raise ToolError(f"can't read {path}: {error}") from None


def _opened(path: str, mode: str) -> sqlite3.Connection:
    """Open a file that is ours, or empty. mode: of SQLite's URIs. Raises ToolError, sqlite3.Error."""
    db = sqlite3.connect(f"file:{quote(path)}?mode={mode}", uri=True, timeout=5.0)
    (owner,) = db.execute("PRAGMA application_id").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if owner != _OURS and tables:
        raise ToolError(f"{path} is no history of a monitor's: name another file with --db")
    return db
