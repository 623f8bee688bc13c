"""`sipmote monitor`: what a board prints and what it logs, on one screen or as JSON lines. It only listens."""

import argparse
import math
import time

from sipmote.console import Output
from sipmote.link.monitor import Monitor
from sipmote.link.port import find_port


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sipmote monitor`."""
    parser.add_argument("--port", help="serial port of the board (found by itself when there is just one)")
    parser.add_argument("--seconds", type=float, default=math.inf, metavar="N", help="end after so many seconds")
    parser.add_argument("--reset", action="store_true", help="soft-reset the board first, to see it start")


def run(args: argparse.Namespace) -> int:
    """Listen until the time is over or Ctrl-C."""
    deadline = time.monotonic() + args.seconds
    Monitor(args.port or find_port(), Output(args.json)).watch(deadline, args.reset)
    return 0
