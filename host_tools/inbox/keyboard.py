"""Lines that are typed, or come from a program: TEXT answers the last message, URI TEXT goes to that URI.

What begins like an address never goes to who wrote last: a text for one must not reach another.
"""

import asyncio
import os
import re
import threading

from sipmote.agent.errors import AgentError, UsageError
from sipmote.agent.uas import MessageReceived
from sipmote.agent.user_agent import UserAgent
from sipmote.inbox.outbox import Outbox
from sipmote.inbox.screen import Screen
from sipmote.sip.places import split_zone
from sipmote.sip.shell import Shell

_MAX_WAITING = 100  # lines
_MAX_OURS = 1000  # Call-IDs

# An address at the beginning of a line: in angle brackets, with or without a name before them; a URI of a scheme by
# which people are reached, in any case (RFC 3261 section 19.1.4); somebody@somewhere. The rest is the text.
_IN_BRACKETS = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^<>"@:]{0,64}?)\s*<\s*([a-z][a-z0-9+.-]*:[^<>]*?)\s*>\s*(.*)', re.I)
_URI = re.compile(r"((?:sips?|im|pres|tel|sms|smsto|mailto|xmpp|callto|h323|urn):\S*)\s*(.*)", re.I)
_BARE = re.compile(r"([^\s@:/]+@[^\s@]*[\w\]])(?:\s|$)")
_SCHEMES = ("sip", "sips", "im", "tel")


class Keyboard:
    """Sends what comes on stdin."""

    def __init__(self, ua: UserAgent, shell: Shell, outbox: Outbox, screen: Screen) -> None:
        """Read nothing yet, within the running loop."""
        self._ua = ua
        self._shell = shell
        self._outbox = outbox
        self._screen = screen
        self._last: MessageReceived | None = None
        self._ours: dict[bytes, None] = {}  # Call-IDs of what was sent, latest last
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

    def has_sent(self, call_id: bytes) -> bool:
        """Was it we who sent this, and somebody's store or proxy has brought it back?"""
        return call_id in self._ours

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
        uri, text = split_address(line)
        last = None if uri else self._last
        if not uri and last is None:
            raise UsageError("nobody to answer yet: type sip:user@host TEXT")
        if not text:
            raise UsageError(f"no text: type {uri} TEXT")
        uri, zones = split_zone(uri)
        self._shell.add_zones(zones)
        target = uri.encode() if last is None else last.sender
        way = await self._outbox.way(target, last)
        call_id = self._ua.new_call_id()
        self._ours[call_id] = None
        if len(self._ours) > _MAX_OURS:
            del self._ours[next(iter(self._ours))]
        await self._shell.send(call_id, target, text.encode(), flow=way.flow, sender=way.sender)

    async def close(self) -> None:
        """Send no more."""
        if self._task:
            self._task.cancel()


def split_address(line: str) -> tuple[str, str]:
    """Return (URI, text) of a line that begins with an address, ("", line) of any other.

    Raises UsageError, with what to type instead, for an address that no message can be sent to as it stands.
    """
    found = _IN_BRACKETS.fullmatch(line) or _URI.fullmatch(line)
    if found is None:
        bare = _BARE.match(line)
        if bare:
            raise UsageError(f"type sip:{bare[1]} TEXT to write to somebody else, or begin an answer with another word")
        return "", line
    scheme, _, rest = found[1].partition(":")
    if scheme.lower() not in _SCHEMES:
        raise UsageError(f"messages go to sip:, sips:, im: and tel: URIs, and not to {scheme}:")
    return f"{scheme.lower()}:{rest}", found[2]
