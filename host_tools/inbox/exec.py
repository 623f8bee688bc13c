"""The command of --exec, run for each message.

Commands that hang are stopped after a minute. A sender's hold up nobody but him, as long as fewer than 16 hang
(workers.py); what waits then does so for a minute at most, and one more for each 16 that became ready before it and
hang, too.
"""

import asyncio
import contextlib
import errno
import os
import shlex
import shutil
import signal
import sys

from sipmote.errors import ToolError
from sipmote.inbox.processes import VARIABLE, end_marked
from sipmote.inbox.received import Received
from sipmote.inbox.screen import Screen
from sipmote.inbox.store import Store
from sipmote.inbox.workers import Workers
from sipmote.sip.reasons import reason_of

_RUN_S = 60.0  # what one may take
_PAUSE_S = 2.0  # before what the system couldn't do is tried again
_LONGEST = 16384  # characters of a value in the environment, where the system has a limit: 128 KiB


class Runners(Workers):
    """Runs the command of --exec, a few at a time."""

    def __init__(self, command: str, store: Store, screen: Screen) -> None:
        """Begin nothing yet; raises ToolError for what is no command, StoreError for a store that fails."""
        try:
            self._command = shlex.split(command)
        except ValueError as error:
            raise ToolError(f"--exec {command!r}: {error}") from error
        if not self._command or not shutil.which(self._command[0]):
            raise ToolError(f"--exec {command!r}: no such command; name a program on the PATH or with its folder")
        super().__init__(store, "exec", screen, f"--exec {self._command[0]}")

    async def _do(self, one: Received, tries: int) -> str:
        try:
            return await self._run(one, self.runs.value(one.id))
        except TimeoutError:
            return f"took more than {_RUN_S:.0f} s and was stopped"

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
