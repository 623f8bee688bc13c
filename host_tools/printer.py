"""Writes what a long-running command says, in a thread: who doesn't read it must not stop what the command does.

That may be a pager, a terminal after Ctrl-S, a full pipe. What waits is bounded; lines beyond that are counted, as are
those that a full disk doesn't take, and told when there is room again.
"""

import math
import os
import select
import threading
from collections import deque
from collections.abc import Callable

_MOST = 8 << 20  # octets that may wait
_CLOSING_S = 2.0


class Printer:
    """The thread behind stdout and stderr. It ends with the process, if need be in the middle of a line."""

    def __init__(self, most: int = _MOST) -> None:
        """most: octets that may wait."""
        self._most = most
        self._changed = threading.Condition()
        self._waiting: deque[tuple[int, bytes, int]] = deque()  # descriptor, octets and how many lines they stand for
        self._size = 0  # octets that wait or are being written
        self._lost = 0  # lines
        self.taken = self.written = 0  # calls of write(), and those whose octets have left
        self.whole = math.inf  # calls before the first whose octets were lost
        self._failed = False  # the last attempt has
        self._tell_lost: Callable[[int], tuple[int, bytes]] | None = None
        self._broken: BaseException | None = None
        self._on_broken: Callable[[BaseException], None] | None = None
        self._on_room: Callable[[], None] | None = None
        self._write: Callable[[int, bytes], OSError | None] = write
        threading.Thread(target=self._work, daemon=True).start()

    def tell_lost(self, told: Callable[[int], tuple[int, bytes]]) -> None:
        """Let told say how many lines were not shown: it returns a descriptor and what to write there."""
        self._tell_lost = told

    def write_by(self, call: Callable[[int, bytes], OSError | None]) -> None:
        """Have a function write, in the thread: it takes a descriptor and octets, as write() of this module does."""
        self._write = call

    def on_broken(self, call: Callable[[BaseException], None]) -> None:
        """Have a function called, in the thread, when nobody can read us any more."""
        with self._changed:
            self._on_broken = call
            broken = self._broken
        if broken is not None:
            call(broken)

    def write(self, descriptor: int, octets: bytes, lines: int = 1) -> None:
        """Take octets that are so many lines; never waits."""
        with self._changed:
            if self._broken is not None:
                return
            if self._size and self._size + len(octets) > self._most:
                self._lost += lines
                self.whole = min(self.whole, self.taken)
                self.taken += 1
                return
            self._say_lost()
            self.taken += 1
            self._put(descriptor, octets, lines)
            self._changed.notify_all()

    def has_room(self, call: Callable[[], None]) -> bool:
        """Is half of the room free? If not, a function is called in the thread once it is, instead of one from before.

        For who can wait, so that what can't has the other half.
        """
        with self._changed:
            is_free = self._is_half_free() and self._broken is None
            self._on_room = None if is_free else call
            return is_free

    def _is_half_free(self) -> bool:
        return self._size * 2 <= self._most

    def close(self, seconds: float = _CLOSING_S) -> None:
        """Give what waits so many seconds to leave."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._broken is not None or self._size + (0 if self._failed else self._lost) == 0, seconds
            )

    def _put(self, descriptor: int, octets: bytes, lines: int) -> None:
        self._waiting.append((descriptor, octets, lines))
        self._size += len(octets)

    def _say_lost(self) -> None:
        if self._lost and self._tell_lost is not None:
            self._put(*self._tell_lost(self._lost), self._lost)
        self._lost = 0

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._waiting and not self._failed:
                    self._say_lost()
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting)
                descriptor, octets, lines = self._waiting.popleft()
            error = self._write(descriptor, octets)
            if isinstance(error, BrokenPipeError):
                self._end(error)
                return
            with self._changed:
                self._size -= len(octets)
                if error is not None:
                    self.whole = min(self.whole, self.written)
                self.written += lines > 0
                self._failed = error is not None
                self._lost += lines if self._failed else 0
                call = self._on_room if self._is_half_free() else None
                self._on_room = None if call else self._on_room
            if call is not None:
                call()

    def _end(self, error: OSError) -> None:
        with self._changed:
            self._broken = error
            self._waiting.clear()
            call = self._on_broken
            self._changed.notify_all()
        if call is not None:
            call(error)


def write(descriptor: int, octets: bytes) -> OSError | None:
    """Write all of it, however long that takes, and return what went wrong."""
    rest = memoryview(octets)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:  # somebody who shares it has made it so
            select.select([], [descriptor], [])
        except OSError as error:
            return error
    return None
