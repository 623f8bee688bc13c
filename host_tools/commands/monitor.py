"""`sipmote monitor`: what a board prints and what it logs, on one screen or as JSON lines. It only listens."""

import argparse
import json
import math
import re
import sys
import time
from datetime import UTC, datetime
from typing import Any, Protocol

import serial
from rich.console import Console as Screen
from rich.text import Text

from sipmote.errors import ToolError
from sipmote.link.frames import IDLE_S, LEVELS, QUALITIES, Console, Damaged, Decoder, Item, Lost, Record
from sipmote.link.port import RESTART, close_port, find_port, open_port, wait_for_port

_STYLES = ("dim", "green", "yellow", "bold red")  # by level
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class Output(Protocol):
    """Where items go."""

    def item(self, item: Item) -> None: ...
    def idle(self) -> None: ...
    def note(self, event: str, port: str) -> None: ...


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", help="serial port of the board (found by itself when there is just one)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--seconds", type=float, default=math.inf, metavar="N", help="end after so many seconds")
    parser.add_argument("--reset", action="store_true", help="soft-reset the board first, to see it start")


def run(args: argparse.Namespace) -> int:
    deadline = time.monotonic() + args.seconds
    device = args.port or find_port()
    output: Output = JsonOutput() if args.json else ScreenOutput(Screen(highlight=False))
    decoder = Decoder()
    port = open_port(device, IDLE_S)
    try:
        if args.reset:
            _reset(port)
        output.note("ready", device)
        while not _listen(port, decoder, output, deadline):
            output.note("port_gone", device)
            close_port(port)
            if device.startswith("/dev/pts/"):  # its number may be another terminal's by now
                raise ToolError(f"the virtual board at {device} has ended")
            back = wait_for_port(device, deadline - time.monotonic(), IDLE_S)
            if back is None:
                break
            port = back
            output.note("port_back", device)
    except KeyboardInterrupt:
        pass
    finally:
        close_port(port)
    return 0


def _reset(port: serial.Serial) -> None:
    try:
        port.write(RESTART)
    except OSError:
        raise ToolError(f"{port.port} takes nothing: press the board's reset button instead of --reset") from None


def _listen(port: serial.Serial, decoder: Decoder, output: Output, deadline: float) -> bool:
    """Show what comes until the deadline, then return True; False when the port has gone."""
    try:
        while time.monotonic() < deadline:
            data = port.read(1)
            data += port.read(port.in_waiting)
            for item in decoder.feed(data) if data else decoder.flush():
                output.item(item)
            if not data:
                output.idle()
        return True
    except OSError:
        return False
    finally:
        for item in decoder.detach():
            output.item(item)
        output.idle()


def stamp(record: Record) -> str | None:
    """Return a record's date as RFC 3339 text; None unless the board knew one when it wrote it."""
    if record.unix is None or record.quality == 0:
        return None
    return datetime.fromtimestamp(record.unix, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class JsonOutput:
    """One object a line; console text is one object a printed line, its line end left out."""

    def __init__(self) -> None:
        self._line = ""

    def item(self, item: Item) -> None:
        if isinstance(item, Console):
            *lines, self._line = (self._line + item.text).split("\n")
            for line in lines:
                self._write(event="console", text=line.rstrip("\r"))
            return
        self.idle()  # what stands before a frame on its line is said before it
        if isinstance(item, Record):
            self._write(
                event="log",
                seq=item.seq,
                uptime_ms=item.uptime_ms,
                date=stamp(item),
                clock=QUALITIES[item.quality],
                level=LEVELS[item.level],
                name=item.event,
                fields={name: _text(value) for name, value in item.fields.items()},
                **({} if item.build is None else {"build": f"{item.build:04x}"}),
            )
        else:
            self._write(event="damaged" if isinstance(item, Damaged) else "lost", count=item.count)

    def idle(self) -> None:
        if self._line:
            self._write(event="console", text=self._line.rstrip("\r"))
            self._line = ""

    def note(self, event: str, port: str) -> None:
        self._write(event=event, port=port)

    def _write(self, **event: Any) -> None:
        print(json.dumps(event), flush=True)


class ScreenOutput:
    """Console text as it comes; a record on a line of its own, coloured by its level on a terminal."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._inside_line = False

    def item(self, item: Item) -> None:
        if isinstance(item, Console):
            text = _visible(item.text.replace("\r\n", "\n"))
            self._screen.print(Text(text), end="", soft_wrap=True)
            self._inside_line = not text.endswith("\n")
        elif isinstance(item, Record):
            self._print(_line(item), _STYLES[item.level])
        elif isinstance(item, Lost):
            self._print(f"[{item.count} log records lost]", "yellow")
        else:
            self._print(f"[{item.count} damaged frame]", "yellow")

    def idle(self) -> None:
        pass

    def note(self, event: str, port: str) -> None:
        texts = {"ready": "listening on", "port_gone": "waiting for the return of", "port_back": "back:"}
        print(f"sipmote: {texts[event]} {port}", file=sys.stderr, flush=True)

    def _print(self, line: str, style: str) -> None:
        if self._inside_line:
            self._screen.print()
            self._inside_line = False
        self._screen.print(Text(line, style=style), soft_wrap=True)


def _line(record: Record) -> str:
    """Return a record as one line: its date and how sure it is, or how long the board has been up."""
    date = stamp(record)
    seconds, ms = divmod(record.uptime_ms, 1000)
    when = f"{date} ({QUALITIES[record.quality]})" if date else f"up {seconds}.{ms:03} s"
    fields = " ".join(f"{name}={json.dumps(_text(value), ensure_ascii=False)}" for name, value in record.fields.items())
    return _visible(f"{when} {LEVELS[record.level]} {record.event} {fields}".rstrip())


def _text(value: Any) -> Any:
    """Return a field as JSON can hold it: octets as text, those that are none escaped."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value


def _visible(text: str) -> str:
    """Return text with what would move the cursor or command the terminal written out."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
