"""`sipmote reset`: a soft reset, after which boot.py and main.py run."""

import argparse

from sipmote.console import Output
from sipmote.link.arguments import add_port, port_of
from sipmote.link.port import close_port, open_port
from sipmote.link.repl import Board


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sipmote reset`."""
    parser.description = (
        "Interrupt a board's program and start it again (a soft reset). `sipmote monitor` shows how it goes."
    )
    add_port(parser)


def run(args: argparse.Namespace) -> int:
    """Restart the board, and say so once it has begun."""
    device = port_of(args)
    port = open_port(device)
    try:
        Board(port).restart()
    finally:
        close_port(port)
    Output(args.json).say({"event": "reset", "port": device}, f"the board at {device} starts again")
    return 0
