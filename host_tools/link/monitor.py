"""Listening to a board: its console and its log records, also after it was unplugged and plugged in again."""

import contextlib
import json
import math
import struct
import time
from datetime import UTC, datetime
from typing import Any

import serial

from sipmote.console import Output
from sipmote.errors import ToolError
from sipmote.link.frames import IDLE_S, LEVELS, QUALITIES, Console, Damaged, Decoder, Item, Lost, Record
from sipmote.link.port import RESTART, close_port, open_port, wait_for_port

_STYLES = ("dim", "green", "yellow", "bold red")  # by level
_STATES = {"ready": "listening on", "port_gone": "waiting for the return of", "port_back": "back:"}


class Monitor:
    """Says what a board at a port has to say."""

    def __init__(self, device: str, output: Output) -> None:
        """device: the port's name."""
        self._device = device
        self._output = output
        self._decoder = Decoder()

    def watch(self, deadline: float, reset: bool) -> None:
        """Listen until the deadline (time.monotonic()) or Ctrl-C. reset: restart the board first. Raises ToolError."""
        port = open_port(self._device, IDLE_S)
        try:
            if reset:
                _reset(port)
            self._note("ready")
            while not self._listen(port, deadline):
                self._note("port_gone")
                close_port(port)
                if self._device.startswith("/dev/pts/"):  # its number may be another terminal's by now
                    raise ToolError(f"the virtual board at {self._device} has ended")
                back = wait_for_port(self._device, deadline - time.monotonic(), IDLE_S)
                if back is None:
                    break
                port = back
                self._note("port_back")
        except KeyboardInterrupt:
            pass
        finally:
            close_port(port)

    def show(self, item: Item) -> None:
        """Say one thing that the decoder has found."""
        if isinstance(item, Console):
            self._output.text(item.text)
        elif isinstance(item, Record):
            self._output.say(_event(item), (_line(item), _STYLES[item.level]))
        elif isinstance(item, Lost):
            self._output.say({"event": "lost", "count": item.count}, (f"[{item.count} log records lost]", "yellow"))
        elif isinstance(item, Damaged):
            self._output.say({"event": "damaged", "count": item.count}, (f"[{item.count} damaged frame]", "yellow"))

    def _listen(self, port: serial.Serial, deadline: float) -> bool:
        """Show what comes until the deadline, then return True; False when the port has gone."""
        try:
            while time.monotonic() < deadline:
                data = port.read(1)
                data += port.read(port.in_waiting)
                for item in self._decoder.feed(data) if data else self._decoder.flush():
                    self.show(item)
                if not data:
                    self._output.pause_text()
            return True
        except OSError:
            return False
        finally:
            for item in self._decoder.detach():
                self.show(item)
            self._output.pause_text()

    def _note(self, state: str) -> None:
        self._output.warn(f"{_STATES[state]} {self._device}", {"event": state, "port": self._device})


def stamp(record: Record) -> str | None:
    """Return a record's date as RFC 3339 text; None unless the board knew one when it wrote it."""
    if record.unix is None or record.quality == 0:
        return None
    return datetime.fromtimestamp(record.unix, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _event(record: Record) -> dict[str, Any]:
    """Return what programs read of a record."""
    event = {
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
    return event if record.build is None else {**event, "build": f"{record.build:04x}"}


def _line(record: Record) -> str:
    """Return a record as one line: its date and how sure it is, or how long the board has been up."""
    date = stamp(record)
    seconds, ms = divmod(record.uptime_ms, 1000)
    hours = (record.age_s or 0) // 3600
    quality = QUALITIES[record.quality] + (f" of {hours} h ago" if hours else "")
    when = f"{date} ({quality})" if date else f"up {seconds}.{ms:03} s"
    fields = {name: _text(value) for name, value in record.fields.items()}
    if record.build and record.event == "boot":  # once is enough for people
        fields["build"] = f"{record.build:04x}"
    told = " ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in fields.items())
    return f"{when} {LEVELS[record.level]} {record.event} {told}".rstrip()


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


def _reset(port: serial.Serial) -> None:
    try:
        port.write(RESTART)
    except OSError:
        raise ToolError(f"{port.port} takes nothing: press the board's reset button instead of --reset") from None
