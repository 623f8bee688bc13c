"""A store in a sqlite file, which may be deleted, replaced, locked or full while we run."""

import contextlib
import copy
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sipmote.errors import ToolError
from sipmote.files import data_folder
from sipmote.inbox.database import Row, StoreError, Unstorable, Values
from sipmote.inbox.schema import STEPS
from sipmote.inbox.twins import same_key, twin_key

_NOTHING = (0, 0)  # in place of the device and inode of an empty file
_UNKNOWN = (-1, -1)  # of none that we have open
_BUSY_MS = 1000  # how long another program may have the file locked before senders are asked to come back
_REMEDIES = {  # the beginning of sqlite's name for what is wrong: what a person can do about it
    "SQLITE_BUSY": "end the program that has it locked",
    "SQLITE_FULL": "make room on its disk",
    "SQLITE_READONLY": "give its owner the right to write",
    "SQLITE_CANTOPEN": "give its owner the right to write there",
    "SQLITE_IOERR": "look at its disk",
    "SQLITE_CORRUPT": "move it away, and a new one is made",
    "SQLITE_NOTADB": "move it away, and a new one is made",
}
_OF_A_MESSAGE = (sqlite3.DataError, sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError)


def default_path() -> Path:
    """Return where messages are kept when nobody names a file."""
    return data_folder() / "inbox.db"


class _Lock:
    """The operating system's lock on a file beside ours, so that it outlives nobody."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

    def is_ours(self) -> bool:
        """Do we have it? Another program may have been first."""
        if self._lock is not None and self._file == self._identity():
            return True
        self.close()  # somebody has deleted it, and another one may be locked by now
        with contextlib.suppress(OSError):
            os.close(os.open(self._path, os.O_RDONLY | os.O_CREAT, 0o600))
        before = self._identity()
        lock = sqlite3.connect(self._path, timeout=0, isolation_level=None)
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error:
            lock.close()
            return False
        if before is None or before != self._identity():  # who had it has taken the file away: the next look is soon
            lock.close()
            return False
        self._lock, self._file = lock, before
        return True

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def close(self) -> None:
        """Let another program have it. The file goes while it is locked: nobody else can have it then."""
        if self._lock is not None:
            if self._file == self._identity():
                with contextlib.suppress(OSError):  # on Windows it stays
                    os.unlink(self._path)
            self._lock.close()
            self._lock = None


class Sqlite:
    """The file. What a transaction has committed is on the disk, a power cut included."""

    def __init__(self, path: str, tell: Callable[[str], None]) -> None:
        """Open path, made if missing, or ":memory:"; raises ToolError if that can't be.

        tell: called with what a person should know about the file.
        """
        self.place = path
        self.mark = os.path.realpath(path)
        self.name = ""
        self.generation = self.edition = 0
        self._watched: tuple[str, ...] = ("",)
        self._tell = tell
        self._files: dict[str, tuple[int, int]] = {}  # suffix of a name -> device and inode of what we opened
        self._busy_ms = _BUSY_MS
        self._locks: dict[str, _Lock] = {}  # by the name of the work
        try:
            self._open()
        except (sqlite3.Error, OSError) as error:
            raise ToolError(f"can't keep messages in {path}: {error}; name another file with --db") from error

    def _open(self) -> None:
        if self.place != ":memory:":
            Path(self.place).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self.place, os.O_RDONLY | os.O_CREAT, 0o600))
        db = self.connection = sqlite3.connect(self.place, timeout=_BUSY_MS / 1000, isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA cache_size = -32768")  # KiB
        # Pages of the log before they go into the file: 64 MB. Digests are random, so that each message changes
        # another page of the index of a large store; this many go over together, those changed twice just once.
        db.execute("PRAGMA wal_autocheckpoint = 16384")
        self._prepare()
        if self.place != ":memory:":
            self._make_private()
        self._files = {suffix: found for suffix in ("", "-wal", "-shm") if (found := self._identity(suffix))}
        self._watched = ("", "-wal") if "-wal" in self._files else ("",)

    def _make_private(self) -> None:
        """See that nobody but its owner can read the file, whose older versions cared less."""
        path = Path(self.place)
        wanted = {Path(self.place + suffix): 0o600 for suffix in ("", "-wal", "-shm")}
        if path == default_path():
            wanted[path.parent] = 0o700
        lax = [place for place in wanted if place.exists() and place.stat().st_mode & 0o077]
        try:
            for place in lax:
                place.chmod(wanted[place])
        except OSError:
            self._tell(f"{path} is open to other users of this computer: ask its owner for chmod go= {path}")
        else:
            if lax:
                self._tell(f"{path} was open to other users of this computer; now it is yours alone")

    def _prepare(self) -> None:
        db, path = self.connection, self.place
        db.create_function("twin_key", 6, twin_key)
        db.create_function("same_key", 5, same_key)
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > len(STEPS):
            raise ToolError(f"{path} was made by a newer sipmote: update this one or name another file with --db")
        if version < len(STEPS):
            if version:
                self._tell(f"{path} is brought up to date; many messages take a while")
            steps = "".join(STEPS[version:])
            db.executescript(f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {len(STEPS)}; COMMIT;")
        last, shown = db.execute("SELECT ifnull(max(id), 0), (SELECT shown FROM progress) FROM message").fetchone()
        if shown > last:  # somebody has deleted messages: their numbers are given again
            db.execute("UPDATE progress SET shown = ?", (last,))
            db.execute("DELETE FROM backlog WHERE id > ?", (last,))

    # A file that changes under us

    def _identity(self, suffix: str = "") -> tuple[int, int] | None:
        """Return device and inode of what has our name, None without it."""
        try:
            found = os.stat(self.place + suffix)
        except OSError:
            return None
        return (found.st_dev, found.st_ino) if suffix or found.st_size else _NOTHING

    def refresh(self) -> None:
        """Open what has our name now, if that isn't what we have open."""
        if not self.is_current():
            self._renew()

    def is_current(self) -> bool:
        """Is the file that we have open the one of our name, with its log, and not made empty?"""
        if self.place == ":memory:":
            return True
        return all(self._identity(suffix) == self._files.get(suffix, _UNKNOWN) for suffix in self._watched)

    def _renew(self) -> None:
        """Open what has our name now, or a new file."""
        found, before = self._identity(), self._files.get("")
        with contextlib.suppress(sqlite3.Error):  # it may be somewhere else: what is still in its log belongs into it
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for suffix, identity in self._files.items():
            if (
                suffix and found != before and self._identity(suffix) == identity
            ):  # sqlite would take it for the log of the other file
                with contextlib.suppress(OSError):
                    os.unlink(self.place + suffix)
        self._files = {}  # until we have opened another
        self.generation += 1
        self.edition += 1
        self._busy_ms = _BUSY_MS
        self.connection.close()
        try:
            self._open()
        except sqlite3.Error as error:
            raise _failure(error) from error
        except (OSError, ToolError) as error:
            raise StoreError(str(error)) from error
        what = "was deleted: a new one is made" if found is None else "was replaced: the one there is used"
        has_moved = before is None or found != before
        self._tell(f"{self.place} {what if has_moved else 'has lost its log: what was in it is written again'}")

    # SQL

    def execute(self, sql: str, values: Values = ()) -> None:
        """Do what has no result."""
        self.query(sql, values)

    def query(self, sql: str, values: Values = ()) -> list[Row]:
        """Return the rows."""
        try:
            return self.connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise _failure(error) from error

    def rows(self, sql: str, values: Values = ()) -> list[dict[str, Any]]:
        """Return the rows with the names of their columns."""
        try:
            cursor = self.connection.execute(sql, values)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]
        except sqlite3.Error as error:
            raise _failure(error) from error

    def many(self, sql: str, values: Iterable[Values]) -> list[Row | None]:
        """Do the same with these in turn; returns the first row of each, None where there is none."""
        return [next(iter(self.query(sql, each)), None) for each in values]

    @contextlib.contextmanager
    def transaction(self) -> Iterator["Sqlite"]:
        """Commit what is done within, or nothing of it.

        It waits for who has the file locked, but after a failure not again until all is well: all others wait with it.
        """
        try:
            self.query("BEGIN IMMEDIATE")
            yield self
            self.query("COMMIT")
        except BaseException:
            with contextlib.suppress(StoreError):  # what went wrong first is what counts
                if self.connection.in_transaction:
                    self.query("ROLLBACK")
                self._wait_for_locks(0)
            raise
        self._wait_for_locks(_BUSY_MS)

    def _wait_for_locks(self, ms: int) -> None:
        if ms != self._busy_ms:
            self.query(f"PRAGMA busy_timeout = {ms}")
            self._busy_ms = ms

    def has_turn(self, work: str) -> bool:
        """Is a kind of work ours, from now on?"""
        if self.is_private:
            return True
        return self._locks.setdefault(work, _Lock(f"{self.place}-{work}")).is_ours()

    def end_turn(self, work: str) -> None:
        """Let another program have it."""
        if work in self._locks:
            self._locks.pop(work).close()

    @property
    def is_private(self) -> bool:
        """Is it in memory?"""
        return self.place == ":memory:"

    def reader(self) -> "Sqlite":
        """Return a connection of its own to read by, for another thread."""
        other = copy.copy(self)
        try:
            other.connection = sqlite3.connect(f"file:{quote(self.place)}?mode=ro", uri=True, check_same_thread=False)
        except sqlite3.Error as error:
            raise _failure(error) from error
        return other

    def close(self) -> None:
        """Close the file."""
        self.connection.close()


def _failure(error: sqlite3.Error) -> StoreError:
    name = getattr(error, "sqlite_errorname", "")  # sqlite's own errors alone have one
    remedy = next((words for prefix, words in _REMEDIES.items() if name.startswith(prefix)), "")
    return (Unstorable if isinstance(error, _OF_A_MESSAGE) else StoreError)(str(error), remedy)
