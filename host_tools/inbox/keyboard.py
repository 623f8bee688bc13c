"""Lines that are typed, or come from a program: TEXT answers the last message, URI TEXT goes to that URI.

What begins like an address never goes to who wrote last: a text for one must not reach another. A person at a prompt
has commands, which begin with a slash, and chooses whom TEXT goes to.
"""

import asyncio
import concurrent.futures
import contextlib
import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches

from sipmote.agent.errors import AgentError, ParseError, UsageError
from sipmote.agent.uas import MessageReceived
from sipmote.agent.uri import parse_host_port, parse_uri
from sipmote.agent.user_agent import UserAgent
from sipmote.errors import ToolError
from sipmote.inbox.outbox import Outbox
from sipmote.inbox.received import Received
from sipmote.inbox.screen import Screen
from sipmote.people import named
from sipmote.sip.places import Flow, split_zone
from sipmote.sip.shell import Shell

_TEXT = b"text/plain"
_MAX_WAITING = 100  # lines
_MAX_OURS = 1000  # Call-IDs
_CLOSING_S = 1.0
_SHOWN = 10  # messages, where nobody says how many

# An address at the beginning of a line: in angle brackets, with or without a name before them; a URI of a scheme by
# which people are reached, in any case (RFC 3261 section 19.1.4); somebody@somewhere. The rest is the text.
_IN_BRACKETS = re.compile(
    r'(?:"(?:[^"\\]|\\.)*"|[^<>"@:]{0,64}?)\s*<\s*([a-z][a-z0-9+.-]*:[^<>]*?)\s*>\s*(.*)', re.I | re.S
)
_URI = re.compile(r"((?:sips?|im|pres|tel|sms|smsto|mailto|xmpp|callto|h323|urn):\S*)\s*(.*)", re.I | re.S)
_BARE = re.compile(r"([^\s@:/]+@[^\s@]*[\w\]])(?:\s|$)")
_SCHEMES = ("sip", "sips", "im", "tel")


_HELP = {  # of a command: what it takes, what it does
    "to": ("NAME|URI", "whom lines go to; /to alone: who wrote last"),
    "history": ("[N]", f"the last {_SHOWN} or N messages"),
    "help": ("", "this"),
    "quit": ("", "the end, as Ctrl-D"),
}
_MORE_HELP = ("URI TEXT      for once to that URI", "//TEXT        a text that begins with a slash")


@dataclass(frozen=True)
class Aim:
    """Whom a line goes to that begins with no address.

    target: a URI, b"" for nobody. name: as people see it. event: the message that is answered, None for no answer.
    flow, to: by which he wrote to an inbox that has ended, and to which URI; None and b"" where that doesn't matter.
    is_secret: has he written encrypted?
    """

    target: bytes
    name: str
    event: MessageReceived | None = None
    flow: Flow | None = None
    to: bytes = b""
    is_secret: bool = False


class Keyboard:
    """Sends what comes on stdin."""

    def __init__(
        self,
        ua: UserAgent,
        shell: Shell,
        outbox: Outbox,
        screen: Screen,
        history: Callable[[int], None],
        quit: Callable[[], None],
    ) -> None:
        """Read nothing yet, within the running loop. history: shows so many messages. quit: ends the inbox."""
        self._ua = ua
        self._shell = shell
        self._outbox = outbox
        self._screen = screen
        self._history = history
        self._quit = quit
        self._last = Aim(b"", "nobody")  # who wrote last
        self._chosen: Aim | None = None
        self._ours: dict[bytes, None] = {}  # Call-IDs of what was sent, latest last
        self._loop = asyncio.get_running_loop()
        self._lines: asyncio.Queue[tuple[str, Aim | None]] = asyncio.Queue(_MAX_WAITING)
        self._task: asyncio.Task[None] | None = None

    def start(self, reads: bool) -> None:
        """Begin to send; reads: and to read. A thread waits: a shared terminal must not be made non-blocking."""
        self._task = self._loop.create_task(self._send_lines())
        if reads:
            threading.Thread(target=self._read_stdin, daemon=True).start()

    def answer_to(self, event: MessageReceived, is_secret: bool) -> None:
        """This is the last message from now on. is_secret: it came encrypted."""
        self._last = Aim(event.sender, os.fsdecode(event.sender), event, is_secret=is_secret)

    def wrote_last(self, one: Received) -> None:
        """This was the last message when an inbox ended: a line goes to its sender, as if it answered."""
        flow: Flow | None = None
        with contextlib.suppress(ParseError):  # of an address with a zone
            flow = one.transport.upper().encode(), *parse_host_port(one.source.encode())
        self._last = Aim(
            os.fsencode(one.sender), one.sender, flow=flow, to=os.fsencode(one.to), is_secret=one.encrypted
        )

    def aim(self) -> Aim:
        """Return whom a line goes to that is begun now."""
        return self._chosen or self._last

    def has_sent(self, call_id: bytes) -> bool:
        """Was it we who sent this, and somebody's store or proxy has brought it back?"""
        return call_id in self._ours

    async def take(self, line: str, aim: Aim) -> None:
        """Take a line that a person has typed at a prompt that showed this aim: a command, or a text to send."""
        line = line.strip()
        if line.startswith("/") and not line.startswith("//"):
            self._obey(*line[1:].split(None, 1))
        else:
            await self._lines.put((line[1:] if line.startswith("//") else line, aim))

    def _obey(self, command: str = "", rest: str = "") -> None:
        if command == "to":
            self._choose(rest)
        elif command == "history" and (not rest or re.fullmatch(r"[1-9][0-9]{0,3}", rest)):
            self._history(int(rest or _SHOWN))
        elif command == "quit":
            self._quit()
        elif command in ("help", "history"):
            lines = [f"/{name} {takes}".ljust(14) + does for name, (takes, does) in _HELP.items()]
            self._screen.help([*lines, *_MORE_HELP])
        else:
            near = get_close_matches(command, _HELP, 1)
            meant = f"is /{near[0]} meant? " if near else ""
            self._screen.warning(
                f"there is no /{command}: {meant}/help tells what there is, //{command} is sent as a text"
            )

    def _choose(self, name: str) -> None:
        """Have all lines from now on go to a name or URI; to who wrote last without one."""
        if not name:
            self._chosen = None
            return
        try:
            uri, rest = split_address(named(name))
            if rest or not uri:
                raise UsageError(f"{name} is no name or URI alone")
            parse_uri(os.fsencode(split_zone(uri)[0]))
        except (AgentError, ToolError) as error:
            self._screen.warning(f"not chosen: {getattr(error, 'detail', error)}")
            return
        self._chosen = Aim(os.fsencode(uri), name)

    def _read_stdin(self) -> None:
        with open(os.dup(0), errors="replace") as lines:  # not sys.stdin, whose lock would be held when we exit
            for line in lines:
                try:
                    asyncio.run_coroutine_threadsafe(self._lines.put((line, None)), self._loop).result()
                except (RuntimeError, concurrent.futures.CancelledError):  # the inbox has ended
                    return

    async def _send_lines(self) -> None:
        while True:
            line, aim = await self._lines.get()
            line = line.strip()
            if line:
                try:
                    await self._send(line, self._last if aim is None else aim)
                except (AgentError, ToolError, OSError) as error:
                    self._screen.warning(f"not sent: {error}", line=line)
                except Exception as error:  # a fault of ours: the next line may be none
                    self._screen.warning(f"not sent: {error!r}", line=line)
            self._lines.task_done()

    async def _send(self, line: str, aim: Aim) -> None:
        uri, text = split_address(line)
        if uri:
            aim = Aim(uri.encode(), uri)
        if not aim.target:
            raise UsageError("nobody to answer yet: type sip:user@host TEXT")
        if not text:
            raise UsageError(f"no text: type {uri} TEXT")
        target = aim.target
        if aim.event is None:
            written, zones = split_zone(os.fsdecode(target))
            self._shell.add_zones(zones)
            target = os.fsencode(written)
        way = await self._outbox.way(target, aim.event, aim.flow, aim.to)
        call_id = self._ua.new_call_id()
        self._ours[call_id] = None
        if len(self._ours) > _MAX_OURS:
            del self._ours[next(iter(self._ours))]
        body, options = self._outbox.protected(target, way.sender, call_id, _TEXT, text.encode())
        if aim.is_secret and options["content_type"] == _TEXT:
            self._screen.warning(
                f"this goes in clear, and {aim.name} wrote encrypted: sipmote keys trust FILE takes his certificate",
                line=line,
            )
        await self._shell.send(call_id, target, body, flow=way.flow, sender=way.sender, **options)

    async def close(self) -> None:
        """Send what was typed before the end, if that can be done at once, and no more."""
        if self._task:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._lines.join(), _CLOSING_S)
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
