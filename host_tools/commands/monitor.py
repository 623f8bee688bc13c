"""`sipmote monitor`: what boards print and what they log, on one screen or as JSON lines. It only listens."""

import argparse
import contextlib
import math
import re
import shutil
import signal
import time
from datetime import timedelta
from types import FrameType
from typing import TYPE_CHECKING

from sipmote.console import Output
from sipmote.errors import ToolError
from sipmote.link.frames import LEVELS
from sipmote.link.history import History, boards, find
from sipmote.link.monitor import Monitor
from sipmote.link.port import find_port
from sipmote.link.teller import Teller, Wanted
from sipmote.link.view import View
from sipmote.moments import FORMS, check_order, seconds, since, span, until, whole
from sipmote.printer import Printer

if TYPE_CHECKING:
    from sipmote.link.desk import Desk

_KEEP = timedelta(days=30)
_MAX_MB = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sipmote monitor`."""
    parser.add_argument(
        "--port",
        action="append",
        default=[],
        metavar="WHICH",
        help="a board's serial port, a link to it, or its USB serial number (found by itself when there is just one); "
        "once for each board",
    )
    parser.add_argument("--all", action="store_true", help="each board that is there, and each that comes")
    parser.add_argument("--seconds", type=seconds, default=math.inf, metavar="N", help="end after so many seconds")
    parser.add_argument("--reset", action="store_true", help="soft-reset the board first, and show its new start alone")
    told = parser.add_argument_group("desk")
    told.add_argument("--desk", metavar="URL", help="post log records to the page of an inbox, http://HOST:PORT")
    told.add_argument("--desk-token", metavar="FILE", help="its first line is the token of the page's --http-token")
    told.add_argument("--aor", metavar="URI", help="who the board is, until it says that itself, when it starts")
    told.add_argument("--tls-ca", metavar="FILE", help="PEM with the CAs to trust for https (default: the system's)")
    kept = parser.add_argument_group("history")
    kept.add_argument("--db", metavar="FILE", help="keep all that boards say in this file, whatever is shown of it")
    kept.add_argument("--keep", type=span, metavar="SPAN", help="how long it is kept there, e.g. 12h (default: 30d)")
    kept.add_argument("--max-mb", type=whole(1), metavar="N", help="how large the file gets (default: 1000)")
    kept.add_argument("--since", type=since, metavar="WHEN", help=f"read back from the file, no board needed: {FORMS}")
    kept.add_argument("--until", type=until, metavar="WHEN", help="read back until then, a whole day included")
    parser.add_argument("--view", action="store_true", help="a line for each board, and what they said last below")
    parser.add_argument("--utc", action="store_true", help="show times in UTC, not in this computer's time")
    group = parser.add_argument_group("what to show")
    group.add_argument("--level", choices=LEVELS, default=LEVELS[0], help="the least level of a log record")
    group.add_argument("--name", metavar="GLOB", help="only log records of this name, e.g. 'wifi_*'")
    group.add_argument("--board", metavar="GLOB", help="only boards whose name or port is like this")
    group.add_argument(
        "--grep", type=_pattern, metavar="REGEX", help="only records and console lines with this in them, in any case"
    )


def run(args: argparse.Namespace) -> int:
    """Listen until the time is over, or until Ctrl-C or SIGTERM; or read back what was heard."""
    _check(args)
    if args.since is not None:
        _read_back(args)
        return 0
    deadline = time.monotonic() + args.seconds
    asked = args.port or ([] if args.all else [find_port(", or take --all")])
    history = None
    if args.db:
        history = History(args.db, (args.keep or _KEEP).total_seconds(), (args.max_mb or _MAX_MB) * 1_000_000)
    desk = _desk(args)
    printer = Printer()
    kept = f"all of them are in {args.db}" if args.db else "with --db FILE all are kept"
    output = Output(args.json, printer, kept=kept)
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(printer.close)
        if history is not None:
            cleanup.callback(lambda: history.close(time.time()))
        if desk is not None:
            cleanup.callback(_close, desk, output)
        view = None
        if args.view:
            view = View(cleanup.enter_context(output.screen()), lambda: shutil.get_terminal_size().columns)
        teller = Teller(output, args.all or len(args.port) > 1, args.utc, wanted(args), history, view=view, desk=desk)
        monitor = Monitor(asked, teller, args.all)
        printer.on_broken(monitor.stop)
        with contextlib.suppress(ValueError):  # in a thread of a program
            signal.signal(signal.SIGTERM, _end)
        monitor.watch(deadline, args.reset)
    return 0


def _check(args: argparse.Namespace) -> None:
    """Raise ToolError for arguments that don't go together."""
    if args.since is None and args.until is not None:
        raise ToolError("--until belongs to --since, which reads a history back")
    if args.since is not None and (args.port or args.all or args.reset or args.view):
        raise ToolError("--since reads a history back and asks no board: leave --port, --all, --reset and --view out")
    _check_desk(args)
    for name in ("keep", "max_mb", "since"):
        if getattr(args, name) is not None and not args.db:
            raise ToolError(f"--{name.replace('_', '-')} needs --db FILE, the history's file")
    if args.keep == timedelta():
        raise ToolError("--keep 0 would keep nothing: say how long, e.g. 12h, or leave --db out")
    check_order(args.since, args.until)


def _check_desk(args: argparse.Namespace) -> None:
    """Raise ToolError for arguments about a desk that don't go together."""
    for name in ("desk_token", "aor", "tls_ca"):
        if getattr(args, name) is not None and args.desk is None:
            raise ToolError(f"--{name.replace('_', '-')} needs --desk URL, the page of an inbox")
    if args.desk is not None and args.since is not None:
        raise ToolError("--since reads a history back: nothing of it goes to a desk, leave --desk out")
    if args.desk is not None and args.desk_token is None:
        raise ToolError("--desk needs --desk-token FILE, with the token that the inbox has by --http-token")
    if args.aor is not None and (args.all or len(args.port) > 1):
        raise ToolError("--aor says who one board is: of several each has to say that itself, as it does at its start")


def _desk(args: argparse.Namespace) -> "Desk | None":
    """Return who gets the log records, None for nobody. Raises ToolError."""
    if args.desk is None:
        return None
    from sipmote.desk.sessions import read_token
    from sipmote.link.desk import Desk

    return Desk(args.desk, read_token(args.desk_token, "--desk-token"), args.aor, args.tls_ca)


def _close(desk: "Desk", output: Output) -> None:
    """Let the desk have what waits for it, if it takes that soon."""
    desk.close()
    for text in desk.news():
        output.warn(text, {"event": "warning", "text": text})


def _read_back(args: argparse.Namespace) -> None:
    """Show what was kept."""
    when = (args.since, math.inf if args.until is None else args.until)
    several = len(boards(args.db, *when)) > 1
    teller = Teller(Output(args.json), several, args.utc, wanted(args), dated=True)
    for _, board, port, event in find(args.db, *when):
        teller.tell((event,), board, port)


def wanted(args: argparse.Namespace) -> Wanted:
    """Return what the arguments ask to be shown."""
    return Wanted(args.level, args.name, args.board, args.grep)


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text, re.IGNORECASE)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text}: {error}; a dot, a star and the like need a \\ before them") from None


def _end(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
