"""Which of the programs that share a store does a kind of work: one at a time.

The lock lies beside the file and is the operating system's, so that it outlives nobody.
"""

import contextlib
import os
import sqlite3

from sipmote.inbox.store import Store


class Turn:
    """Our turn, once we have it, until we end."""

    def __init__(self, store: Store, work: str) -> None:
        """work: its name, which the file of the lock ends in."""
        self._store = store
        self._path = f"{store.path}-{work}"
        self._lock: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

    def is_ours(self) -> bool:
        """Is it for us to do the work? Another program may have been first."""
        if self._store.path == ":memory:":
            return True
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
