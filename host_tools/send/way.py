"""What `send` and `ask` have in common: who writes to whom, the way there, and how long it may take."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sipmote.agent.errors import UsageError
from sipmote.agent.uri import bracketed
from sipmote.agent.user_agent import UserAgent
from sipmote.people import account, user_name
from sipmote.sip import arguments
from sipmote.sip.clock import wall_clock
from sipmote.sip.places import Bind, Wire, Zones
from sipmote.sip.reader import Message
from sipmote.sip.resolver import Resolver
from sipmote.sip.shell import Application, Shell
from sipmote.sip.tls import Tls


@dataclass(frozen=True, kw_only=True)
class Way:
    """From whom to whom, and how.

    target, sender, proxy: URIs; no sender: who is at this computer. timeout_s: seconds for it all, None for those of
    the protocol. dns: host and port of a DNS server, None for the system's. wires: who sees the messages. zones: of
    link-local addresses. The others as UserAgent and Shell take them.
    """

    target: bytes
    sender: bytes | None
    proxy: bytes | None
    transport: bytes
    timeout_s: float | None
    binds: Sequence[Bind]
    credentials: arguments.Credentials
    tls: Tls
    dns: tuple[str, int] | None
    wires: Sequence[Wire]
    zones: Zones

    def sender_at(self, host: str) -> bytes:
        """Return who it is from, given our host as the next one sees it."""
        return self.sender or b"sip:%s@%s" % (user_name(), bracketed(host.encode()))

    def user_agent(self, accept: tuple[bytes, ...], **settings: Any) -> UserAgent:
        """Return a user agent for it; settings: further ones. Raises AgentError for a URI that won't do."""
        return UserAgent(
            self.sender_at("localhost"),
            b"localhost",
            os.urandom,
            proxy=self.proxy,
            transport=self.transport,
            accept=accept,
            clock=wall_clock(),
            credentials=self.credentials,
            reader=Message,
            **settings,
        )

    def shell(
        self, ua: UserAgent, application: Application, resolver: Resolver, first_hop: bytes | None, wire: Wire
    ) -> Shell:
        """Return the shell around ua; first_hop: as Shell takes it. wire: one more who sees the messages."""
        wires = (wire, *self.wires)
        return Shell(ua, application, self.tls, resolver, first_hop, wires=wires, zones=self.zones)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that read_way() takes, but for URI, --from and --timeout."""
    arguments.add_login(parser)
    parser.add_argument("--proxy", metavar="URI", help="the server to send it to first, e.g. sip:192.0.2.1")
    parser.add_argument("--transport", choices=("udp", "tcp", "tls"), default="udp", help="if the URI names none")
    parser.add_argument(
        "--bind",
        action="append",
        type=arguments.bind,
        metavar="udp|tcp:HOST:PORT",
        help="the address to send from, and to be answered at (default: any)",
    )
    arguments.add_trace(parser)
    arguments.add_tls(parser)
    arguments.add_dns(parser)


def read_way(args: argparse.Namespace, sender: str | None, zones: Zones) -> Way:
    """Return what the arguments of a command lead to; a person may be asked for a password.

    sender: the URI in --from, if any. zones: those of the URIs, which are without them by now. Raises UsageError and
    ToolError for what won't do.
    """
    if args.timeout == 0:
        raise UsageError("--timeout 0: seconds above 0 were expected")
    target = os.fsencode(args.uri)
    proxy = arguments.uri("--proxy", args.proxy)
    sender_uri = arguments.uri("--from", sender)
    credentials = arguments.credentials(args)
    if sender_uri is None and credentials:  # a server that knows us by this name
        sender_uri = account(credentials[0][1], target, proxy)
    return Way(
        target=target,
        sender=sender_uri,
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
