"""`sipmote ask`: one message to one URI, and the message that comes back: a board asked by hand."""

import argparse
import asyncio
import os
import threading

from sipmote.agent.errors import AgentError, UsageError
from sipmote.console import Output, complain
from sipmote.people import account
from sipmote.send.app import USAGE
from sipmote.send.ask import Question, ask
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
        "this host; with --user NAME sip:NAME@ the host in URI)",
    )
    arguments.add_login(parser)
    parser.add_argument(
        "--proxy",
        metavar="URI",
        help="the server to send it to first; the answer comes back if that server, or the one who is asked, can reach "
        "the address in --from",
    )
    parser.add_argument("--transport", choices=("udp", "tcp", "tls"), default="udp", help="if the URI names none")
    parser.add_argument(
        "--timeout", type=float, default=_TIMEOUT_S, metavar="S", help="seconds for it all (default: %(default)g)"
    )
    parser.add_argument(
        "--bind",
        action="append",
        type=arguments.bind,
        metavar="udp|tcp:HOST:PORT",
        help="the address to ask from, and to be answered at (default: any)",
    )
    arguments.add_trace(parser)
    arguments.add_tls(parser)
    arguments.add_dns(parser)


def run(args: argparse.Namespace) -> int:
    """Ask, wait, print."""
    try:
        question = _question(args)
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            return runner.run(ask(question, Output(args.json)))
    except AgentError as error:
        complain(str(error))
        return USAGE


def _question(args: argparse.Namespace) -> Question:
    if not 0 < args.timeout < threading.TIMEOUT_MAX:
        raise UsageError(f"--timeout {args.timeout:g}: seconds above 0 were expected")
    zones = arguments.take_zones(args)
    credentials = arguments.credentials(args)
    target = os.fsencode(args.uri)
    proxy = arguments.uri("--proxy", args.proxy)
    sender = arguments.uri("--from", args.sender)
    if sender is None and credentials:
        sender = account(credentials[0][1], target, proxy)
    return Question(
        target=target,
        text=os.fsencode(args.text),
        sender=sender,
        proxy=proxy,
        transport=args.transport.upper().encode(),
        timeout_s=args.timeout,
        binds=args.bind or (),
        credentials=credentials,
        tls=arguments.tls(args),
        dns=args.dns,
        wires=arguments.trace(args),
        zones=zones,
    )
