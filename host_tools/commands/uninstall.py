"""`sipmote uninstall`: take off a board what deploy has put there."""

import argparse

from sipmote.board.uninstall import Uninstalling
from sipmote.console import Output, ask_person
from sipmote.errors import ToolError
from sipmote.link.port import find_port


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sipmote uninstall`."""
    parser.description = (
        "Take off a board what deploy has put there: the packages, mote.json and certificates, what the board keeps "
        "(alerts that wait, too), and boot.py if it is ours. Your main.py stays."
    )
    parser.add_argument("--port", help="serial port of the board (found by itself when there is just one)")
    parser.add_argument("--program", action="store_true", help="take main.py, too")
    parser.add_argument("--yes", action="store_true", help="don't ask")


def run(args: argparse.Namespace) -> int:
    """Ask, remove, say what is gone."""
    device = args.port or find_port()
    question = f"take sipmote and its configuration off the board at {device}? [y/N]"
    if not args.yes and ask_person(question).lower() not in ("y", "yes"):
        raise ToolError("nothing was changed: answer y, or add --yes")
    Uninstalling(device, Output(args.json)).carry_out(args.program)
    return 0
