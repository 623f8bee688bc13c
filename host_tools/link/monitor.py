"""Watching boards, one or many, as they come and go; each is known by its USB serial number, not by its port's name."""

import math
import queue
import time
from collections.abc import Sequence

from sipmote.errors import ToolError
from sipmote.link.board_events import Event
from sipmote.link.frames import IDLE_S
from sipmote.link.port import named_port, ports, real_path
from sipmote.link.reader import Gone, Heard, Opened, Reader
from sipmote.link.teller import Teller
from sipmote.link.watched import Watched

_LOOK_S = 1.0  # between two looks at which ports there are, while that matters
_QUEUED = 256  # reads of all ports that may wait for us
_END_S = 2.0


class Monitor:
    """Says what the boards at some ports have to say. A port that makes trouble disturbs no other."""

    def __init__(self, asked: Sequence[str], teller: Teller, every: bool = False) -> None:
        """asked: the ports, as named_port() takes them. every: also each that is there, and each that comes."""
        self._boards = [Watched(name) for name in dict.fromkeys(asked)]
        self._teller = teller
        self._every = every
        self._is_alone = len(self._boards) == 1 and not every  # then its trouble is ours
        self._queue: queue.Queue[tuple[Reader, Heard]] = queue.Queue(_QUEUED)
        self._there = ports()
        self._look_at = 0.0
        self._restart = False
        self._broken: BaseException | None = None

    def watch(self, deadline: float, reset: bool) -> None:
        """Listen until the deadline (time.monotonic()) or Ctrl-C. reset: restart the boards first. Raises ToolError."""
        self._restart = reset
        if not self._boards and not self._there:
            self._teller.note("waiting", "no board yet: waiting for one", "", "")
        try:
            while (self._boards or self._every) and (now := time.monotonic()) < deadline:
                self._look(now)
                self._take(min(deadline - now, self._pause_s(now)))
                self._flush(time.monotonic())
                self._teller.tick(time.monotonic())
        except KeyboardInterrupt:
            pass
        finally:
            self._stop()

    def stop(self, error: BaseException) -> None:
        """Have watch() raise this, from another thread."""
        self._broken = error

    def _look(self, now: float) -> None:
        """Find the boards whose ports are not open, and new ones."""
        waiting = [board for board in self._boards if board.is_due(now)]
        if now < self._look_at or not (waiting or self._every):
            return
        self._look_at = now + _LOOK_S
        self._there = ports()
        taken = {real_path(board.device) for board in self._boards if board.reader is not None}
        for board in waiting + self._new_ones(taken):
            try:
                self._find(board, taken, now)
            except ToolError as error:
                self._failed(board, error, now)

    def _find(self, board: Watched, taken: set[str], now: float) -> None:
        """Begin to read a board's port if it is there. taken: the paths of those that are read, this one added."""
        found = board.place(self._there, taken)
        device = None if found is None else named_port(found)
        if device is None:
            return
        if real_path(device) in taken:
            raise ToolError(f"{board.asked} is the port {device}, which is watched already")
        taken.add(real_path(device))
        is_restarted = self._restart and not board.was_open
        if is_restarted:
            board.events.drop_until_restart(now)
        board.start(device, is_restarted, lambda reader, heard: self._queue.put((reader, heard)))

    def _new_ones(self, taken: set[str]) -> list[Watched]:
        """Return, and keep, a board for each port that nobody watches, if each is wanted.

        Who is away is known by identity, or by name where there is none. A port may have the identity of one that is
        open, as many bridge chips have the same number.
        """
        away = [board for board in self._boards if board.reader is None]
        identities = {board.identity for board in away} - {None}
        names = taken | {real_path(board.device) for board in away if board.identity is None}
        new = [
            Watched(port.device)
            for port in self._there
            if self._every and real_path(port.device) not in names and port.identity not in identities
        ]
        self._boards += new
        return new

    def _pause_s(self, now: float) -> float:
        """Return how long nothing has to be done unless something comes."""
        if any(board.events.holds for board in self._boards):
            return IDLE_S
        is_waiting = self._every or any(board.reader is None for board in self._boards)
        return max(self._look_at - now, 0.01) if is_waiting else 1.0

    def _take(self, seconds: float) -> None:
        """Wait so long at most for something to come."""
        try:
            reader, heard = self._queue.get(timeout=max(seconds, 0))
        except queue.Empty:
            pass
        else:
            for board in self._boards:
                if board.reader is reader:
                    self._hear(board, heard)
                    break
        if self._broken is not None:
            raise self._broken

    def _hear(self, board: Watched, heard: Heard) -> None:
        now = time.monotonic()
        if isinstance(heard, bytes):
            board.heard_at = now
            self._tell(board, board.events.feed(heard, now, time.time()))
        elif isinstance(heard, Opened):
            self._opened(board, now)
        elif isinstance(heard, Gone):
            self._tell(board, board.events.detach(now, time.time()))
            board.reader = None
            if board.identity is None:  # another one may come to this port
                board.events.aor = None
            self._gone(board)
        else:
            self._failed(board, heard, now)

    def _opened(self, board: Watched, now: float) -> None:
        is_back, before = board.was_open, board.opened_as
        if board.identity is None:  # it may have come since the last look
            self._there = ports()
        board.opened(self._there, now)
        if not is_back:
            self._note(board, "ready", f"listening on {board.device}")
        elif before == board.device:
            self._note(board, "port_back", f"back: {board.device}")
        else:
            self._note(board, "port_back", f"back as {board.device}", was=before)

    def _gone(self, board: Watched) -> None:
        self._note(board, "port_gone", f"waiting for the return of {board.device}")
        if board.is_over:
            self._boards.remove(board)
            why = f"the virtual board at {board.device} has ended"
            if self._is_alone:
                raise ToolError(why)
            self._note(board, "board_ended", why)

    def _failed(self, board: Watched, error: ToolError, now: float) -> None:
        if self._is_alone and not board.was_open:
            raise error
        if board.failed(str(error), now):
            self._note(board, "port_failed", f"{error}; it is tried again", reason=str(error))

    def _flush(self, now: float) -> None:
        """Tell what is held back of boards that have fallen silent."""
        for board in self._boards:
            if board.events.holds and now - board.heard_at >= IDLE_S:
                board.heard_at = now
                self._tell(board, board.events.idle(now, time.time()))

    def _tell(self, board: Watched, events: Sequence[Event]) -> None:
        self._teller.tell(events, board.events.name, board.device, board.events.aor)

    def _note(self, board: Watched, state: str, text: str, **more: str) -> None:
        if board.serial_number:
            more["serial_number"] = board.serial_number
        self._teller.note(state, text, board.events.name, board.device, **more)

    def _stop(self) -> None:
        """Close all ports, and tell what still comes."""
        readers = {board.reader: board for board in self._boards if board.reader is not None}
        for reader in readers:
            reader.stop()
        give_up_at = time.monotonic() + _END_S
        while not self._queue.empty() or any(reader.is_alive() for reader in readers):
            if time.monotonic() > give_up_at:
                break
            try:
                reader, heard = self._queue.get(timeout=0.05)
            except queue.Empty:
                continue
            if isinstance(heard, bytes) and reader in readers:
                self._tell(readers[reader], readers[reader].events.feed(heard, time.monotonic(), time.time()))
        for board in readers.values():
            self._tell(board, board.events.detach(math.inf, time.time()))
