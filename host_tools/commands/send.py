"""`sipmote send`: one message to one URI, and an exit code that says what became of it."""

import argparse
import asyncio
import os
import sys
from typing import TYPE_CHECKING

from sipmote.agent.budget import POLICIES
from sipmote.agent.errors import AgentError
from sipmote.console import Output, complain
from sipmote.errors import ToolError
from sipmote.moments import seconds, whole
from sipmote.send import way
from sipmote.send.app import Order, send
from sipmote.send.content import Content, content_type
from sipmote.send.fields import further_fields
from sipmote.send.outcomes import USAGE
from sipmote.sip import arguments
from sipmote.smime.guard import guard

if TYPE_CHECKING:  # loaded for who asks for S/MIME
    from sipmote.smime.writer import Writer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sipmote send`."""
    parser.description = (
        "Send one message. Exit code: 0 delivered, 3 accepted by a server for later, 4 refused or failed, "
        "5 no answer in time or unreachable, 2 wrong use."
    )
    parser.add_argument(
        "uri",
        metavar="URI",
        help="who it is for, e.g. 'sip:desk@192.0.2.1;transport=tcp' or 'sip:desk@[fe80::1%%eth0]'",
    )
    parser.add_argument("text", metavar="TEXT", help="what to say; - reads it from stdin")
    parser.add_argument(
        "--from",
        dest="sender",
        metavar="URI",
        help="who it is from, e.g. '\"Boiler 3\" <sip:boiler@example.org>' (default: sip:LOGIN@this host, LOGIN being "
        "your name at this computer; with --user NAME sip:NAME@ the host in URI)",
    )
    parser.add_argument("--expires", type=whole(0), metavar="S", help="seconds after which it is no longer of interest")
    parser.add_argument("--subject", metavar="S")
    parser.add_argument(
        "--header",
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="a further header field, e.g. 'Priority: urgent'; may be repeated",
    )
    parser.add_argument("--content-type", default="text/plain", metavar="T", help="default: %(default)s")
    parser.add_argument(
        "--cpim", action="store_true", help="as message/cpim; who refuses that gets the text without what is around it"
    )
    parser.add_argument(
        "--notify", action="store_true", help="as --cpim, and ask to be told of its delivery (RFC 5438)"
    )
    parser.add_argument(
        "--wait",
        type=seconds,
        default=0.0,
        metavar="S",
        help="as --notify, and when a server has accepted it for later, wait so many seconds to be told",
    )
    parser.add_argument(
        "--timeout",
        type=seconds,
        metavar="S",
        help="give up after so many seconds, look-ups and all parts included (default: 32 for each server and part)",
    )
    group = parser.add_argument_group("S/MIME, RFC 8591")
    group.add_argument(
        "--sign",
        metavar="FILE",
        help="as message/cpim, signed with this key and certificate (PEM), and from whom it names",
    )
    group.add_argument(
        "--encrypt-to", metavar="FILE", help="only who has the key of this certificate (PEM) can read it; after signing"
    )
    group.add_argument(
        "--with-certificate",
        action="store_true",
        help="send the certificate of --sign along, for who doesn't have it yet",
    )
    group.add_argument("--clear", action="store_true", help="as it is, whatever sipmote keys has for the receiver")
    parser.add_argument(
        "--budget",
        choices=POLICIES,
        default="refuse",
        help="what to do with a text that makes the request longer than 1300 octets (default: %(default)s)",
    )
    way.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Send, wait for the outcome, say it."""
    output = Output(args.json)
    try:
        order = _order(args)
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            return runner.run(send(order, output))
    except AgentError as error:
        complain(str(error))
        return USAGE


def _order(args: argparse.Namespace) -> Order:
    zones = arguments.take_zones(args)
    display, sender = arguments.address("--from", args.sender)
    sender, writer = _protection(args, sender)
    subject = None if args.subject is None else os.fsencode(args.subject)
    notify = args.notify or args.wait > 0
    to, kind = os.fsencode(args.uri), content_type(args.content_type)
    vouches = writer is not None and writer.vouches
    return Order(
        fields=further_fields(args.header),
        content=Content(to, kind, subject, args.expires, args.cpim, notify, vouches, writer),
        display=display,
        expires=args.expires,
        subject=None if writer is not None and writer.is_secret else subject,
        budget=args.budget,
        notifies=notify,
        wait_s=args.wait,
        protects=writer is not None,
        way=way.read_way(args, sender, zones),
        text=sys.stdin.buffer.read() if args.text == "-" else os.fsencode(args.text),
    )


def _protection(args: argparse.Namespace, sender: str | None) -> tuple[str | None, "Writer | None"]:
    """Return who it is from, whom the certificate may name, and what signs and encrypts, if anything does."""
    if args.clear and (args.sign or args.encrypt_to):
        raise ToolError("--clear leaves a message as it is: leave --sign and --encrypt-to out")
    if args.with_certificate and not args.sign:
        raise ToolError("--with-certificate: whose? Add --sign FILE")
    if not (args.sign or args.encrypt_to):
        keeper = None if args.clear else guard()
        if keeper is None:
            return sender, None
        return sender, keeper.writer(os.fsencode(sender or ""), os.fsencode(args.uri))
    from sipmote.smime.writer import make_writer, signing_name

    if args.sign:
        sender = signing_name(args.sign, sender)
    return sender, make_writer(args.sign, args.encrypt_to, args.with_certificate)
