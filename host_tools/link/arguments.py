"""The argument that names a board, the same for all commands that are for one."""

import argparse

from sipmote.link.port import find_port, named_port


def add_port(parser: argparse.ArgumentParser) -> None:
    """Add --port."""
    parser.add_argument(
        "--port",
        metavar="WHICH",
        help="the board's serial port, a link to it, or its USB serial number (found by itself when there is just one)",
    )


def port_of(args: argparse.Namespace) -> str:
    """Return the port that is meant, or the only one that there is. Raises ToolError where none or several are."""
    return named_port(args.port) if args.port else find_port()
