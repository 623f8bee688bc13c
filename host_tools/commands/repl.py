"""`sipmote repl`: a board's Python prompt, which mpremote shows in a process of its own."""

import argparse
import signal
import subprocess
import sys

from sipmote.console import Output
from sipmote.errors import ToolError
from sipmote.link.arguments import add_port, port_of
from sipmote.link.port import close_port, open_port


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sipmote repl`."""
    parser.description = (
        "Open a board's Python prompt. Ctrl-C there stops the board's program, Ctrl-D starts it again, Ctrl-] ends the "
        "command and leaves the board as it is."
    )
    add_port(parser)


def run(args: argparse.Namespace) -> int:
    """Hand the terminal to mpremote, and return its exit code."""
    device = port_of(args)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ToolError("repl needs a terminal to type at: `mpremote run FILE.py` runs a script on a board")
    close_port(open_port(device))  # what is wrong with a port is told in our words
    output = Output(args.json)
    output.say(
        {"event": "repl", "port": device}, "Ctrl-C stops the board's program, Ctrl-D starts it, Ctrl-] ends this"
    )
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is the board's
    try:
        code = subprocess.run([sys.executable, "-m", "mpremote", "connect", device, "resume", "repl"]).returncode
    finally:
        signal.signal(signal.SIGINT, before)
    output.say(None, "")  # the shell's prompt belongs into a row of its own
    return code
