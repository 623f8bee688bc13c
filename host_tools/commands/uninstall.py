"""`sipmote uninstall`: take off a board what deploy has put there."""

import argparse

from sipmote.board.uninstall import Uninstalling
from sipmote.console import Output, ask_person
from sipmote.errors import ToolError
from sipmote.link.arguments import add_port, port_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sipmote uninstall`."""
    parser.description = (
        "Take off a board what deploy has put there: the packages, mote.json and certificates, what the board keeps "
        "(alerts that wait, too), and boot.py if it is ours. Your main.py and the board's keys stay."
    )
    add_port(parser)
    parser.add_argument("--program", action="store_true", help="take main.py, too")
    parser.add_argument("--keys", action="store_true", help="take the board's own key and those of others, too")
    parser.add_argument("--yes", action="store_true", help="don't ask")


def run(args: argparse.Namespace) -> int:
    """Ask, remove, say what is gone."""
    device = port_of(args)
    question = f"take sipmote and its configuration off the board at {device}? [y/N]"
    if not args.yes and ask_person(question).lower() not in ("y", "yes"):
        raise ToolError("nothing was changed: answer y, or add --yes")
    Uninstalling(device, Output(args.json)).carry_out(args.program, args.keys)
    return 0
