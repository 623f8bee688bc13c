"""SIP on a serial line, beside a board's console and its log: the host's end of micropython/mote/net/serial.py.

The frames are those of frames.py: [4, what, number, octets]. A board's datagram comes whole. One for the board goes in
pieces of at most 200 octets with their frame, as an ESP32 holds no more than 259 unread: the next one when this one is
acknowledged, the same one again when it isn't. What can't be delivered is given up, as a network would: SIP's timers
make up for that. Each end greets with the version of all this, which alone stays as it is.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any, Protocol

import serial

from sipmote.agent.errors import ParseError
from sipmote.agent.uri import parse_uri
from sipmote.console import Output
from sipmote.errors import ToolError
from sipmote.link.frames import IDLE_S, Bridged, encode_bridged
from sipmote.link.port import named_port, ports, real_path
from sipmote.link.reader import Gone, Heard, Opened, Reader
from sipmote.link.teller import Teller
from sipmote.link.watched import Watched

VERSION = 1
GREETING, DATAGRAM, TAKEN, PIECE = 0, 1, 2, 4  # what a frame is
FIRST, LAST = 1, 2  # added to PIECE
PIECE_OCTETS = 137  # in 200 octets of frame
_NUMBERS = 23  # of pieces, in turn
_WAITS_S = (0.3, 0.6, 1.2, 2.4)  # for an acknowledgement, before the same piece is sent again
_MOST_WAITING = 64  # datagrams; those that are too many are lost
_ASK_S = 1.0  # between two questions who is there
_GREETS_S = 12.0  # within which a board greets, that does so every 10 s
_MISSED_S = 25.0  # without a greeting
_RETURN_S = 0.5  # between two looks whether a port is back
_END_S = 2.0  # for a reader to end

Flow = tuple[bytes, bytes, int]  # (b"SERIAL", the port's name, 0)


class Owner(Protocol):
    """Who hears of what happens on a line, in its loop."""

    def datagram(self, line: "Line", data: bytes) -> None:
        """The board has sent this."""

    def greeted(self, line: "Line") -> None:
        """A board that we didn't know of is there: line.aor has its name."""

    def lost(self, line: "Line", why: str) -> None:
        """The board is there no longer."""

    def taken(self) -> set[str]:
        """Return the real paths of the ports that are read."""

    def ended(self, line: "Line", why: str) -> None:
        """Nothing more can come from there."""


class Line:
    """A port, and the board behind it, wherever that comes back.

    device: the port as it was asked for, which names it from then on. aor: the board's address-of-record, None while
    none has greeted.
    """

    def __init__(self, device: str, output: Output, tell_time: Callable[[], int | None]) -> None:
        """device: the port's name. output: for what the board says. tell_time: gives Unix seconds, None: not known."""
        self.device = device
        self.flow: Flow = (b"SERIAL", device.encode(), 0)
        self.aor: str | None = None
        self._output = output
        self._tell_time = tell_time
        self._board = Watched(device, self._take)
        self._teller = Teller(output)
        self._port: serial.Serial | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._waiting: list[bytes] = []  # datagrams, the one that is under way first
        self._more = asyncio.Event()
        self._number = 0  # of the next piece
        self._greeting: bytes | None = None  # what is to be sent with one
        self._begins_anew = False  # has the board, in the middle of a datagram?
        self._acknowledged: tuple[int, asyncio.Future[None]] | None = None  # the piece that is waited for
        self._misnamed: str | None = None  # a name that is none
        self._refused: int | None = None  # the version of a board that we can't work with
        self._asked_at = 0.0
        self._up_at = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, owner: Owner) -> None:
        """Open the port and begin, within the running loop. Raises ToolError."""
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._board.start(named_port(self.device), False, self._hear_from_thread)
        await self._opened
        for work in (self._deliver_all(), self._return(), self._miss()):
            self._begin(work)

    async def close(self) -> None:
        """Let go of the port."""
        reader, self._board.reader = self._board.reader, None
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if reader is not None:
            reader.stop()
            await asyncio.to_thread(reader.join, _END_S)

    @property
    def path(self) -> str | None:
        """The real path of its port, None while that isn't read."""
        return None if self._board.reader is None else real_path(self._board.device)

    @property
    def is_expected(self) -> bool:
        """May a board soon say that it is there?"""
        is_unnamed = self._port is not None and self.aor is None and self._refused is None
        return is_unnamed and time.monotonic() < self._up_at + _GREETS_S

    def _begin(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _miss(self) -> None:
        """Tell a person if no board greets."""
        await asyncio.sleep(_MISSED_S)
        if self.aor is None and self._refused is None and self._port is not None:
            self._note(
                "no_board",
                f"no board has greeted at {self.device}: does its program run, and is its transport serial? "
                "(sipmote deploy --set transport=serial)",
            )

    # What comes; the port is read in a thread, as no system can wait for all kinds of ports

    def _hear_from_thread(self, reader: Reader, heard: Heard) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._hear, reader, heard)

    def _hear(self, reader: Reader, heard: Heard) -> None:
        if reader is not self._board.reader:
            return  # we have closed it
        if isinstance(heard, bytes):
            self._came(heard)
        elif isinstance(heard, Opened):
            self._came_up(reader)
        elif isinstance(heard, Gone):
            self._gone()
        elif not self._opened.done():
            self._opened.set_exception(heard)
        else:
            self._failed(heard)

    def _failed(self, error: ToolError) -> None:
        if self._board.failed(str(error), time.monotonic()):
            self._note("port_failed", f"{error}; it is tried again", reason=str(error))

    def _came(self, data: bytes) -> None:
        self._tell(self._board.events.feed(data, time.monotonic(), time.time()))
        if self._idle is not None:
            self._idle.cancel()
        self._idle = self._loop.call_later(IDLE_S, self._fall_silent) if self._board.events.holds else None

    def _fall_silent(self) -> None:
        self._tell(self._board.events.idle(time.monotonic(), time.time()))

    def _came_up(self, reader: Reader) -> None:
        """The port is open: who is there?"""
        before = self._board.opened_as
        self._port = reader.port
        self._up_at = time.monotonic()
        self._board.opened(ports(), self._up_at)
        if not self._opened.done():
            self._opened.set_result(None)
        else:
            device = self._board.device
            self._note("port_back", f"back: {device}" if device == before else f"{self.device} is back as {device}")
        self._greet(b"?")

    def _gone(self) -> None:
        self._port = None
        self._board.reader = None
        self._tell(self._board.events.detach(time.monotonic(), time.time()))
        self._note("port_gone", f"waiting for the return of {self._board.device}")
        self._lose("it was unplugged")
        if self._board.is_over:
            why = f"the virtual board at {self._board.device} has ended"
            self._note("board_ended", why)
            self._owner.ended(self, why)

    async def _return(self) -> None:
        """Read the port again when it is back, under whatever name."""
        while True:
            await asyncio.sleep(_RETURN_S)
            if self._board.is_due(time.monotonic()) and not self._board.is_over:
                there, taken = await asyncio.to_thread(ports), self._owner.taken()
                try:
                    device = self._board.place(there, taken)
                    if device is not None and real_path(named_port(device)) not in taken:
                        self._board.start(named_port(device), False, self._hear_from_thread)
                except ToolError as error:
                    self._failed(error)

    def _tell(self, events: list[dict[str, Any]]) -> None:
        """Say what the board has said beside the bridge's frames."""
        self._teller.tell(events, self._board.events.name, self.device)

    def _note(self, event: str, text: str, **more: str) -> None:
        self._output.warn(text, {"event": event, "port": self.device, **more})

    def _lose(self, why: str) -> None:
        self._waiting.clear()
        if self.aor is not None:
            self.aor = None
            self._owner.lost(self, why)

    def _take(self, item: Bridged) -> None:
        if item.what == GREETING:
            self._take_greeting(item)
        elif item.what == DATAGRAM:
            if self.aor is not None:
                self._owner.datagram(self, item.octets)
            elif self._refused is None and time.monotonic() - self._asked_at > _ASK_S:
                self._asked_at = time.monotonic()
                self._greet(b"?")
        elif item.what == TAKEN:
            self._taken(item.number)

    def _taken(self, number: int) -> None:
        if self._acknowledged is not None:
            awaited, taken = self._acknowledged
            if number == awaited and not taken.done():
                taken.set_result(None)

    def _take_greeting(self, item: Bridged) -> None:
        if item.number != VERSION:
            self._refuse(item.number)
            return
        name = item.octets.removeprefix(b"!")
        if not _is_name(name):
            self._refuse_name(name.decode("utf-8", "backslashreplace"))
            return
        self._refused = None
        has_restarted = item.octets[:1] == b"!"
        is_new = self.aor is None or has_restarted
        self.aor = name.decode()
        self._greet(b"")
        if has_restarted and self._acknowledged is not None:
            self._begins_anew = True
            self._taken(self._acknowledged[0])
        if is_new:
            self._output.say(
                {"event": "board", "port": self.device, "aor": self.aor}, (f"{self.aor} is at {self.device}", "dim")
            )
            self._owner.greeted(self)

    def _refuse_name(self, name: str) -> None:
        """Tell once that nobody can write to a board that is called so."""
        if name != self._misnamed:
            self._misnamed = name
            self._note("no_board", f"the board at {self.device} calls itself {name!r}, which is no URI: deploy its aor")
        self._lose("its name can't be read")

    def _refuse(self, version: int) -> None:
        """Tell once that the board is of another version, and let it know."""
        if version != self._refused:
            self._refused = version
            remedy = "deploy to it again" if version < VERSION else "upgrade sipmote"
            text = f"the board at {self.device} speaks version {version} of the bridge, this is {VERSION}: {remedy}"
            told = {"event": "bridge_refused", "port": self.device, "version": version, "ours": VERSION}
            self._output.warn(text, told)
        self._lose("it is of another version")
        self._greet(b"")

    # What goes

    def send(self, data: bytes) -> None:
        """Have a datagram delivered, unless the same one waits."""
        if self.aor is not None and data not in self._waiting and len(self._waiting) < _MOST_WAITING:
            self._waiting.append(data)
            self._more.set()

    def _greet(self, question: bytes) -> None:
        """Greet between two datagrams: the board counts pieces anew then. question: b"?" if we ask who is there."""
        self._greeting = question or self._greeting or b""
        self._more.set()

    async def _deliver_all(self) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            while self._waiting or self._greeting is not None:
                if self._greeting is not None:
                    question, self._greeting = self._greeting, None
                    unix = self._tell_time()
                    await self._write(Bridged(GREETING, VERSION, question + (b"" if unix is None else b"%d" % unix)))
                    continue
                data = self._waiting[0]
                is_taken = await self._deliver(data)
                if self._begins_anew:
                    self._begins_anew = False
                elif not is_taken:
                    self._lose("it doesn't answer")
                elif self._waiting[:1] == [data]:
                    del self._waiting[0]

    async def _deliver(self, data: bytes) -> bool:
        """Send a datagram piece by piece; False when the board has taken one of them no more."""
        for at in range(0, len(data), PIECE_OCTETS):
            is_last = at + PIECE_OCTETS >= len(data)
            what = PIECE | (FIRST if at == 0 else 0) | (LAST if is_last else 0)
            piece = Bridged(what, self._number, data[at : at + PIECE_OCTETS])
            self._number = (self._number + 1) % _NUMBERS
            if not await self._deliver_piece(piece) or self._begins_anew:
                return False
        return True

    async def _deliver_piece(self, piece: Bridged) -> bool:
        taken: asyncio.Future[None] = self._loop.create_future()
        self._acknowledged = piece.number, taken
        try:
            for wait_s in _WAITS_S:
                await self._write(piece)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):  # wait_for() may swallow what close() says
                        await asyncio.shield(taken)
                    return True
                if self.aor is None:
                    return False
            return False
        finally:
            self._acknowledged = None

    async def _write(self, item: Bridged) -> None:
        """Write a frame; a port that has gone or takes nothing is found out by who reads it, or by the silence."""
        if self._port is not None:
            with contextlib.suppress(OSError, TypeError):  # the latter of a port that is closed meanwhile
                await asyncio.to_thread(self._port.write, encode_bridged(item))


class Lines:
    """The ports of a bridge, as a shell's carrier of flows that begin with b"SERIAL"."""

    def __init__(self, lines: list[Line]) -> None:
        self.lines = lines

    def send(self, data: bytes, flow: tuple[object, ...]) -> None:
        """Send a datagram to the board of a flow; it is lost where none is."""
        for line in self.lines:
            if line.flow == flow:
                line.send(data)

    def sent_by(self, flow: tuple[object, ...]) -> tuple[str, bytes]:
        """Return (host, sent-by) of ours as a board sees us. Raises OSError where there is no board."""
        if not any(line.flow == flow and line.aor is not None for line in self.lines):
            raise OSError("the board isn't there")
        return "serial.invalid", b"serial.invalid"

    def board(self, aor: str) -> Line | None:
        """Return the line of a board, None while it isn't there."""
        return next((line for line in self.lines if line.aor == aor), None)


def _is_name(octets: bytes) -> bool:
    """Is it the URI of somebody?"""
    try:
        return parse_uri(octets.decode().encode()).user is not None
    except (ParseError, UnicodeError):
        return False


def check_ports(devices: list[str]) -> None:
    """Raise ToolError for a port that is named twice, or not at all."""
    for device in devices:
        if not device:
            raise ToolError("--port is empty: name a port, or leave it out where there is just one")
        if devices.count(device) > 1:
            raise ToolError(f"--port {device} is named twice: name each board's port once")
