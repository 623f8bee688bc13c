"""What is done for each message that was stored, a few at a time: --exec and webhooks.

At least once, whatever ends us: what is to be done is in the store until it has ended.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import TypeVar

from sipmote.inbox.database import trouble
from sipmote.inbox.received import Received
from sipmote.inbox.runs import Runs
from sipmote.inbox.screen import Screen
from sipmote.inbox.store import Store
from sipmote.sip.reasons import reason_of

_AT_ONCE = 16  # of all queues
_PAUSE_S = 2.0  # before what the store couldn't do is tried again
_T = TypeVar("_T")


class Later(Exception):
    """It couldn't be done now: after some seconds it is tried again."""

    def __init__(self, text: str, seconds: float) -> None:
        super().__init__(text)
        self.seconds = seconds


class Workers:
    """Does one task for each message; a kind of it says in _do() what that is."""

    def __init__(self, store: Store, task: str, screen: Screen, name: str) -> None:
        """Begin nothing yet. task: its key in the store. name: as people know it. Raises StoreError."""
        self.runs = Runs(store, task)
        self.add = self.runs.add  # for the commit that stores a message
        self._name = name
        self._screen = screen
        self._due = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin with what the last inbox has left, within the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._work())

    def more(self) -> None:
        """Something has been queued."""
        self._due.set()

    async def _do(self, one: Received, tries: int) -> str:
        """Do it; returns what went wrong for good, or nothing. tries: how often it was put off. Raises Later."""
        raise NotImplementedError

    async def _work(self) -> None:
        while True:
            self._due.clear()
            found, wait_s = None, None
            if len(self._running) < _AT_ONCE:
                found = await self._stored(self.runs.begin)
                if found is None:
                    wait_s = await self._stored(self.runs.wait_s)
            if found is None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):  # wait_for() may swallow what close() says
                        await self._due.wait()
                continue
            task = asyncio.create_task(self._carry_out(*found))
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._due.set()

    async def _stored(self, step: Callable[[], _T]) -> _T:
        """Do a step in the store, again until it succeeds."""
        told = False
        while True:
            try:
                return step()
            except Exception as error:
                if not told:
                    self._warn(f"the store fails, what is to be done waits: {trouble(error)}")
                told = True
            await asyncio.sleep(_PAUSE_S)

    async def _carry_out(self, one: Received, tries: int) -> None:
        """Do it for a message, and say what went wrong. Cancelled, it is left for the next start."""
        try:
            problem = await self._do(one, tries)
        except Later as later:
            self._warn(f"{later}; next attempt in {later.seconds:.0f} s", one)
            seconds = later.seconds
            await self._stored(lambda: self.runs.put_off(one, seconds))
            return
        except OSError as error:
            problem = f"can't be started for this message: {reason_of(error)}"
        except Exception as error:  # a fault of ours with one message is none of the others'
            problem = f"{type(error).__name__}: {error}"
        if problem:
            self._warn(problem, one)
        await self._stored(lambda: self.runs.end(one))

    def _warn(self, problem: str, one: Received | None = None) -> None:
        more = {} if one is None else {"call_id": one.call_id}
        self._screen.warning(f"{self._name}: {problem}", **more)

    async def close(self) -> None:
        """Stop what is under way; the store has it for the next start."""
        tasks = [*self._running, *([self._task] if self._task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.runs.close()
