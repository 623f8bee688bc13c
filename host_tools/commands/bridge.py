"""`sipmote bridge`: boards without a network send and receive messages over their serial lines, by this computer."""

import argparse
import asyncio
import signal
import time
from collections.abc import Callable

from sipmote.agent.errors import ParseError, UsageError
from sipmote.agent.uri import parse_uri
from sipmote.board.compile import day_of
from sipmote.board.files import packages
from sipmote.console import Output, PortOutput
from sipmote.errors import ToolError
from sipmote.inbox.bridge import Bridge
from sipmote.inbox.options import Options
from sipmote.inbox.screen import MARK, Screen
from sipmote.inbox.serving import serve
from sipmote.inbox.sqlite import default_path
from sipmote.inbox.store import Store, is_url
from sipmote.link.bridge import Line, check_ports
from sipmote.link.port import find_port
from sipmote.printer import Printer
from sipmote.sip import arguments

_PLACES = ("udp:0.0.0.0:5060", "tcp:0.0.0.0:5060")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sipmote bridge`."""
    parser.add_argument(
        "--port",
        action="append",
        metavar="PORT",
        help="serial port of a board whose transport is serial; may be repeated (found by itself when there is just "
        "one)",
    )
    parser.add_argument(
        "--to",
        metavar="URI",
        help="who gets what boards send to a URI that ends in .invalid, as sip:desk@serial.invalid",
    )
    parser.add_argument(
        "--bind",
        action="append",
        type=arguments.bind,
        metavar="udp|tcp|tls:HOST:PORT",
        help="where to listen for what is sent to boards, port 0 for a free one; may be repeated (default: udp and tcp "
        "at 0.0.0.0:5060)",
    )
    parser.add_argument("--register", metavar="URI", help="be reachable as URI, which is the board's, at its registrar")
    parser.add_argument("--proxy", metavar="URI", help="the server to send everything to first, e.g. sip:192.0.2.1")
    arguments.add_login(parser)
    arguments.add_users(parser, "pass on to boards only what these users send, by digest and in their own names")
    parser.add_argument(
        "--db",
        metavar="FILE",
        help="sqlite file for the messages that are passed on (default: bridge.db in the data folder)",
    )
    arguments.add_trace(parser)
    arguments.add_tls(parser)
    arguments.add_dns(parser)


def run(args: argparse.Namespace) -> int:
    """Pass on until SIGINT, SIGTERM or SIGHUP."""
    if hasattr(signal, "SIGUSR1"):  # it means something as soon as all is read
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    if is_url(args.db or ""):
        raise ToolError("a bridge keeps what it passes on in a file: name one with --db")
    ports = args.port or [find_port()]
    check_ports(ports)
    arguments.check_users(args)
    options = _options(args, ports)
    printer = Printer()
    screen = Screen(Output(args.json, printer, MARK))
    lines = [Line(port, PortOutput(args.json, printer, port), _clock()) for port in ports]
    store = Store(args.db or str(default_path().with_name("bridge.db")), screen.warning)
    try:
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(serve(lambda end: Bridge(options, store, screen, printer, end, lines), screen, printer, False))
    finally:
        store.close()
        printer.close()
    return 0


def _options(args: argparse.Namespace, ports: list[str]) -> Options:
    try:
        args.zones = arguments.take_zones(args)
        proxy = arguments.uri("--proxy", args.proxy)
        aor = arguments.account(args)
        to = arguments.uri("--to", args.to)
        if to is not None:
            parse_uri(proxy or to).flow(b"UDP")
    except UsageError as error:
        raise ToolError(str(error)) from None
    except ParseError as error:
        raise ToolError(f"--to {args.to}: {error.detail}") from None
    return Options(
        aor=aor,
        proxy=proxy,
        binds=args.bind or [arguments.bind(place) for place in _PLACES],
        accept=(b"*/*",),
        credentials=arguments.credentials(args),
        realm=args.realm,
        users=args.users,
        tls=arguments.tls(args),
        dns=args.dns,
        relay_to=None if to is None else to.decode(),
        registers=bool(args.register),
        wires=arguments.trace(args),
        zones=args.zones,
        ports=ports,
    )


def _clock() -> Callable[[], int | None]:
    """Return what tells boards the Unix time; None while this machine's clock is behind the day of its own files."""
    earliest = day_of([path for folder in packages().values() for path in folder.rglob("*.py")])

    def tell() -> int | None:
        unix = int(time.time())
        return unix if unix >= earliest else None

    return tell
