"""Lines that are typed, or come from a program: TEXT answers the last message, URI TEXT goes to that URI.

Who has written to us is written to as whom he wrote to, since a board takes commands from the address that it knows.
What somebody calls us is of no consequence for others, unless he forges their From.
"""

import asyncio
import os
import threading

from sipmote.agent.errors import AgentError
from sipmote.agent.uas import MessageReceived
from sipmote.agent.uri import parse_uri
from sipmote.agent.user_agent import UserAgent
from sipmote.inbox.received import addressee
from sipmote.inbox.screen import Screen
from sipmote.sip.shell import Shell

_MAX_WAITING = 100  # lines
_MAX_WRITERS = 1000  # whose name for us is remembered


class Keyboard:
    """Sends what comes on stdin."""

    def __init__(self, ua: UserAgent, shell: Shell, screen: Screen) -> None:
        """Read nothing yet, within the running loop."""
        self._ua = ua
        self._shell = shell
        self._screen = screen
        self._last: MessageReceived | None = None
        self._names: dict[bytes, bytes] = {}  # address-of-record of who wrote -> what he wrote to, latest last
        self._loop = asyncio.get_running_loop()
        self._lines: asyncio.Queue[str] = asyncio.Queue(_MAX_WAITING)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to read. A thread waits: a terminal that is shared with others must not be made non-blocking."""
        self._task = self._loop.create_task(self._send_lines())
        threading.Thread(target=self._read_stdin, daemon=True).start()

    def answer_to(self, event: MessageReceived) -> None:
        """This is the last message from now on."""
        self._last = event
        writer = _address_of_record(event.sender)
        self._names.pop(writer, None)
        self._names[writer] = addressee(event)
        if len(self._names) > _MAX_WRITERS:
            del self._names[next(iter(self._names))]

    def _read_stdin(self) -> None:
        with open(os.dup(0), errors="replace") as lines:  # not sys.stdin, whose lock would be held when we exit
            for line in lines:
                asyncio.run_coroutine_threadsafe(self._lines.put(line), self._loop).result()

    async def _send_lines(self) -> None:
        while True:
            line = (await self._lines.get()).strip()
            if line:
                try:
                    await self._send(line)
                except (AgentError, OSError) as error:
                    self._screen.warning(f"not sent: {error}", line=line)
                except Exception as error:  # a fault of ours: the next line may be none
                    self._screen.warning(f"not sent: {error!r}", line=line)

    async def _send(self, line: str) -> None:
        last = self._last
        if line.startswith(("sip:", "sips:")):
            uri, _, text = line.partition(" ")
            target, flow = uri.encode(), None
        elif last is None:
            self._screen.warning("nobody to answer yet: type sip:user@host TEXT", line=line)
            return
        else:
            target, flow, text = last.sender, last.flow, line
        sender = self._names.get(_address_of_record(target))
        await self._shell.send(self._ua.new_call_id(), target, text.strip().encode(), flow=flow, sender=sender)

    async def close(self) -> None:
        """Send no more."""
        if self._task:
            self._task.cancel()


def _address_of_record(uri: bytes) -> bytes:
    try:
        return parse_uri(uri).address_of_record()
    except AgentError:  # for who sends to it to say
        return uri
