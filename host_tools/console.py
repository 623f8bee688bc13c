"""How a command speaks: in lines for people, or in JSON for programs, one object a line."""

import contextlib
import io
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from sipmote.errors import ToolError
from sipmote.printer import Printer
from sipmote.terminal_rows import Styled, in_rows

if TYPE_CHECKING:
    from rich.console import Console

Event = Mapping[str, Any]  # what programs read; "event" names it
Part = str | Styled  # of a line: text, or text and its style on a terminal, e.g. ("delivered", "green")
Rows = Sequence[Sequence[Part]]
_STYLE = "(?:0?[0-4]|2[2-4]|[34][0-79]|9[0-7]|10[0-7]|[34]8;5;[0-9]{1,3})"  # none that hides text, or makes it blink
_COLOUR = re.compile(f"\x1b\\[(?:{_STYLE}(?:;{_STYLE})*)?m")
_Thing = TypeVar("_Thing")

_NARROW = 80  # columns
_KEPT = "\t\n\xa0\u200d"  # not printable to Python, and no danger: the last one joins emoji


class Lines(str):
    """A part of a line that may have line ends and tabs of its own, as a body does. A header field may not."""


def harmless(text: str, lines: bool = False) -> str:
    """Return text with what could steer a terminal or turn its reading round written as an escape, e.g. "\\\\x1b".

    lines: keep line ends and tabs.
    """
    if text.isprintable():
        return text
    kept = _KEPT if lines else _KEPT[2:]
    if lines:
        text = text.replace("\r\n", "\n")
    return "".join([c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in text])


def without_colours(text: str) -> str:
    """Return text without the escape sequences that only change how it looks; others stay, for harmless()."""
    return _COLOUR.sub("", text) if "\x1b" in text else text


def _coloured(text: str) -> str:
    """Return text made harmless but for its colours, which end with the text or the line."""
    lines = []
    for line in text.splitlines(keepends=True):
        colours = _COLOUR.findall(line)
        parts = [harmless(part, lines=True) for part in _COLOUR.split(line)]
        shown = "".join(part + colour for part, colour in zip(parts, [*colours, ""], strict=True))
        end = "\n" if colours and shown.endswith("\n") else ""
        lines.append(shown.removesuffix("\n") + "\x1b[0m" + end if colours else shown)
    return "".join(lines)


def complain(text: str) -> None:
    """Tell a person on stderr what is wrong."""
    print(_complaint(text), file=sys.stderr, flush=True)


def ask_person(question: str) -> str:
    """Ask a person on stderr, and return the line that is answered without outer blanks; ToolError without one."""
    print(f"{harmless(question)} ", end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    if not line.endswith("\n"):
        print(file=sys.stderr)
        raise ToolError("no answer: nothing was changed")
    return line.strip()


def _complaint(text: str) -> str:
    return f"sipmote: {harmless(text)}"


class Output:
    """What a command says. Every text is made harmless here, and no character of it can end in a traceback.

    People read lines on stdout, and on stderr what is wrong. Programs read all of it on stdout.
    """

    def __init__(
        self,
        as_json: bool,
        printer: Printer | None = None,
        mark: str | None = None,
        kept: str = "what was stored is in the store",
    ) -> None:
        """printer: writes it all, for a command that mustn't wait for its reader; None: the command does, and waits.

        mark: what each row begins with that a line goes on in, where strangers write the lines; None for no such rows.
        kept: where people find lines that a printer had no room for.
        """
        self._as_json = as_json
        self._printer = printer
        self._mark = mark
        self._kept = kept
        self._is_in_line = False  # text() has begun one
        self._terminal: Console | None = None
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        if printer is not None:
            printer.tell_lost(self._lost)

    def say(self, event: Event | None, *line: Part) -> None:
        """Tell what has happened: the event to programs (None: nothing), the line to people (no parts: nothing)."""
        self.show((event,), lambda event: event, lambda event: line)

    def show(
        self,
        things: Iterable[_Thing],
        as_event: Callable[[_Thing], Event | None],
        as_line: Callable[[_Thing], Sequence[Part]],
    ) -> None:
        """Say several things at once; just one of the two functions is called for each."""
        self.end_text()
        if self._as_json:
            self._write_events(filter(None, map(as_event, things)))
        else:
            for line in filter(None, map(as_line, things)):
                self._print(line)

    def warn(self, text: str, event: Event | None = None) -> None:
        """Tell what is wrong: programs read the event on stdout, people the text on stderr; both, without an event."""
        if event is not None and self._as_json:
            self.say(event)
        else:
            line = "".join([text for text, _ in self._in_rows([(_complaint(text), "")], sys.stderr)])
            self._put(sys.stderr, line + "\n")

    def text(self, event: Event, text: str) -> None:
        """Tell of what a board prints: programs read the event, people see the text as it comes, split anywhere.

        A terminal shows its colours, to the end of the line.
        """
        if self._as_json:
            self.say(event)
        elif text:
            self._is_in_line = not text.endswith("\n")
            has_colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
            self._put(sys.stdout, _coloured(text) if has_colours else harmless(without_colours(text), lines=True))

    def has_person(self) -> bool:
        """Does somebody read this on a terminal?"""
        return not self._as_json and sys.stdout.isatty()

    def is_narrow(self) -> bool:
        """Do people read this on a terminal that has no room for what is not needed?"""
        columns = self._columns(sys.stdout)
        return columns is not None and 0 < columns < _NARROW

    def end_text(self) -> None:
        """End the line that text() has begun."""
        if self._is_in_line:
            self._is_in_line = False
            self._put(sys.stdout, "\n")

    @contextlib.contextmanager
    def progress(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        """Show people at a terminal how far something is; gives the function to call with each step's octets."""
        if self._as_json or not sys.stdout.isatty():
            yield lambda octets: None
            return
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

        with Progress(TextColumn(title), BarColumn(), DownloadColumn(binary_units=True), transient=True) as bar:
            task = bar.add_task("", total=total)
            yield lambda octets: bar.advance(task, octets)

    @contextlib.contextmanager
    def screen(self) -> Iterator[Callable[[Sequence[str], Rows, Rows], None]]:
        """Give people a screen of their own; gives the function that fills it: a table's head and rows, lines below it.

        Of the cells of a row the last one gets all room that is left. Raises ToolError where there is no terminal.
        """
        if self._as_json or not sys.stdout.isatty():
            raise ToolError("a view needs a terminal: leave --view out, or --json and what stdout is sent to")
        self._put(sys.stdout, "\x1b[?1049h\x1b[?25l")
        try:
            yield self._fill
        finally:
            self._put(sys.stdout, "\x1b[?25h\x1b[?1049l")

    def _fill(self, head: Sequence[str], rows: Rows, below: Rows) -> None:
        """Fill the terminal, whatever its size is by now."""
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        def text(parts: Sequence[Part]) -> Text:
            pairs = [(part, "") if isinstance(part, str) else part for part in parts]
            return Text.assemble(*[(harmless(part), style) for part, style in pairs], overflow="ellipsis", no_wrap=True)

        columns, height = shutil.get_terminal_size()
        table = Table(box=None, expand=True, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
        for name in head:
            is_last = name == head[-1]
            table.add_column(
                name, no_wrap=True, ratio=1 if is_last else None, max_width=None if is_last else max(columns // 3, 10)
            )
        for row in rows:
            table.add_row(*[text([cell]) for cell in row])
        console = Console(file=io.StringIO(), force_terminal=True, highlight=False, width=columns)
        with console.capture() as captured:
            console.print(table)
            console.print()
            for line in below:
                console.print(text(line), no_wrap=True, overflow="ellipsis")
        shown = captured.get().splitlines()[:height]
        self._put(sys.stdout, "\x1b[H" + "\x1b[K\r\n".join(shown) + "\x1b[J")

    def _write_events(self, events: Iterable[Event]) -> None:
        lines = [json.dumps(event) + "\n" for event in events]
        if lines:
            self._put(sys.stdout, "".join(lines), len(lines))

    def _print(self, line: Sequence[Part]) -> None:
        """Print a line for people, with its styles where the terminal has them."""
        parts = [(part, "") if isinstance(part, str) else part for part in line]
        safe = [(harmless(text, lines=isinstance(text, Lines)), style) for text, style in parts]
        safe = self._in_rows(safe, sys.stdout)
        if not sys.stdout.isatty() or not any(style for _, style in safe):
            self._put(sys.stdout, "".join([text for text, _ in safe]) + "\n")
            return
        from rich.console import Console  # a twentieth of a second, for who sees colours
        from rich.text import Text

        # Its own file: on a terminal that is stopped even a write of nothing waits for the printer's to end.
        self._terminal = self._terminal or Console(
            file=io.StringIO(), force_terminal=True, highlight=False, soft_wrap=True
        )
        with self._terminal.capture() as captured:
            self._terminal.print(Text.assemble(*safe))
        self._put(sys.stdout, captured.get())

    def _in_rows(self, parts: list[Styled], stream: TextIO) -> list[Styled]:
        if self._mark is None:
            return parts
        return in_rows(parts, self._mark, self._columns(stream))

    @staticmethod
    def _columns(stream: TextIO) -> int | None:
        """Return those of a terminal, None where there is none."""
        return os.get_terminal_size(stream.fileno()).columns if stream.isatty() else None

    def _put(self, stream: TextIO, text: str, lines: int = 1) -> None:
        if self._printer is None:
            stream.write(text)
            stream.flush()
        else:
            self._printer.write(*_octets(stream, text), lines)

    def _lost(self, count: int) -> tuple[int, bytes]:
        """Say that nobody read for too long."""
        if self._as_json:
            return _octets(sys.stdout, json.dumps({"event": "not_shown", "count": count}) + "\n")
        lines = "1 line was" if count == 1 else f"{count} lines were"
        return _octets(sys.stdout, f"{lines} not shown, as nobody read what was before; {self._kept}\n")


class PortOutput(Output):
    """What happens at one port of several: events have it, and lines begin with it where they don't tell otherwise."""

    def __init__(self, as_json: bool, printer: Printer | None, device: str, is_named: bool = False) -> None:
        """device: the port's name. is_named: lines begin with it."""
        super().__init__(as_json, printer)
        self.device = device
        self._before = (f"{device}: ",) if is_named else ()

    def warn(self, text: str, event: Event | None = None) -> None:
        super().warn("".join((*self._before, text)), event)

    def _write_events(self, events: Iterable[Event]) -> None:
        super()._write_events({**event, "port": self.device} for event in events)

    def _print(self, line: Sequence[Part]) -> None:
        super()._print((*self._before, *line))


def _octets(stream: TextIO, text: str) -> tuple[int, bytes]:
    """Return a stream's descriptor and text in its encoding."""
    return stream.fileno(), text.encode(stream.encoding, "backslashreplace")
