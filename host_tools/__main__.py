"""`sipmote COMMAND`: argument parsing only. A command is a module with add_arguments(parser) and run(args) -> int."""

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Sequence

from sipmote.console import complain
from sipmote.errors import ToolError

_COMMANDS = {  # name: (what it does, an example)
    "board": ("run a virtual board behind a serial port", "sipmote board start virtual --heap 64k"),
    "ports": ("list the serial ports that boards are behind", "sipmote ports"),
    "deploy": ("copy the program and its configuration onto a board", "sipmote deploy boiler.py --config mote.json"),
    "monitor": ("show a board's console and its log records", "sipmote monitor --port /dev/ttyUSB0"),
    "bridge": ("connect boards that have no network", "sipmote bridge --port /dev/ttyUSB0"),
    "inbox": ("receive, store and show messages", "sipmote inbox --bind udp:0.0.0.0:5060 --bind tcp:0.0.0.0:5060"),
    "history": ("show what an inbox has stored", 'sipmote history "boiler" --since 7d'),
    "passwd": ("set a user's password for an inbox", "sipmote passwd users.txt alice --realm example.org"),
    "ask": ("send one message and print what comes back", "sipmote ask sip:boiler@192.0.2.7 status"),
    "send": ("send one message", 'sipmote send sip:boiler@192.0.2.7 "status"'),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code: 0 well, 1 failed (one line on stderr), 2 wrong use, 130 interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    _open_what_is_closed()
    try:
        code = _run(arguments)
        sys.stdout.flush()
        return code
    except ToolError as error:
        complain(str(error))
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:  # the reader of our output has gone; Python would complain once more at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def _open_what_is_closed() -> None:
    """Open the null device in place of standard streams that we were started without, as in `sipmote inbox >&-`.

    A file or a socket would get their number, and the words of a program that we start.
    """
    for name in ("stdin", "stdout", "stderr"):  # in the order of their numbers, as the lowest free one is given
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), "r" if name == "stdin" else "w"))


def _run(arguments: Sequence[str]) -> int:
    """Parse the arguments, loading the module of the named command and no other, and run it."""
    parser = argparse.ArgumentParser(prog="sipmote", description="SIP instant messages from MicroPython boards")
    parser.add_argument("--version", action="store_true", help="show the version")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(metavar="COMMAND")
    for name, (help_text, example) in _COMMANDS.items():
        command = commands.add_parser(
            name, help=help_text, description=help_text.capitalize(), epilog=f"example: {example}"
        )
        if name == next((word for word in arguments if not word.startswith("-")), None):
            module = importlib.import_module(f"sipmote.commands.{name}")
            module.add_arguments(command)
            command.add_argument("--json", action="store_true", help="for programs: one JSON object a line")
            command.set_defaults(run=module.run)
    args = parser.parse_args(arguments)
    if args.version:
        from importlib.metadata import version

        print(f"sipmote {version('sipmote')}")
        return 0
    if args.run is None:
        parser.print_help()
        return 0
    code: int = args.run(args)
    return code


if __name__ == "__main__":
    sys.exit(main())
