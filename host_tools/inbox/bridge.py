"""A relay between boards on serial lines and the network: what `sipmote bridge` is.

What a board sends goes on with its own Call-ID and From to whom it is for, or to one URI that is for all, once it is
stored; what somebody sends to a board waits until the board is there and has taken it. Nobody can use us to write to
anybody else: from the network there is a way to our boards alone.
"""

import contextlib
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from sipmote.agent.uas import MessageReceived
from sipmote.agent.uri import Uri, parse_uri
from sipmote.inbox.app import Inbox, Options
from sipmote.inbox.parcels import Due, flow_of
from sipmote.inbox.received import Parcel, Received
from sipmote.inbox.relay import Relay
from sipmote.inbox.screen import Screen
from sipmote.inbox.store import Store
from sipmote.link.bridge import Line, Lines
from sipmote.people import logins, person
from sipmote.printer import Printer
from sipmote.sip.places import Flow
from sipmote.sip.shell import Answer, Carrier

_SERIAL = b"SERIAL"
_TO_BOARD = "serial:"  # begins what a parcel has as its user: a board's address-of-record follows. Else it is a URI
_NO_BOARD: Answer = (480, b"No Such Board Is Connected Here")
_NOWHERE: Answer = (404, b"Who Is That? Give The Bridge --to URI")
_PLACE = "sip:serial.invalid"
_MOST_KNOWN = 10_000  # people who have written to boards
_BOARDS = "SELECT DISTINCT sender FROM message WHERE transport = 'serial'"
_PEOPLE = """
SELECT sender, transport, source, max(id) FROM message WHERE transport != 'serial' GROUP BY sender ORDER BY 4 DESC
    LIMIT ?
"""


class Bridge(Inbox):
    """The application of a bridge: an inbox that relays, whose shell has serial lines beside its sockets."""

    def __init__(
        self,
        options: Options,
        store: Store,
        screen: Screen,
        printer: Printer,
        quit: Callable[[], None],
        lines: Iterable[Line],
    ) -> None:
        self._lines = Lines(list(lines))
        super().__init__(options, store, screen, printer, quit)

    def _carriers(self) -> Mapping[bytes, Carrier]:
        return {_SERIAL: self._lines}

    def _whose(self, flow: Flow) -> bytes | None:
        """A board is who it says it is: it has our cable."""
        line = next((line for line in self._lines.lines if line.flow == flow), None)
        return None if line is None or line.aor is None else logins(line.aor)[0].encode()

    def _make_relay(self) -> Relay:
        self._ways = _BridgeRelay(self._ua, self._shell, self._store, _PLACE, "drop", self._screen.relay)
        self._ways.begin(self._store, self._lines, self._options.relay_to)
        return self._ways

    def _pack(self, event: MessageReceived, received: float) -> Parcel | None:
        parcel = super()._pack(event, received)
        return parcel and replace(parcel, user=self._ways.recipient(event))

    async def open(self) -> None:
        """Open the ports, and listen. Raises ToolError."""
        for line in self._lines.lines:
            line.open(self)
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
        self._ways.board_is_there(line)

    def lost(self, line: Line, why: str) -> None:
        """A board is there no longer."""
        self._screen.warning(f"the board at {line.device} can't be reached: {why}", port=line.device)
        self._shell.failed(line.flow, why)


class _BridgeRelay(Relay):
    """Passes messages on, from boards and to them. A parcel's user says to whom."""

    def begin(self, store: Store, lines: Lines, to: str | None) -> None:
        """Know the lines, and who gets what boards send to nobody in particular (a URI, None: nobody).

        What earlier runs have learned is in the store. Raises sqlite3.Error.
        """
        db = store.db
        self._lines = lines
        self._to = to
        self._boards: dict[str, str] = {person(sender): sender for (sender,) in db.execute(_BOARDS)}
        found = db.execute(_PEOPLE, (_MOST_KNOWN,)).fetchall()
        self._people: OrderedDict[str, Flow] = OrderedDict(
            (person(row[0]), flow_of(*row[1:3])) for row in reversed(found)
        )

    def recipient(self, event: MessageReceived) -> str:
        """Return as whose a message is to wait, "" where it may go nowhere."""
        uri = parse_uri(event.message.uri)
        sender = event.sender.decode(errors="replace")
        is_ours = event.flow[0] == _SERIAL
        if is_ours:
            self._boards[person(sender)] = sender
        else:
            self._people[person(sender)] = event.flow
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
        parsed = {aor: parse_uri(aor.encode()) for aor in self._boards.values()}
        named = [aor for aor, other in parsed.items() if other.user == uri.user]
        exact = [aor for aor in named if parsed[aor].host == uri.host]
        return next(iter(exact or ([] if by_host else named)), None)

    def board_is_there(self, line: Line) -> None:
        """Let all that waits for a board be due now."""
        if line.aor is not None:
            self._boards[person(line.aor)] = line.aor
            with contextlib.suppress(sqlite3.Error):  # told by who works
                self.parcels.hasten(_TO_BOARD + line.aor)
            self.more()

    def refusal(self, one: Received) -> Answer | None:
        if one.parcel is not None and not one.parcel.user:
            return _NOWHERE if one.transport == "serial" else _NO_BOARD
        return super().refusal(one)

    def _recipient_of(self, sender: str) -> str:
        return parse_uri(sender.encode()).address_of_record().decode()

    def _target_for(self, user: str) -> bytes:
        return user.removeprefix(_TO_BOARD).encode()

    async def _flow_for(self, due: Due) -> Flow | None:
        user = due.parcel.user
        if user.startswith(_TO_BOARD):
            line = self._lines.board(user.removeprefix(_TO_BOARD))
            if line is None:
                raise OSError("the board isn't connected")
            return line.flow
        known = self._people.get(person(user))
        return None if known is None else await self._shell.way_back(user.encode(), known)

    async def _way_back(self, asker: bytes, flow: Flow) -> Flow | None:
        return flow if flow[0] == _SERIAL else await super()._way_back(asker, flow)
