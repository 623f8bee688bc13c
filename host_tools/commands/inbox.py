"""`sipmote inbox`: a user agent server that stores, answers and shows messages, and sends what is typed."""

import argparse
import asyncio
import ipaddress
import os
import re
import signal
import socket
import ssl
import sys
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from sipmote.agent.cms import mime
from sipmote.agent.cpim import imdn
from sipmote.agent.errors import ParseError, UsageError
from sipmote.agent.resolve.search import is_address
from sipmote.agent.uri import parse_host_port
from sipmote.console import Output
from sipmote.errors import ToolError
from sipmote.inbox.app import Inbox
from sipmote.inbox.database import StoreError, trouble
from sipmote.inbox.desk import MakePage
from sipmote.inbox.escalation import Escalation
from sipmote.inbox.heartbeat import HEARTBEAT
from sipmote.inbox.options import Options
from sipmote.inbox.registrar import check as check_registrar
from sipmote.inbox.relay import POLICIES
from sipmote.inbox.retention import Keep
from sipmote.inbox.screen import MARK, Screen
from sipmote.inbox.serving import serve
from sipmote.inbox.sqlite import default_path
from sipmote.inbox.store import Store, is_url
from sipmote.moments import whole
from sipmote.printer import Printer
from sipmote.sip import arguments
from sipmote.sip.places import is_loopback, normal_host
from sipmote.smime.guard import kept_reader

if TYPE_CHECKING:  # loaded for who asks for S/MIME
    from sipmote.smime.reader import Reader

_PLACES = ("udp:0.0.0.0:5060", "tcp:0.0.0.0:5060")
_ACCEPT = (b"text/plain", imdn.CPIM, imdn.XML, imdn.COMPOSING)
_EVERYTHING = (b"*/*",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sipmote inbox`."""
    parser.add_argument(
        "--bind",
        action="append",
        type=arguments.bind,
        metavar="udp|tcp|tls:HOST:PORT",
        help="where to listen, port 0 for a free one; may be repeated (default: udp and tcp at 0.0.0.0:5060)",
    )
    parser.add_argument(
        "--domain", action="append", metavar="D", help="take messages for this host only; may be repeated"
    )
    parser.add_argument(
        "--db",
        metavar="FILE|URL",
        help="sqlite file for the messages, or :memory: (default: inbox.db in the data folder); its owner alone can "
        "read it. Or postgresql://USER@HOST/DATABASE, which inboxes on several machines may share; the password in "
        "~/.pgpass. What has Call-ID, From and content of one of the last 7 days is its duplicate, and not kept again",
    )
    parser.add_argument(
        "--keep",
        type=whole(7),
        metavar="DAYS",
        help="delete messages that came earlier than that, and have been shown (default: none); 7 is the least, as "
        "twins are known for so long",
    )
    parser.add_argument(
        "--keep-size",
        type=_octets,
        metavar="SIZE",
        help="delete the oldest while they take more room, such as 500M or 2G (default: none). A file doesn't shrink: "
        "its room is used again",
    )
    parser.add_argument(
        "--name",
        help="what this inbox is called among those that share a database, the same at each start (default: the name "
        "of this computer)",
    )
    parser.add_argument(
        "--accept",
        action="append",
        metavar="TYPE",
        help="content type to take, e.g. image/png or '*/*'; may be repeated (default: text/plain, alone or in "
        "message/cpim, and what chat programs tell of delivery and typing). The heartbeats of boards are taken always, "
        "and not kept: with --json each is a line",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="refuse (400) flaws in From, To and Via that nothing depends on, such as a name that needs quotes",
    )
    parser.add_argument(
        "--imdn",
        action="store_true",
        help="tell senders that ask for it in message/cpim that their message was delivered (RFC 5438)",
    )
    arguments.add_users(parser, "take messages from these users only, by digest")
    parser.add_argument(
        "--trust-proxy",
        action="append",
        metavar="ADDRESS",
        help="of a server that asks senders for their passwords and says in P-Asserted-Identity who they are (RFC "
        "3325): that is their login here. It is believed of all that comes from there, so nobody else may send from "
        "that address; may be repeated",
    )
    parser.add_argument(
        "--exec",
        dest="command",
        metavar="COMMAND",
        help="run for each message (not for a duplicate), without a shell: its body on stdin; SIPMOTE_FROM, _TO, "
        "_CALL_ID, _CONTENT_TYPE, _SUBJECT, _DISPLAY_NAME, _PRIORITY, _SOURCE, _TRANSPORT, _USER, _SIGNER (of a good "
        "signature, on what is for us), _EXPIRED, _STALE and _AGAIN in its environment. What it prints goes to our "
        "stderr: it is no reply. At least once for each message that came while --exec was given, over a kill and a "
        "restart: SIPMOTE_AGAIN is 1 where it had begun already. 4 at once for a sender and 16 in all, each stopped "
        "with what it has started after 60 s, at our end and, after a kill, at our next start: with all that has its "
        "SIPMOTE_RUN in the environment or, on systems without /proc, is in its session",
    )
    parser.add_argument(
        "--interactive",
        action="store_true",
        help="send what comes on stdin, line by line, also when that is no terminal: 'TEXT' answers the last message, "
        "'sip:... TEXT' goes to that URI. At a terminal there is a prompt that tells whom a line goes to, and /help",
    )
    parser.add_argument(
        "--as",
        dest="identity",
        metavar="URI",
        help="as --aor, and remembered in the file of messages for the next time; - forgets it",
    )
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="show where each message came from, however narrow the terminal"
    )
    parser.add_argument(
        "--aor",
        metavar="URI",
        help="who our messages are from without --register, e.g. sip:desk@192.0.2.9 (default: sip:NAME@this host, NAME "
        "being that of --user or the login name; who has written to a user at this host is answered by that user)",
    )
    parser.add_argument(
        "--webhook",
        action="append",
        metavar="URL",
        help="post each message to URL as JSON, as --json shows it, at least once, again for 3 days until it is taken; "
        "may be repeated. SIPMOTE_WEBHOOK_SECRET in the environment makes X-Sipmote-Signature: HMAC-SHA256 of the body",
    )
    _add_page(parser)
    group = parser.add_argument_group("S/MIME, RFC 8591")
    group.add_argument("--smime-key", metavar="FILE", help="our key and certificate, PEM, for what is encrypted to us")
    group.add_argument(
        "--smime-trust",
        action="append",
        metavar="FILE",
        help="PEM with the certificates of senders, or of CAs that vouch for theirs; may be repeated. A signature that "
        "isn't good is marked",
    )
    group.add_argument(
        "--require-signed",
        action="store_true",
        help="refuse what has no good signature by who it is from: 403, and 493 when it came encrypted",
    )
    group.add_argument(
        "--require-authenticated",
        action="store_true",
        help="refuse (493) encryption that others can change on the way (AES-CBC) unless somebody we trust has signed "
        "what is inside; without this option it is marked. --require-signed implies it",
    )
    group.add_argument(
        "--smime-store",
        action="append",
        metavar="ADDRESS",
        help="of a server that may bring signed messages late: marked stale, where 400 answers others; may be repeated",
    )
    arguments.add_trace(parser)
    arguments.add_tls(parser)
    arguments.add_dns(parser)
    parser.add_argument(
        "--register", metavar="URI", help="be reachable as URI at its registrar, e.g. sip:desk@example.org"
    )
    parser.add_argument("--proxy", metavar="URI", help="the server to send everything to first, e.g. sip:192.0.2.1")
    arguments.add_login(parser)
    parser.add_argument(
        "--relay-to",
        metavar="URI",
        help="pass messages on to URI instead of being their end: answer 202, keep and send them until they are taken, "
        "for 3 days at most; without a user in it, as in sip:example.org, to the user each is for, at that host. Who "
        "writes to us gets what waits for him at once, SIGUSR1 tries all. A sender who asks for it in message/cpim is "
        "told of a failure",
    )
    parser.add_argument(
        "--relay-expired",
        choices=POLICIES,
        default=POLICIES[0],
        help="what becomes of a message that expires while it waits (default: %(default)s)",
    )
    parser.add_argument(
        "--gateway",
        action="append",
        metavar="NAME",
        help="user of --users who may have messages passed on in others' names, as a server does; else who has logged "
        "in writes as himself alone; may be repeated",
    )
    parser.add_argument("--tls-clients", action="store_true", help="only clients with a certificate of --tls-ca")


def _add_page(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the page", "pip install 'sipmote[desk]'")
    group.add_argument(
        "--http",
        metavar="HOST:PORT",
        help="show boards and messages at http://HOST:PORT/, e.g. 127.0.0.1:8080, with an API for programs at /api/ "
        "and /metrics. Who logs in, with a name of --users or with --http-token, can acknowledge and answer. At "
        "another address than this computer's own it takes --tls-cert, and nobody reads without a login",
    )
    group.add_argument("--http-token", metavar="FILE", help="file with a token, 16 characters at least, to log in by")
    group.add_argument(
        "--http-user",
        action="append",
        metavar="NAME",
        help="who of --users may log in at the page; may be repeated (default: all of them)",
    )
    group.add_argument(
        "--http-name", action="append", metavar="HOST", help="by which the page is asked for, too; may be repeated"
    )
    group.add_argument("--http-login", action="store_true", help="nobody reads without a login, wherever the page is")
    group.add_argument(
        "--late", type=_seconds, metavar="TIME", help="a board without heartbeats is late after this (default: 15m)"
    )
    group.add_argument("--gone", type=_seconds, metavar="TIME", help="and gone after this (default: 1d)")
    group.add_argument(
        "--escalate",
        action="append",
        metavar="URI",
        help="who is told of a message that nobody has acknowledged or answered at the page; may be repeated, the next "
        "one after as long again",
    )
    group.add_argument("--escalate-after", type=_seconds, metavar="TIME", help="how long that is (default: 10m)")

    group.add_argument(
        "--registrar",
        metavar="URL",
        help="postgresql://... of the Kamailio that boards register at: who does so lives; takes --domain",
    )


def _seconds(text: str) -> float:
    """Read a time such as 90, 10m, 1.5h, 2d: the type of an argument, in seconds."""
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]+)?)([smhdw]?)", text.strip().lower())
    if found is None or not float(found[1]):
        raise argparse.ArgumentTypeError(f"{text}: a time such as 90, 10m, 1.5h or 2d was expected")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}[found[2]]


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM."""
    for name in ("SIGHUP", "SIGUSR1"):  # which mean something as soon as all is read
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    _check(args)
    options = _options(args)
    printer = Printer()
    screen = Screen(Output(args.json, printer, MARK), args.verbose)
    path = args.db or str(default_path())
    store = Store(path, screen.warning, (args.name or socket.gethostname()) if is_url(path) else "")
    try:
        keep = Keep(args.keep, args.keep_size)
        options = replace(options, aor=_identity(args, options, store), keep=keep)
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(serve(lambda end: Inbox(options, store, screen, printer, end), screen, printer))
    finally:
        store.close()
        printer.close()
    return 0


def _octets(text: str) -> int:
    """Return a size such as 500M in octets."""
    unit = "KMGT".find(text[-1:].upper()) + 1 if text else 0
    number = text[:-1] if unit else text
    if not number.isdecimal() or not int(number):
        raise argparse.ArgumentTypeError("a size such as 500M or 2G was expected")
    return int(number) << 10 * unit


def _identity(args: argparse.Namespace, options: Options, store: Store) -> bytes | None:
    """Return who our messages are from, as far as somebody has said it, now or before."""
    try:
        if args.identity is not None:
            store.be(None if args.identity == "-" else args.identity)
        kept = store.identity()
    except StoreError as error:
        raise ToolError(f"can't use the file of messages: {trouble(error)}") from None
    return options.aor or (None if kept is None else os.fsencode(kept))


def _check(args: argparse.Namespace) -> None:
    """Raise ToolError for arguments that go without each other, or don't go together."""
    if args.identity and (args.register or args.aor):
        raise ToolError(
            "--as says who our messages are from, and for the next time, too: leave --register and --aor out"
        )
    if args.register and args.aor:
        raise ToolError("--register says who our messages are from: leave --aor out")
    arguments.check_users(args)
    if args.relay_to and (args.smime_key or args.smime_trust):
        raise ToolError("--relay-to passes messages on as they are: leave --smime-key and --smime-trust to their end")
    if args.relay_to and is_url(args.db or ""):
        raise ToolError("--relay-to keeps what it passes on in a file: name one with --db")
    if args.name is not None and not is_url(args.db or ""):
        raise ToolError("--name tells inboxes apart that share a database: add --db postgresql://...")
    if args.gateway and not (args.relay_to and args.users):
        raise ToolError("--gateway names a user whose messages are passed on: add --relay-to URI and --users FILE")
    if args.require_signed and not args.smime_trust:
        raise ToolError("--require-signed: by whom? Add --smime-trust FILE")
    if args.require_authenticated and not args.smime_key:
        raise ToolError("--require-authenticated is about what is encrypted to us: add --smime-key FILE")


def _sources(option: str, addresses: list[str] | None) -> tuple[str, ...]:
    """Return addresses as the source of a message is spelled; raises ToolError for what no message can come from."""
    for text in addresses or ():
        try:
            found = ipaddress.ip_address(text)
        except ValueError:
            found = None
        if found is None or "%" in text:  # no source shows a zone
            raise ToolError(f"{option} {text}: an IP address was expected, as the source of messages shows it")
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
            raise ToolError(f"{option} {text}: an IP address was expected; write {found.ipv4_mapped}")
    return tuple(normal_host(text.encode()).decode() for text in addresses or ())


def _domain(text: str) -> bytes:
    """Return a host in normal form; raises ToolError for what is more than a host, or none."""
    written = f"[{text}]" if ":" in text and "[" not in text and is_address(text.encode()) else text
    try:
        host, port = parse_host_port(written.encode())
    except ParseError:
        host, port = b"", None
    host = normal_host(host)
    if not host or port is not None:
        raise ToolError(f"--domain {text}: a host alone was expected, such as example.org or 192.0.2.1")
    return host


def _reader(args: argparse.Namespace) -> "Reader | None":
    if not (args.smime_key or args.smime_trust):
        return None if args.relay_to else kept_reader()
    from sipmote.smime.reader import make_reader

    return make_reader(args.smime_key, args.smime_trust or ())


def _account(args: argparse.Namespace) -> bytes | None:
    """Return who we are, as the arguments say, None where they don't; raises UsageError and ToolError."""
    identity = None if args.identity == "-" else args.identity
    return arguments.account(args) or arguments.uri("--aor", args.aor) or arguments.uri("--as", identity)


def _accept(args: argparse.Namespace, has_smime: bool) -> tuple[bytes, ...]:
    """Return the content types to take."""
    asked = tuple(kind.lower().encode() for kind in args.accept or ())
    always = (HEARTBEAT, mime.PKCS7, mime.MULTIPART) if has_smime else (HEARTBEAT,)
    return (asked or (_EVERYTHING if args.relay_to else _ACCEPT)) + always


def _options(args: argparse.Namespace) -> Options:
    reader = _reader(args)
    try:
        args.zones = arguments.take_zones(args)
        proxy = arguments.uri("--proxy", args.proxy)
        aor = _account(args)
    except UsageError as error:
        raise ToolError(str(error)) from None
    tls = arguments.tls(args, args.tls_clients)
    return Options(
        aor=aor,
        proxy=proxy,
        binds=args.bind or [arguments.bind(place) for place in _PLACES],
        accept=_accept(args, reader is not None),
        strict=args.strict,
        domains=tuple(_domain(domain) for domain in args.domain or ()),
        credentials=arguments.credentials(args),
        realm=args.realm,
        users=args.users,
        tls=tls,
        dns=args.dns,
        reader=reader,
        require_signed=args.require_signed,
        require_authenticated=args.require_authenticated,
        late_bringers=_sources("--smime-store", args.smime_store),
        trusted_proxies=_sources("--trust-proxy", args.trust_proxy),
        command=args.command,
        relay_to=args.relay_to,
        relay_expired=args.relay_expired,
        gateways=args.gateway or (),
        notifies=args.imdn,
        registers=bool(args.register),
        wires=arguments.trace(args),
        zones=args.zones,
        reads_stdin=args.interactive or sys.stdin.isatty(),
        prompts=_prompts(args),
        **_desk(args, tls.server),
    )


def _needs_page(args: argparse.Namespace) -> None:
    """Raise ToolError for an option of the page without one."""
    for option in ("http_token", "http_user", "http_name", "http_login", "late", "gone", "escalate", "registrar"):
        if getattr(args, option):
            raise ToolError(f"--{option.replace('_', '-')} is about the page: add --http 127.0.0.1:8080")


def _page(args: argparse.Namespace, tls: ssl.SSLContext | None) -> MakePage | None:
    """Return what makes the page, None without one; raises ToolError for one that would be open to strangers."""
    if not args.http:
        _needs_page(args)
        return None
    try:
        from sipmote.desk.guard import PageOptions
        from sipmote.desk.server import Page
        from sipmote.desk.sessions import read_token
        from sipmote.desk.views import Patience
    except ImportError:
        raise ToolError("--http needs aiohttp: pip install 'sipmote[desk]'") from None
    host, port = _host_port(args.http)
    if args.registrar:
        check_registrar(args.registrar, (args.domain or [""])[0])
    is_ours = is_loopback(host)
    if not is_ours and tls is None:
        raise ToolError(f"--http {args.http} can be reached by others: add --tls-cert FILE, or take 127.0.0.1")
    if (args.http_login or not is_ours) and not (args.users or args.http_token):
        raise ToolError(f"--http {args.http} asks for a login: add --users FILE or --http-token FILE")
    if args.http_user and not args.users:
        raise ToolError("--http-user names users of a file: add --users FILE")
    patience = Patience(args.late or 900.0, args.gone or 86400.0)
    if patience.gone_s <= patience.late_s:
        raise ToolError("--gone has to be longer than --late")
    options = PageOptions(
        host,
        port,
        tls,
        read_token(args.http_token) if args.http_token else None,
        tuple(args.http_user or ()),
        tuple(args.http_name or ()),
        args.http_login or not is_ours,
        patience,
    )
    return partial(Page, options)


def _host_port(text: str) -> tuple[str, int]:
    try:
        host, port = parse_host_port(text.encode())
    except ParseError:
        host, port = b"", None
    if not host or port is None:
        raise ToolError(f"--http {text}: HOST:PORT was expected, such as 127.0.0.1:8080")
    return host.decode(), port


def _desk(args: argparse.Namespace, tls: ssl.SSLContext | None) -> dict[str, Any]:
    """Return the options of what programs and browsers are told."""
    return {
        "webhooks": args.webhook or (),
        "webhook_secret": os.environb.get(b"SIPMOTE_WEBHOOK_SECRET"),
        "page": _page(args, tls),
        "escalation": _escalation(args),
        "registrar": args.registrar,
    }


def _escalation(args: argparse.Namespace) -> Escalation | None:
    for target in args.escalate or ():
        try:
            arguments.uri("--escalate", target)
        except UsageError as error:
            raise ToolError(str(error)) from None
    if args.escalate_after and not args.escalate:
        raise ToolError("--escalate-after: to whom? Add --escalate URI")
    return Escalation(tuple(args.escalate), args.escalate_after or 600.0) if args.escalate else None


def _prompts(args: argparse.Namespace) -> bool:
    """Is there a person at a terminal that can show a prompt, and nobody beside us who writes to it?"""
    others_write = sys.stderr.isatty() and (args.command or args.trace == "-")
    is_able = sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") not in (None, "", "dumb")
    return is_able and not args.json and not others_write
