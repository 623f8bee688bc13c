"""A relay between boards on serial lines and the network: what `sipmote bridge` is.

What a board sends goes on with its own Call-ID and From to whom it is for, or to one URI that is for all, once it is
stored; what somebody sends to a board waits until the board is there and has taken it. Nobody can use us to write to
anybody else: from the network there is a way to our boards alone.
"""

import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from sipmote.agent.errors import ParseError
from sipmote.agent.escapes import unescape
from sipmote.agent.uas import MessageReceived
from sipmote.agent.uri import Uri, parse_uri
from sipmote.errors import ToolError
from sipmote.inbox.app import Inbox
from sipmote.inbox.database import StoreError
from sipmote.inbox.options import Options
from sipmote.inbox.parcels import Due
from sipmote.inbox.received import Parcel, Received
from sipmote.inbox.relay import Relay
from sipmote.inbox.screen import Screen
from sipmote.inbox.store import Store
from sipmote.inbox.waiting import Waiting
from sipmote.link.bridge import Line, Lines
from sipmote.people import logins, person
from sipmote.printer import Printer
from sipmote.sip.places import Flow
from sipmote.sip.shell import Answer, Carrier

_SERIAL = b"SERIAL"
_TO_BOARD = "serial:"  # begins what a parcel has as its user: a board's address-of-record follows. Else it is a URI
_NO_BOARD: Answer = (480, b"No Such Board Is Connected Here")
_TOO_MANY: Answer = (480, b"Too Many Wait For It", b"Retry-After: 60\r\n")  # not 503: that would be about all boards
_NOT_YET: Answer = (503, b"Not All Boards Have Said Who They Are", b"Retry-After: 2\r\n")
_NOWHERE: Answer = (404, b"Who Is That? Give The Bridge --to URI")
_REFUSED = (401, 403, 404)  # by a board: it doesn't take this from him, and asks us for no password of ours
_PLACE = "sip:serial.invalid"
_FORGED = "!"  # a parcel's user: a board has written in another's name
_NOT_ITS_NAME: Answer = (403, b"From Is Not Who Is At That Port")
_MOST_KNOWN = 10_000  # people who have written to boards
_ANSWERED_S = 120.0  # for which what a board sends them may go where they wrote from: anybody can write their names
_BOARDS = "SELECT DISTINCT sender FROM message WHERE transport = 'serial'"


class Bridge(Inbox):
    """The application of a bridge: an inbox that relays, whose shell has serial lines beside its sockets."""

    def __init__(
        self,
        options: Options,
        store: Store,
        screen: Screen,
        printer: Printer,
        quit: Callable[..., None],
        lines: Iterable[Line],
    ) -> None:
        self._lines = Lines(list(lines))
        self._quit = quit
        self._over: set[Line] = set()
        super().__init__(options, store, screen, printer, quit)

    def _carriers(self) -> Mapping[bytes, Carrier]:
        return {_SERIAL: self._lines}

    def _whose(self, flow: Flow) -> bytes | None:
        """A board is who it says it is: it has our cable."""
        line = next((line for line in self._lines.lines if line.flow == flow), None)
        return None if line is None or line.aor is None else logins(line.aor)[0].encode()

    def _make_relay(self) -> Relay:
        self._ways = _BridgeRelay(self._ua, self._shell, self._store, _PLACE, "drop", self._screen.relay)
        self._ways.begin(self._store, self._lines, self._options.relay_to, self._refusals.drop)
        return self._ways

    def _pack(self, event: MessageReceived, received: float) -> Parcel | None:
        parcel = super()._pack(event, received)
        return parcel and replace(parcel, user=self._ways.recipient(event))

    async def open(self) -> None:
        """Open the ports, and listen. Raises ToolError."""
        if not self._ways.has_turn():
            raise ToolError(
                f"{self._store.path} is in use by another bridge: name this board's port there, too, or another --db"
            )
        for line in self._lines.lines:
            await line.open(self)
        await super().open()

    async def close(self) -> None:
        """Let go of ports and sockets."""
        for line in self._lines.lines:
            await line.close()
        await super().close()

    # What lines tell

    def datagram(self, line: Line, data: bytes) -> None:
        """A board has sent this."""
        self._shell.received((data,), line.flow)

    def greeted(self, line: Line) -> None:
        """A board is there: it can have what waits for it."""
        for other in self._lines.lines:
            if other is not line and other.aor == line.aor:
                self._screen.warning(
                    f"the boards at {other.device} and {line.device} are both called {line.aor}, and one of them gets "
                    "what is for it: every board wants an aor of its own (sipmote config set aor=...)",
                    port=line.device,
                )
        self._ways.board_is_there(line)

    def lost(self, line: Line, why: str) -> None:
        """A board is there no longer."""
        self._screen.warning(f"the board at {line.device} can't be reached: {why}", port=line.device)
        self._shell.failed(line.flow, why)

    def taken(self) -> set[str]:
        """Return the real paths of the ports that are read."""
        return {line.path for line in self._lines.lines if line.path is not None}

    def ended(self, line: Line, why: str) -> None:
        """No board can come back there. Without any other there is nothing left to do."""
        self._over.add(line)
        if self._over.issuperset(self._lines.lines):
            self._quit(ToolError(why))


class _BridgeRelay(Relay):
    """Passes messages on, from boards and to them. A parcel's user says to whom."""

    def begin(self, store: Store, lines: Lines, to: str | None, drop: Callable[[str], None]) -> None:
        """Know the lines, and who gets what boards send to nobody in particular (a URI, None: nobody).

        What earlier runs have learned is in the store. drop: tells people what was refused. Raises StoreError.
        """
        self._lines = lines
        self._to = to
        self._drop = drop
        self._waiting = Waiting(store)
        self._boards: dict[str, Uri] = {}  # the one that has greeted last stands last
        for (sender,) in store.db.query(_BOARDS):
            with contextlib.suppress(ParseError):
                self._boards[sender] = parse_uri(sender.encode())
        self._people: OrderedDict[str, tuple[Flow, float]] = OrderedDict()  # and when they have written last

    def recipient(self, event: MessageReceived) -> str:
        """Return as whose a message is to wait, "" where it may go nowhere."""
        uri = parse_uri(event.message.uri)
        sender = event.sender.decode(errors="replace")
        is_ours = event.flow[0] == _SERIAL
        if is_ours:
            line = next((line for line in self._lines.lines if line.flow == event.flow), None)
            if line is None or line.aor is None or person(line.aor) != person(sender):
                return _FORGED
        else:
            self._people[person(sender)] = event.flow, time.monotonic()
            self._people.move_to_end(person(sender))
            if len(self._people) > _MOST_KNOWN:
                self._people.popitem(last=False)
        board = self._board(uri, is_ours)
        if board is not None:
            return _TO_BOARD + board
        if uri.host.endswith(b".invalid"):
            return self._to or "" if is_ours else ""
        return uri.request_uri().decode() if is_ours else ""

    def _board(self, uri: Uri, by_host: bool) -> str | None:
        """Return the address-of-record of the board that a URI names, None for none.

        by_host: by user and host alone. From the network the user will do: our own address may stand behind it.
        """
        user = unescape(uri.user or b"")
        named = [aor for aor, other in self._boards.items() if unescape(other.user or b"") == user]
        exact = [aor for aor in named if self._boards[aor].host == uri.host]
        found = exact or ([] if by_host else named)
        there = [aor for aor in found if self._lines.board(aor) is not None]
        if not exact and len(there) > 1:
            return None  # who of them is meant?
        return next(reversed(there or found), None)

    def board_is_there(self, line: Line) -> None:
        """Let all that waits for a board be due now."""
        if line.aor is not None:
            self._boards.pop(line.aor, None)
            self._boards[line.aor] = parse_uri(line.aor.encode())
            with contextlib.suppress(StoreError):  # told by who works
                self.parcels.hasten(_TO_BOARD + line.aor)
            self.more()

    def refusal(self, one: Received) -> Answer | None:
        if one.parcel is not None and one.parcel.user == _FORGED:
            return _NOT_ITS_NAME
        if one.parcel is not None and not one.parcel.user:
            if one.transport != "serial":
                return _NO_BOARD
            return _NOT_YET if any(line.is_expected for line in self._lines.lines) else _NOWHERE
        return super().refusal(one) or self._overflow(one)

    def _overflow(self, one: Received) -> Answer | None:
        """Return the answer to a message for a board that too many wait for, of its sender or in all."""
        assert one.parcel
        with contextlib.suppress(StoreError):  # who stores it will tell
            if one.parcel.user.startswith(_TO_BOARD) and not self._waiting.has_room(one.parcel.user, one):
                self._drop("a message for a board that too many wait for")
                return _TOO_MANY
        return None

    def _recipient_of(self, sender: str) -> str:
        return parse_uri(sender.encode()).address_of_record().decode()

    def _may_change(self, due: Due, status: int) -> bool:
        is_refused = due.parcel.user.startswith(_TO_BOARD) and status in _REFUSED
        return not is_refused and super()._may_change(due, status)

    def _target_for(self, user: str) -> bytes:
        return user.removeprefix(_TO_BOARD).encode()

    async def _flow_for(self, due: Due) -> Flow | None:
        user = due.parcel.user
        if user.startswith(_TO_BOARD):
            line = self._lines.board(user.removeprefix(_TO_BOARD))
            if line is None:
                raise OSError("the board isn't connected")
            return line.flow
        flow, written_at = self._people.get(person(user), (None, 0.0))
        if flow is None or time.monotonic() - written_at > _ANSWERED_S:
            return None
        return await self._shell.way_back(user.encode(), flow)

    async def _way_back(self, asker: bytes, flow: Flow) -> Flow | None:
        return flow if flow[0] == _SERIAL else await super()._way_back(asker, flow)
