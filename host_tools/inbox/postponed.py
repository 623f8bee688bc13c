"""Answers that leave a fixed time after their messages came."""

import asyncio
from collections import deque
from collections.abc import Callable

from sipmote.agent.uas import MessageReceived

WAIT_S = 0.1  # far above the work on any message, and below T1, after which a sender repeats itself


class Postponed:
    """Answers messages when their time has come, so that nobody sees how long the work on one took.

    A sender who knows neither the key nor the content could tell by that time how far we came with his octets.
    """

    def __init__(self, answer: Callable[[MessageReceived], None]) -> None:
        """answer: sends the answer to one. Make this within the running loop."""
        self._answer = answer
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[float, MessageReceived]] = deque()  # with when they are due, in order
        self._timer: asyncio.TimerHandle | None = None

    def add(self, event: MessageReceived, came_at: float) -> None:
        """Answer a message WAIT_S after it came; came_at: by the clock of the loop, never before the last one's."""
        self._waiting.append((came_at + WAIT_S, event))
        if self._timer is None:
            self._timer = self._loop.call_at(came_at + WAIT_S, self._turn)

    def _turn(self) -> None:
        self._timer = None
        while self._waiting and self._waiting[0][0] <= self._loop.time():
            self._answer(self._waiting.popleft()[1])
        if self._waiting:
            self._timer = self._loop.call_at(self._waiting[0][0], self._turn)

    def close(self) -> None:
        """Answer all that wait."""
        if self._timer is not None:
            self._timer.cancel()
        while self._waiting:
            self._answer(self._waiting.popleft()[1])
