"""The command of --exec, run for each message.

At least once, whatever ends us: what is to be run is in the store until it has ended. Commands that hang are stopped
after a minute. A sender's hold up nobody but him, as long as fewer than _AT_ONCE hang; what waits then does so for a
minute at most, and one more for each _AT_ONCE that became ready before it and hang, too.
"""

import asyncio
import contextlib
import errno
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Callable
from typing import TypeVar

from sipmote.errors import ToolError
from sipmote.inbox.database import trouble
from sipmote.inbox.processes import VARIABLE, end_marked
from sipmote.inbox.received import Received
from sipmote.inbox.runs import Runs
from sipmote.inbox.screen import Screen
from sipmote.inbox.store import Store
from sipmote.sip.reasons import reason_of

_AT_ONCE = 16  # commands, of all queues
_RUN_S = 60.0  # what one may take
_PAUSE_S = 2.0  # before what the system or the store couldn't do is tried again
_LONGEST = 16384  # characters of a value in the environment, where the system has a limit: 128 KiB
_T = TypeVar("_T")


class Runners:
    """Runs the command of --exec, a few at a time."""

    def __init__(self, command: str, store: Store, screen: Screen) -> None:
        """Begin nothing yet; raises ToolError for what is no command, StoreError for a store that fails."""
        try:
            self._command = shlex.split(command)
        except ValueError as error:
            raise ToolError(f"--exec {command!r}: {error}") from error
        if not self._command or not shutil.which(self._command[0]):
            raise ToolError(f"--exec {command!r}: no such command; name a program on the PATH or with its folder")
        self._runs = Runs(store)
        self.add = self._runs.add  # for the commit that stores a message
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

    async def _work(self) -> None:
        while True:
            self._due.clear()
            one = None
            if len(self._running) < _AT_ONCE:
                one = await self._stored(self._runs.begin)
            if one is None:
                await self._due.wait()
                continue
            task = asyncio.create_task(self._carry_out(one, self._runs.value(one.id)))
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
                    self._warn(f"the store fails, commands wait: {trouble(error)}")
                told = True
            await asyncio.sleep(_PAUSE_S)

    async def _carry_out(self, one: Received, mark: bytes) -> None:
        """Run the command for a message, and say what went wrong. Cancelled, it is left for the next start.

        mark: what those it starts are known by.
        """
        try:
            problem = await self._run(one, mark)
        except TimeoutError:
            problem = f"took more than {_RUN_S:.0f} s and was stopped"
        except OSError as error:
            problem = f"can't be started for this message: {reason_of(error)}"
        except Exception as error:  # a fault of ours with one message is none of the others'
            problem = f"{type(error).__name__}: {error}"
        if problem:
            self._warn(problem, one)
        await self._stored(lambda: self._runs.end(one))

    def _warn(self, problem: str, one: Received | None = None) -> None:
        more = {} if one is None else {"call_id": one.call_id}
        self._screen.warning(f"--exec {self._command[0]}: {problem}", **more)

    async def _run(self, one: Received, mark: bytes) -> str:
        """Run the command; returns what went wrong, or nothing."""
        try:
            process = await self._start(one, mark)
            try:
                await asyncio.wait_for(process.communicate(one.body), _RUN_S)
            finally:
                await _end(process)
        except BaseException:  # it was stopped: so is what has left its session, which else may live on
            end_marked([mark])
            raise
        return f"exit code {process.returncode}" if process.returncode else ""

    async def _start(self, one: Received, mark: bytes) -> asyncio.subprocess.Process:
        """Start the command, again until there is room for it: memory, processes, a disk that has it.

        Raises OSError where that is up to the message.
        """
        told = False
        while True:
            try:
                return await self._spawn(one, mark)
            except OSError as error:
                if error.errno == errno.E2BIG:
                    raise
                if not told:
                    self._warn(f"can't be started, it is tried again: {reason_of(error)}", one)
                told = True
            await asyncio.sleep(_PAUSE_S)

    async def _spawn(self, one: Received, mark: bytes) -> asyncio.subprocess.Process:
        """Start the command, all of it or nothing: cancelled half-way, asyncio would not end what it has started."""
        spawning = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=sys.stderr.fileno(),
                env=_environment(one) | {VARIABLE: mark},
                start_new_session=True,
            )
        )
        try:
            return await asyncio.shield(spawning)
        except asyncio.CancelledError:
            with contextlib.suppress(OSError):
                await _end(await spawning)
            raise

    async def close(self) -> None:
        """Stop what runs, children included; the store has it for the next start."""
        tasks = [*self._running, *([self._task] if self._task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._runs.close()


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a command and what it has started. It leads a session, whose number is taken while anybody of it is left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _environment(one: Received) -> dict[bytes, bytes]:
    """Return our environment without what is ours alone, passwords first of all, and with what is known of a message.

    In UTF-8, whatever the locale is: no character of a message keeps its command from being run.
    """
    is_proved = one.verdict is not None and one.verdict.is_good and not one.for_others
    values = {
        "FROM": one.sender,
        "TO": one.to,
        "CALL_ID": one.call_id,
        "CONTENT_TYPE": one.content_type,
        "SUBJECT": one.subject or "",
        "DISPLAY_NAME": one.display_name or "",
        "PRIORITY": one.priority or "",
        "SOURCE": one.source,
        "TRANSPORT": one.transport,
        "USER": one.user or "",
        "SIGNER": (one.verdict.signer or "") if one.verdict is not None and is_proved else "",
        "EXPIRED": "1" if one.expired else "0",
        "STALE": "1" if one.stale else "0",
        "AGAIN": "1" if one.again else "0",
    }
    kept = {name: value for name, value in os.environb.items() if not name.startswith(b"SIPMOTE_")}
    ours = {
        f"SIPMOTE_{name}".encode(): value[:_LONGEST].replace("\0", "\\0").encode("utf-8", "backslashreplace")
        for name, value in values.items()
    }
    return kept | ours
