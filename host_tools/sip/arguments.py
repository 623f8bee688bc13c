"""The arguments that `send` and `inbox` have in common, and what they stand for."""

import argparse
import os
import re

from sipmote.agent.errors import ParseError, UsageError
from sipmote.agent.resolve.search import is_address
from sipmote.agent.uri import bracketed, parse_host_port, parse_uri
from sipmote.errors import ToolError
from sipmote.people import PASSWORD_VARIABLE, ask_password, check_name, named
from sipmote.sip.places import Bind, Wire, split_zone, with_zone
from sipmote.sip.tls import Tls, load_tls
from sipmote.sip.trace import open_trace

_URIS = {  # where they are in the arguments: how a person has given them
    "uri": "",
    "sender": "--from ",
    "proxy": "--proxy ",
    "register": "--register ",
    "aor": "--aor ",
    "identity": "--as ",
    "relay_to": "--relay-to ",
    "to": "--to ",
}
Credentials = tuple[tuple[bytes, bytes, bytes], ...]  # as UserAgent takes them


def add_login(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of who we are to a server that asks."""
    parser.add_argument("--user", metavar="NAME", help="whom a server is told that asks for a password")
    parser.add_argument(
        "--password-file",
        metavar="FILE",
        help=f"its first line is the password (default: {PASSWORD_VARIABLE} or a prompt)",
    )


def credentials(args: argparse.Namespace) -> Credentials:
    """Return the name and the password that the arguments lead to; a person may be asked."""
    if not args.user:
        if args.password_file:
            raise ToolError("--password-file: whose password? Add --user NAME")
        return ()
    check_name("user", args.user)
    return ((b"", os.fsencode(args.user), os.fsencode(ask_password(args.user, args.password_file))),)


def add_users(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the arguments of who may send to us. what: is done for them alone."""
    made = "sipmote passwd makes the file, which is read again when it changes"
    parser.add_argument("--users", metavar="FILE", help=f"{what}; {made}")
    parser.add_argument("--realm", metavar="R", help="of --users, when the file has several")


def check_users(args: argparse.Namespace) -> None:
    """Raise ToolError for a realm of no users."""
    if args.realm and not args.users:
        raise ToolError("--realm names whose passwords count: add --users FILE")


def add_tls(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of TLS."""
    group = parser.add_argument_group("TLS")
    group.add_argument("--tls-ca", metavar="FILE", help="PEM with the CAs to trust (default: the system's)")
    group.add_argument("--tls-fingerprint", metavar="SHA256", help="trust this one server certificate and no other")
    group.add_argument(
        "--tls-wildcards", action="store_true", help="trust certificates for *.DOMAIN, too (RFC 5922 forbids them)"
    )
    group.add_argument("--tls-cert", metavar="FILE", help="our own certificate, PEM, with its chain")
    group.add_argument("--tls-key", metavar="FILE", help="the key of --tls-cert (default: in the same file)")


def tls(args: argparse.Namespace, clients_need_certificates: bool = False) -> Tls:
    """Return how streams are secured; raises ToolError for a file that won't do."""
    files = (args.tls_ca, args.tls_fingerprint, args.tls_cert, args.tls_key)
    return load_tls(*files, clients_need_certificates, args.tls_wildcards)


def add_trace(parser: argparse.ArgumentParser) -> None:
    """Add the argument of a trace."""
    parser.add_argument(
        "--trace",
        nargs="?",
        const="-",
        type=_trace_file,
        metavar="FILE",
        help="show each SIP message that is sent or received, without passwords, on stderr or in FILE",
    )


def _trace_file(text: str) -> str:
    if text.partition(":")[0].lower() in ("sip", "sips", "im", "tel"):
        raise argparse.ArgumentTypeError(f"{text} is no file: put --trace behind all other arguments")
    return text


def trace(args: argparse.Namespace) -> tuple[Wire, ...]:
    """Return who writes the trace, if there is to be one; raises ToolError for a file that can't be written."""
    return (open_trace(args.trace),) if args.trace else ()


def add_dns(parser: argparse.ArgumentParser) -> None:
    """Add the argument that is for tests and for strange networks."""
    parser.add_argument("--dns", metavar="HOST:PORT", type=_dns_server, help=argparse.SUPPRESS)


def _dns_server(text: str) -> tuple[str, int]:
    try:
        host, port = parse_host_port(text.encode())
    except ParseError:
        host, port = b"", None
    if not is_address(host):
        raise argparse.ArgumentTypeError(f"{text}: the address of a DNS server, and perhaps :PORT, was expected")
    return host.decode(), port or 53


def bind(text: str) -> Bind:
    """Read "udp:HOST:PORT", "tcp:HOST:PORT" or "tls:HOST:PORT", IPv6 in brackets: the type of a --bind argument."""
    transport, _, rest = text.partition(":")
    rest, zones = split_zone(rest)
    try:
        host, port = parse_host_port(rest.encode())
    except ParseError:
        port = None
    if transport not in ("udp", "tcp", "tls") or port is None:
        raise argparse.ArgumentTypeError(
            f"{text}: udp:HOST:PORT, tcp:HOST:PORT or tls:HOST:PORT was expected, IPv6 in brackets"
        )
    return Bind(transport.upper().encode(), with_zone(host, zones), port)


def take_zones(args: argparse.Namespace) -> dict[bytes, str]:
    """Take the zones of link-local addresses out of the URIs in args, as in sip:desk@[fe80::1%eth0]; returns them.

    An address without a zone of its own has that of --bind. A URI takes the place of a person's name for it. Raises
    UsageError for what is neither.
    """
    zones: dict[bytes, str] = {}
    for one in args.bind or ():
        address, _, zone = one.host.partition("%")
        if zone:
            zones |= {b"": zone, address.encode(): zone}
    for name, option in _URIS.items():
        text = getattr(args, name, None)
        if text and text != "-":
            try:
                text, found = split_zone(named(text))
            except UsageError as error:
                raise UsageError(f"{option}{error}") from None
            setattr(args, name, text)
            zones |= found
    return zones


def uri(option: str, text: str | None) -> bytes | None:
    """Return the URI that an option was given, None without one; raises UsageError that names the option."""
    if not text:
        return None
    octets = os.fsencode(text)
    try:
        parse_uri(octets)
    except ParseError as error:
        raise UsageError(f"{option} {text}: {error.detail}, such as sip:192.0.2.1") from None
    return octets


def account(args: argparse.Namespace) -> bytes | None:
    """Return the URI to register, None for none; raises ToolError for one that is nobody's, and UsageError."""
    found = uri("--register", args.register)
    if found is not None and not parse_uri(found).user:
        host = bracketed(parse_uri(found).host).decode()
        raise ToolError(f"--register {args.register}: as whom? Name the user, as in sip:{args.user or 'NAME'}@{host}")
    return found


def address(option: str, text: str | None) -> tuple[bytes | None, str | None]:
    """Split '"Boiler 3" <sip:b@example.org>' into (display name as it stands in From or None, URI or None).

    A name may lack its quotes, and a URI its brackets. Raises UsageError for brackets that don't match and for a name
    that isn't one line of text.
    """
    name, bracket, rest = (text or "").strip().rpartition("<")
    if not bracket:
        return None, text
    uri, bracket, behind = rest.partition(">")
    if not bracket or behind:
        raise UsageError(f"{option} {text}: a URI was expected, or a name and a URI in angle brackets")
    name = name.strip()
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    if not name.isprintable():
        raise UsageError(f"{option} {text}: a name of one line was expected")
    quoted = re.sub(r'(["\\])', r"\\\1", name)
    return os.fsencode(f'"{quoted}"') if name else None, uri
