"""`sipmote monitor`: what boards print and what they log, on one screen or as JSON lines. It only listens."""

import argparse
import contextlib
import math
import re
import signal
import time
from types import FrameType

from sipmote.console import Output
from sipmote.link.frames import LEVELS
from sipmote.link.monitor import Monitor
from sipmote.link.port import find_port
from sipmote.link.teller import Teller, Wanted
from sipmote.printer import Printer


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
    parser.add_argument("--seconds", type=float, default=math.inf, metavar="N", help="end after so many seconds")
    parser.add_argument("--reset", action="store_true", help="soft-reset the board first, and show its new start alone")
    parser.add_argument("--utc", action="store_true", help="show times in UTC, not in this computer's time")
    group = parser.add_argument_group("what to show")
    group.add_argument("--level", choices=LEVELS, default=LEVELS[0], help="the least level of a log record")
    group.add_argument("--name", metavar="GLOB", help="only log records of this name, e.g. 'wifi_*'")
    group.add_argument("--board", metavar="GLOB", help="only boards whose name or port is like this")
    group.add_argument(
        "--grep", type=_pattern, metavar="REGEX", help="only records and console lines with this in them, in any case"
    )


def run(args: argparse.Namespace) -> int:
    """Listen until the time is over, or until Ctrl-C or SIGTERM."""
    deadline = time.monotonic() + args.seconds
    asked = args.port or ([] if args.all else [find_port()])
    printer = Printer()
    several = args.all or len(args.port) > 1
    teller = Teller(Output(args.json, printer), several, args.utc, wanted(args))
    monitor = Monitor(asked, teller, args.all)
    printer.on_broken(monitor.stop)
    with contextlib.suppress(ValueError):  # in a thread of a program
        signal.signal(signal.SIGTERM, _end)
    try:
        monitor.watch(deadline, args.reset)
    finally:
        printer.close()
    return 0


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
