"""How events of boards are told: lines for people, each event for programs, and what of it is wanted at all."""

import contextlib
import itertools
import json
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from sipmote.console import Output, Part, without_colours
from sipmote.link.board_events import Event, heard
from sipmote.link.frames import LEVELS
from sipmote.link.history import History
from sipmote.link.tracebacks import located
from sipmote.link.view import View

if TYPE_CHECKING:
    from sipmote.link.desk import Desk

_STYLES = dict(zip(LEVELS, ("dim", "green", "yellow", "bold red"), strict=True))
_COUNTED = {"lost": "log records lost", "damaged": "damaged frame"}
_NAME_STYLE = "cyan"


@dataclass(frozen=True)
class Wanted:
    """Which events are to be told.

    level: the least of a record. name: a pattern of records' names, such as "wifi_*"; console text is not wanted then.
    board: a pattern of a board's name or port. grep: what a record's line, or one of the console, has to have in it.
    """

    level: str = LEVELS[0]
    name: str | None = None
    board: str | None = None
    grep: re.Pattern[str] | None = None

    def takes(self, event: Event, board: str, port: str) -> bool:
        """Is this event of a board wanted?"""
        if self.board and not any(fnmatchcase(name, self.board) for name in (board, port, port.rpartition("/")[2])):
            return False
        if event["event"] == "log":
            if LEVELS.index(event["level"]) < LEVELS.index(self.level):
                return False
            if self.name and not fnmatchcase(event["name"], self.name):
                return False
            return self.grep is None or bool(self.grep.search(_told(event)))
        if event["event"] == "console":
            return self.name is None and (self.grep is None or bool(self.grep.search(event["text"])))
        return self.name is None and self.grep is None


class Teller:
    """Says what boards say and what becomes of their ports."""

    def __init__(
        self,
        output: Output,
        several: bool = False,
        utc: bool = False,
        wanted: Wanted | None = None,
        history: History | None = None,
        dated: bool = False,
        view: View | None = None,
        desk: "Desk | None" = None,
    ) -> None:
        """several: each line names its board. utc: times are not this computer's local ones.

        history: keeps everything, wanted or not. dated: console lines say when they were heard. view: of a terminal, to
        which all of it goes in place of lines. desk: gets all log records, wanted or not.
        """
        self._output = output
        self._history = history
        self._dated = dated
        self._view = view
        self._desk = desk
        self._several = several
        self._utc = utc
        self._wanted = wanted or Wanted()
        self._width = 0  # of the longest name so far
        self._ports: dict[str, set[str]] = {}  # of boards by name

    def tell(self, events: Iterable[Event], board: str, port: str, aor: str | None = None) -> None:
        """Say what a board at a port has said, as far as it is wanted. aor: the board's, None where nobody knows it."""
        events = list(events)
        if self._desk is not None:
            for event in events:
                self._desk.add(event, aor, port, time.time())
        if self._history is not None:
            for event in events:
                self._history.add(event, board, port, time.time())
        wanted = [event for event in events if self._wanted.takes(event, board, port)]
        if self._view is not None:
            lines = [brief_of(event, self._utc) for event in wanted if event.get("text") != ""]
            self._view.take(wanted, lines, board, port, time.monotonic())
            return
        for is_text, group in itertools.groupby(wanted, self._is_text):
            if is_text:
                for event in group:
                    self._output.text(event, _printed(event) + ("" if event.get("partial") else "\n"))
            else:
                self._output.show(
                    group,
                    lambda event: self._named(event, board, port),
                    lambda event: [*self._before(board, port), *line_of(event, self._utc, self._dated)],
                )

    def note(self, state: str, text: str, board: str, port: str, **more: Any) -> None:
        """Say what has become of a port. text: for people; more: further fields for programs."""
        event = {"event": state, "port": port, **more}
        if self._history is not None:
            now = time.time()
            self._history.add({**event, "text": text, "heard": heard(now)}, board, port, now)
        if self._view is not None:
            self._view.note(event, text, board, port, time.monotonic())
        else:
            self._output.warn(text, self._named(event, board, port))

    def tick(self, now: float) -> None:
        """Time has passed. now: seconds of a clock that never steps."""
        trouble = self._history and self._history.commit(now, time.time())
        for text in (*([trouble] if trouble else ()), *(self._desk.news() if self._desk else ())):
            if self._view is not None:
                self._view.warn(text)
            else:
                self._output.warn(text, {"event": "warning", "text": text})
        if self._view is not None:
            self._view.show(now)

    def _is_text(self, event: Event) -> bool:
        """Is it text that people see as it comes, as nothing has to stand before it?"""
        return event["event"] == "console" and not self._several and not self._dated

    def _named(self, event: Event, board: str, port: str) -> Event:
        return {"event": event["event"], "board": board, "port": port, **event} if self._several else event

    def _before(self, board: str, port: str) -> list[Part]:
        """Return what a line begins with: the board, and of two that have one name also the port."""
        ports = self._ports.setdefault(board, set())
        ports.add(port)
        if len(ports) > 1:
            board = f"{board}@{port.rpartition('/')[2]}"
        self._width = max(self._width, len(board))
        return [(f"{board:{self._width}} ", _NAME_STYLE)] if self._several else []


def line_of(event: Event, utc: bool, dated: bool = False) -> list[Part]:
    """Return an event as a line for people. dated: as for Teller."""
    if event["event"] == "log":
        return [(f"{_when(event, utc)} {event['level']} {_told(event)}", _STYLES[event["level"]])]
    when: list[Part] = [(f"{_time(event['heard'], utc)} ", "dim")] if dated and "heard" in event else []
    if event["event"] == "console":
        return [*when, without_colours(_printed(event)) + (" …" if event.get("partial") else "")]
    if event["event"] not in _COUNTED:
        return [*when, (str(event.get("text")), "dim")]
    return [(f"[{event['count']} {_COUNTED[event['event']]}]", "yellow")]


def brief_of(event: Event, utc: bool) -> list[Part]:
    """Return an event as a line where there is little room: with the time of day alone, when it was heard."""
    clock: list[Part] = [(f"{_time(event['heard'], utc)[11:19]} ", "dim")] if "heard" in event else []
    if event["event"] == "log":
        return [*clock, (f"{event['level']} {_told(event)}", _STYLES[event["level"]])]
    return [*clock, *line_of(event, utc)]


def _printed(event: Event) -> str:
    """Return what a board has printed, with the places in our own sources that it tells of."""
    text: str = event["text"]
    return located(text) if "source" in event else text


def _told(event: Event) -> str:
    """Return a record's name and fields."""
    fields = dict(event["fields"])
    if event["name"] == "boot" and event.get("build", "0000") != "0000":  # once is enough for people
        fields["build"] = event["build"]
    if "source" in event:
        fields["at"] = located(fields["at"])
    told = " ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in fields.items())
    return f"{event['name']} {told}".rstrip()


def _when(event: Event, utc: bool) -> str:
    """Return a record's date and how sure that is; for a board without one when we heard it, and how long it is up."""
    if event["date"]:
        hours = (event["clock_age_s"] or 0) // 3600
        return f"{_time(event['date'], utc)} ({event['clock']}{f' of {hours} h ago' if hours else ''})"
    seconds, ms = divmod(event["uptime_ms"], 1000)
    return f"{_time(event['heard'], utc)} (heard, up {seconds}.{ms:03} s)"


def _time(text: str, utc: bool) -> str:
    moment = datetime.fromisoformat(text)
    if not utc:
        with contextlib.suppress(OverflowError):  # a board may believe to live at the end of 9999
            return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
