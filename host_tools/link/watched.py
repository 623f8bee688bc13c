"""A board that is watched: the port that it was asked for by, and where it is now."""

import os
from collections.abc import Callable, Collection, Sequence

from sipmote.link.board_events import BoardEvents
from sipmote.link.frames import Bridged
from sipmote.link.port import Port, is_pseudo, real_path
from sipmote.link.reader import Heard, Reader

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 10.0  # before a port that could not be opened is tried again


class Watched:
    """Where a board is, and how far its port has come. It knows no clock.

    asked: what it was asked for by; device: its port, of now or the last one; events: what it says; reader: reads its
    port, None while there is none; heard_at: when something came last; was_open: has its port been open yet?
    opened_as: the port's name then; complaint: why its port could not be opened.
    """

    def __init__(self, asked: str, take: Callable[[Bridged], None] = lambda item: None) -> None:
        """take: as BoardEvents has it."""
        self.asked = asked
        self.device = asked
        name = asked[len("/dev/") :] if asked.startswith("/dev/") else os.path.basename(asked)
        self.events = BoardEvents(name, take)
        self.reader: Reader | None = None
        self.heard_at = 0.0
        self.was_open = False
        self.opened_as = ""
        self.complaint = ""
        self.serial_number: str | None = None
        self.identity: tuple[str, ...] | None = None
        self._next_try_at = 0.0
        self._pause_s = _FIRST_PAUSE_S
        self._is_tried = False

    def is_due(self, now: float) -> bool:
        """Is it time to look for its port?"""
        return self.reader is None and now >= self._next_try_at

    def place(self, there: Sequence[Port], taken: Collection[str]) -> str | None:
        """Return where it is: the first time where it was asked for, even if nothing is there; else None for nowhere.

        there: the ports that there are; taken: the real paths of those that are open.
        """
        if self.identity is not None:
            found = [p.device for p in there if p.identity == self.identity and real_path(p.device) not in taken]
            return self.device if self.device in found else next(iter(found), None)
        if not self._is_tried or "://" in self.asked or os.path.exists(self.asked):
            return self.asked
        return next((self.asked for port in there if self.asked in (port.device, port.serial_number)), None)

    @property
    def is_over(self) -> bool:
        """Can it never come back, once its port has gone? So it is with a virtual board."""
        return self.identity is None and is_pseudo(self.device)

    def start(self, device: str, restart: bool, tell: Callable[[Reader, Heard], None]) -> None:
        """Begin to read its port. restart: the board first."""
        self._is_tried = True
        self.device = device
        self.reader = Reader(device, restart, tell)
        self.reader.start()

    def opened(self, there: Sequence[Port], now: float) -> None:
        """Its port is open. there: the ports that there are."""
        path = real_path(self.device)
        port = next((port for port in there if real_path(port.device) == path), None)
        if port is not None:
            self.identity, self.serial_number = port.identity, port.serial_number
        self.was_open = True
        self.opened_as = self.device
        self.complaint = ""
        self._pause_s = _FIRST_PAUSE_S
        self.heard_at = now

    def failed(self, why: str, now: float) -> bool:
        """Its port could not be opened; is that something new to tell?

        Not the first time if it is there: a moment after plugging in, the system has set its group, and it can be.
        """
        self.reader = None
        self._next_try_at = now + self._pause_s
        is_first, self._pause_s = self._pause_s == _FIRST_PAUSE_S, min(2 * self._pause_s, _LONGEST_PAUSE_S)
        if (is_first and os.path.exists(self.device)) or self.complaint == why:
            return False
        self.complaint = why
        return True
