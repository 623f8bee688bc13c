"""An event loop whose time runs ahead to the next timer whenever nothing is to be read: a day in minutes.

Sockets are real, and on loopback what is sent is there at once. All clocks of this process are the loop's; threads and
other processes keep their own time.
"""

import asyncio
import selectors
import time
from collections.abc import Coroutine
from typing import Any, TypeVar
from unittest import mock

_Result = TypeVar("_Result")

_BEGIN = 1_800_000_000.0  # Unix seconds, of no special day
_MONOTONIC = 1000.0
_TURN_S = 1e-6  # that a turn of the loop takes: what is computed of moments may be a little too early
_NO_TIMER_S = 0.01  # of real time, where only a thread can be waited for


class _Selector(selectors.DefaultSelector):
    """Waits for nobody: passed_s grows by what it was to wait."""

    passed_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(_NO_TIMER_S if timeout is None else 0)
        self.passed_s += _TURN_S
        if not events and timeout:
            self.passed_s += timeout
            events = super().select(0)
        return events


def run(main: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a coroutine in such a loop, from 2027-01-15 08:00 UTC on; returns its result."""
    selector = _Selector()

    def monotonic() -> float:
        return _MONOTONIC + selector.passed_s

    loop = asyncio.SelectorEventLoop(selector)
    loop.time = monotonic  # type: ignore[method-assign]
    with (
        mock.patch.object(time, "time", lambda: _BEGIN + selector.passed_s),
        mock.patch.object(time, "monotonic", monotonic),
        mock.patch.object(time, "monotonic_ns", lambda: int(monotonic() * 1e9)),
        asyncio.Runner(loop_factory=lambda: loop) as runner,
    ):
        return runner.run(main)
