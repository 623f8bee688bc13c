"""`sipmote ask`: one message to one URI, and the message that comes back: a board asked by hand."""

import argparse
import asyncio
import os

from sipmote.agent.errors import AgentError
from sipmote.console import Output, complain
from sipmote.moments import seconds
from sipmote.send import way
from sipmote.send.ask import ask
from sipmote.send.outcomes import USAGE
from sipmote.sip import arguments

_TIMEOUT_S = 15.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sipmote ask`."""
    parser.description = (
        "Send one message and print the one that comes back, e.g. the answer of a board to a command. Exit code: 0 "
        "answered, 3 taken, but no answer came in time, 4 refused or failed, 5 no response in time or unreachable, "
        "2 wrong use."
    )
    parser.add_argument("uri", metavar="URI", help="whom to ask, e.g. 'sip:boiler@192.0.2.7;transport=tcp'")
    parser.add_argument("text", metavar="TEXT", help="what to ask, e.g. status")
    parser.add_argument(
        "--from",
        dest="sender",
        metavar="URI",
        help="who asks: a board takes commands from the addresses in its allow, or else its to (default: sip:LOGIN@"
        "this host; with --user NAME sip:NAME@ the host in URI); the answer goes there: --proxy or who is asked has to "
        "reach it",
    )
    parser.add_argument(
        "--timeout", type=seconds, default=_TIMEOUT_S, metavar="S", help="seconds for it all (default: %(default)g)"
    )
    parser.add_argument("--clear", action="store_true", help="as it is, whatever sipmote keys has for who is asked")
    way.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Ask, wait, print."""
    try:
        zones = arguments.take_zones(args)
        asked = way.read_way(args, args.sender, zones)
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            return runner.run(ask(asked, os.fsencode(args.text), Output(args.json), args.clear))
    except AgentError as error:
        complain(str(error))
        return USAGE
