"""Shows messages, and has the store know which of them have reached a reader.

What an inbox has stored and not shown is its successor's to show: that may be more than the printer takes at once.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence

from sipmote.inbox.database import StoreError, trouble
from sipmote.inbox.received import Received
from sipmote.inbox.screen import Screen
from sipmote.inbox.store import Store
from sipmote.printer import Printer

_FLUSH_S = 1.0  # until it is on the disk what has been shown, if no message comes
_TURN_S = 0.005  # for showing some of it, before others have their turn: a long one takes 60 ms at a terminal
_PAUSE_S = 2.0  # before the store is asked again for what it could not give


class Showing:
    """What goes to the printer: messages as they come, and the backlog as far as there is room beside them."""

    def __init__(self, store: Store, screen: Screen, printer: Printer) -> None:
        """Show nothing yet, within the running loop."""
        self._store = store
        self._screen = screen
        self._printer = printer
        self._loop = asyncio.get_running_loop()
        # Taken by the printer; the last message, in which edition of the store; is it of the backlog?
        self._on_its_way: deque[tuple[int, int, int, bool]] = deque()
        self._flushing: asyncio.TimerHandle | None = None
        self._fed = 0  # the backlog to the message with this id is on its way
        self._edition = store.edition  # whose backlog that is
        self._generation = store.generation  # at whose beginning there may be more of it
        self._failed = False
        self._is_open = True

    def start(self, runs: bool) -> None:
        """Begin with what was stored, answered and perhaps not shown when the last inbox ended. Raises StoreError.

        runs: and what was shown, but whose command is run again.
        """
        self._store.set_aside(runs)
        self._feed()

    def look(self) -> None:
        """Show what was stored although we were told that it was not: the connection had been lost meanwhile."""
        with contextlib.suppress(StoreError):  # told by who stores
            self._store.refresh()
            if self._generation != self._store.generation:
                self._generation = self._store.generation
                self._feed()

    def show(self, batch: Sequence[Received]) -> None:
        """Show what has come; duplicates have no id."""
        self._screen.messages(batch)
        self._note(max(one.id for one in batch))

    def _feed(self) -> None:
        """Show more of the backlog, and go on when there is room for it."""
        if not self._is_open or self._edition != self._store.edition:
            return  # it is for the next start, with that file
        until = self._loop.time() + _TURN_S
        while self._printer.has_room(self._feed_from_thread):
            try:
                one = self._store.backlog(self._fed)
            except StoreError as error:
                self._wait_for_store(error)
                return
            self._failed = False
            if one is None:
                return
            self._screen.messages([one])
            self._fed = one.id
            self._note(one.id, of_backlog=True)
            if self._loop.time() > until:
                self._loop.call_soon(self._feed)
                return

    def _feed_from_thread(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._feed)

    def _wait_for_store(self, error: StoreError) -> None:
        if not self._failed:
            self._screen.warning(f"can't read earlier messages, they are shown later: {trouble(error)}")
        self._failed = True
        self._loop.call_later(_PAUSE_S, self._feed)

    def _note(self, last: int, of_backlog: bool = False) -> None:
        self._on_its_way.append((self._printer.taken, last, self._store.edition, of_backlog))
        self._flushing = self._flushing or self._loop.call_later(_FLUSH_S, self._flush)

    def _note_shown(self) -> None:
        """Tell the store what has left the printer; nothing more once a line was lost, so that it is shown again."""
        reached = min(self._printer.written, self._printer.whole)
        while self._on_its_way and self._on_its_way[0][0] <= reached:
            _, last, edition, of_backlog = self._on_its_way.popleft()
            if edition == self._store.edition:
                self._store.shown(last, of_backlog)

    def _flush(self) -> None:
        self._note_shown()
        self._flushing = self._loop.call_later(_FLUSH_S, self._flush) if self._on_its_way else None
        with contextlib.suppress(StoreError):  # told with the next message; until then more is shown again
            self._store.flush()

    def close(self) -> None:
        """Show no more of the backlog, and give what is on its way a moment to arrive."""
        self._is_open = False
        self._printer.close()
        self._note_shown()
