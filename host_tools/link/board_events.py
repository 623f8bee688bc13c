"""What one board says, as the events that programs read: octets in, events out. No port, no clock."""

import contextlib
import math
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sipmote.link.console_lines import ConsoleLines
from sipmote.link.frames import LEVELS, QUALITIES, Bridged, Console, Decoder, Item, Lost, Record
from sipmote.link.tracebacks import sources

_RESTARTED = "soft reboot"  # every port of MicroPython prints "MPY: soft reboot"
_RESTART_S = 10.0  # a board that has not said so by then says something else that should be seen
_MOST_BEFORE = 65536  # characters kept of what comes before
_LONGEST_NAME = 24
Event = dict[str, Any]


class BoardEvents:
    """Cuts what a board sends into events.

    aor: its address-of-record once a boot record says that, None until then. name: what to call it, then its user.
    """

    def __init__(self, name: str, take: Callable[[Bridged], None] = lambda item: None) -> None:
        """take: is called with each frame of the bridge, in its turn."""
        self.name = name
        self.aor: str | None = None
        self._take = take
        self._decoder = Decoder()
        self._lines = ConsoleLines()
        self._before: str | None = None  # console text of before the restart, while that is waited for
        self._restart_by = math.inf

    def drop_until_restart(self, now: float) -> None:
        """Say nothing of what comes before the board says that it has restarted. now: as for feed()."""
        self._before = ""
        self._restart_by = now + _RESTART_S

    def feed(self, data: bytes, now: float, unix: float) -> list[Event]:
        """Return what data (octets as they arrived) completes.

        now: seconds of a clock that never steps; unix: the time of day, of this host.
        """
        return self._overdue(now, unix) + self._events(self._decoder.feed(data), now, unix)

    def idle(self, now: float, unix: float) -> list[Event]:
        """Return what was held back: nothing has come for IDLE_S."""
        return self._events(self._decoder.flush(), now, unix) + self._overdue(now, unix) + self._rest(unix)

    def detach(self, now: float, unix: float) -> list[Event]:
        """Return what is left: the port has gone."""
        self._restart_by = now
        return self._events(self._decoder.detach(), now, unix) + self._overdue(now, unix) + self._rest(unix)

    @property
    def holds(self) -> bool:
        """Is there something for idle()?"""
        return self._decoder.holds or self._lines.holds or self._before is not None

    def _events(self, items: list[Item], now: float, unix: float) -> list[Event]:
        events: list[Event] = []
        for each in items:
            item = each if self._before is None else self._after_restart(self._before, each)
            if isinstance(item, Bridged):
                self._take(item)
            elif isinstance(item, Console):
                events += self._print(item.text, now, unix)
            elif isinstance(item, Record):
                self._learn_name(item)
                events += [*self._rest(unix), log_event(item, unix)]
            elif item is not None:
                name = "lost" if isinstance(item, Lost) else "damaged"
                events += [*self._rest(unix), {"event": name, "count": item.count}]
        return events

    def _after_restart(self, before: str, item: Item) -> Item | None:
        """Return the part of an item that is of the new start. before: text of before."""
        if not isinstance(item, Console):
            return None
        before += item.text
        at = before.find(_RESTARTED)
        self._before = before[-_MOST_BEFORE:] if at < 0 else None
        return None if at < 0 else Console(before[before.rfind("\n", 0, at) + 1 :])

    def _overdue(self, now: float, unix: float) -> list[Event]:
        """Return what was to be dropped, if no restart comes."""
        if self._before is None or now < self._restart_by:
            return []
        before, self._before = self._before, None
        return self._print(before, now, unix)

    def _print(self, text: str, now: float, unix: float) -> list[Event]:
        return [_console(line, goes_on, unix) for line, goes_on in self._lines.feed(text, now)]

    def _rest(self, unix: float) -> list[Event]:
        return [_console(piece, goes_on, unix) for piece, goes_on in self._lines.release()]

    def _learn_name(self, record: Record) -> None:
        aor = _text(record.fields.get("aor"))
        if record.event == "boot" and isinstance(aor, str):
            self.aor = aor
            user = aor.partition(":")[2].partition("@")[0]
            if user and user.isprintable() and " " not in user:
                self.name = user[:_LONGEST_NAME]


def log_event(record: Record, unix: float) -> Event:
    """Return what programs read of a record. unix: when it was heard."""
    event: Event = {
        "event": "log",
        "seq": record.seq,
        "uptime_ms": record.uptime_ms,
        "date": stamp(record),
        "clock": QUALITIES[record.quality],
        "clock_age_s": record.age_s,
        "level": LEVELS[record.level],
        "name": record.event,
        "fields": {name: _text(value) for name, value in record.fields.items()},
    }
    if record.build is not None:
        event["build"] = f"{record.build:04x}"
    at = event["fields"].get("at")
    if isinstance(at, str) and (lines := sources(at)):
        event["source"] = lines
    return {**event, "heard": heard(unix)}


def stamp(record: Record) -> str | None:
    """Return a record's date as RFC 3339 text; None unless the board knew one when it wrote it."""
    if record.unix is None or record.quality == 0:
        return None
    return datetime.fromtimestamp(record.unix, UTC).isoformat().replace("+00:00", "Z")


def _console(text: str, goes_on: bool, unix: float) -> Event:
    event: Event = {"event": "console", "text": text}
    if goes_on:
        event["partial"] = True
    elif lines := sources(text):
        event["source"] = lines
    return {**event, "heard": heard(unix)}


def heard(unix: float) -> str:
    """Return when something was heard as RFC 3339 text."""
    return datetime.fromtimestamp(unix, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _text(value: Any) -> Any:
    """Return a field as JSON can hold it: octets as text, those that are none escaped; also what is no number."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, list):
        return [_text(item) for item in value]
    if isinstance(value, dict):
        return {name: _text(item) for name, item in value.items()}
    return _number(value) if isinstance(value, float) else value


def _number(value: float) -> float | str:
    """Return the shortest number that is this one for a board whose floats have 32 bits: 5.1, not 5.0999999046."""
    if not math.isfinite(value):
        return str(value)
    for digits in (6, 7, 8, 9):
        short = float(f"{value:.{digits}g}")
        with contextlib.suppress(OverflowError):
            if value == struct.unpack("f", struct.pack("f", short))[0]:
                return short
    return value
