"""The command of --exec, run for each message."""

import asyncio
import os
import shlex
import shutil
import signal
import sys

from sipmote.errors import ToolError
from sipmote.inbox.received import Received
from sipmote.inbox.screen import Screen

_RUNNERS = 4  # commands at once
_RUN_S = 60.0  # what one may take
_MAX_WAITING = 1000  # messages that wait for theirs; all are in the store


class Runners:
    """Runs the command of --exec, a few at a time."""

    def __init__(self, command: str, screen: Screen) -> None:
        try:
            self._command = shlex.split(command)
        except ValueError as error:
            raise ToolError(f"--exec {command!r}: {error}") from error
        if not self._command or not shutil.which(self._command[0]):
            raise ToolError(f"--exec {command!r}: no such command; name a program on the PATH or with its folder")
        self._screen = screen
        self._queue: asyncio.Queue[Received] = asyncio.Queue(_MAX_WAITING)
        self._tasks = [asyncio.create_task(self._work()) for _ in range(_RUNNERS)]

    def start(self, one: Received) -> None:
        """Run the command for a message, when one of the runners is free."""
        try:
            self._queue.put_nowait(one)
        except asyncio.QueueFull:
            self._screen.warning("--exec is too slow: not run for a message", call_id=one.call_id)

    async def _work(self) -> None:
        while True:
            one = await self._queue.get()
            try:
                problem = await self._run(one)
            except TimeoutError:
                problem = f"took more than {_RUN_S:.0f} s and was stopped"
            except OSError as error:
                problem = error.strerror or str(error)
            if problem:
                self._screen.warning(f"--exec {self._command[0]}: {problem}", call_id=one.call_id)

    async def _run(self, one: Received) -> str:
        """Run the command; returns what went wrong, or nothing."""
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=sys.stderr.fileno(),
            env={**os.environ, **_environment(one)},
            start_new_session=True,
        )
        try:
            await asyncio.wait_for(process.communicate(one.body), _RUN_S)
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)  # the leader of a session of its own, not yet waited for
                await process.wait()
        return f"exit code {process.returncode}" if process.returncode else ""

    async def close(self) -> None:
        """Stop the runners and what they run."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _environment(one: Received) -> dict[str, str]:
    values = {
        "FROM": one.sender,
        "TO": one.to,
        "CALL_ID": one.call_id,
        "CONTENT_TYPE": one.content_type,
        "SUBJECT": one.subject or "",
        "SOURCE": one.source,
        "TRANSPORT": one.transport,
        "USER": one.user or "",
        "SIGNER": (one.verdict.signer or "") if one.verdict is not None and one.verdict.is_good else "",
        "EXPIRED": "1" if one.expired else "0",
        "STALE": "1" if one.stale else "0",
    }
    return {f"SIPMOTE_{name}": value.replace("\0", "\\0") for name, value in values.items()}
