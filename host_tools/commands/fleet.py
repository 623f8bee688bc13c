"""`sipmote fleet`: many boards that raise alerts, and what became of each: a load for a desk."""

import argparse
import asyncio
import ipaddress
import os
import resource
import time
from typing import TYPE_CHECKING

from sipmote.agent.errors import AgentError
from sipmote.agent.uri import parse_uri
from sipmote.console import Output
from sipmote.errors import ToolError
from sipmote.fleet.boards import Fleet, Way
from sipmote.fleet.profile import PROFILES, Profile
from sipmote.fleet.report import Tally, Teller
from sipmote.moments import seconds, whole
from sipmote.people import named
from sipmote.sip import arguments
from sipmote.sip.places import Flow, place
from sipmote.sip.reasons import reason_of
from sipmote.sip.resolver import Resolver
from sipmote.sip.udp import local_host, numeric

if TYPE_CHECKING:  # loaded for who names a desk, or wants real boards
    from sipmote.fleet.desk import Desk
    from sipmote.fleet.vms import RealBoards

_BOARDS_MOST = 20_000
_ALERTS_MOST = 1_000_000  # of which each is remembered
MOST_REAL = 48
_LONGEST_S = 7 * 86400
_DRAIN_S = 120.0
_EXPIRES_S = 600
_EACH_S = 10  # a board's alerts, unless --rate says otherwise
_DESCRIPTORS = 100  # beside one for each board
_PATIENCE_S = 15.0  # for what the desk has yet to show


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sipmote fleet`."""
    parser.description = (
        "Run many boards that raise numbered alerts, as a load for a desk, and say what became of each. Exit code: 1 "
        "when the desk has lost one that it answered, shows one twice, or shows one as valid that is not."
    )
    parser.add_argument("--boards", type=whole(1), default=10, metavar="N", help="how many (default: %(default)s)")
    parser.add_argument(
        "--real",
        type=whole(1),
        metavar="K",
        help=f"of them are virtual boards, MicroPython VMs with our program, {MOST_REAL} at most; the others are user "
        "agents in this process (default: none)",
    )
    parser.add_argument("--to", required=True, metavar="URI", help="whom the alerts are for, e.g. sip:desk@127.0.0.1")
    parser.add_argument(
        "--profile",
        choices=PROFILES,
        default=PROFILES[0],
        help="steady: each board now and then; storm: all at once, again and again; blackout: as steady, but nobody "
        "is reached in the middle third, and then all return at once (default: %(default)s)",
    )
    parser.add_argument(
        "--rate",
        type=seconds,
        metavar="ALERTS_PER_S",
        help=f"of all boards together (default: one of each board in {_EACH_S} s)",
    )
    parser.add_argument(
        "--duration", type=seconds, default=30.0, metavar="S", help="in which alerts are raised (default: 30)"
    )
    parser.add_argument(
        "--drain",
        type=seconds,
        default=_DRAIN_S,
        metavar="S",
        help="for what has no outcome then, at most (default: %(default)g)",
    )
    parser.add_argument("--heartbeat", type=seconds, metavar="S", help="a board's period (default: no heartbeats)")
    parser.add_argument(
        "--expires",
        type=whole(1),
        default=_EXPIRES_S,
        metavar="S",
        help="how long an alert is valid (default: %(default)s)",
    )
    parser.add_argument("--per-minute", type=whole(1), metavar="N", help="alerts a board sends in a minute at most")
    parser.add_argument("--proxy", metavar="URI", help="the server to send everything to, e.g. sip:127.0.0.1:5062")
    parser.add_argument("--transport", choices=("udp", "tcp"), default="udp", help="default: %(default)s")
    arguments.add_login(parser)
    parser.add_argument("--desk", metavar="http://HOST:PORT", help="of sipmote inbox --http, to see what it shows")
    parser.add_argument("--bind", metavar="HOST", help="our address (default: the one that leads there)")
    parser.add_argument("--really", action="store_true", help="load a host that isn't this computer")
    arguments.add_dns(parser)


def run(args: argparse.Namespace) -> int:
    """Run the fleet."""
    profile = _profile(args)
    _allow_files(args.boards)
    try:
        return asyncio.run(_run(args, profile, Output(args.json)))
    except AgentError as error:
        raise ToolError(str(error)) from None


def _profile(args: argparse.Namespace) -> Profile:
    """Return what the boards do; raises ToolError for more than a computer, or a person, can wait for."""
    rate = args.boards / _EACH_S if args.rate is None else args.rate
    if not rate or not args.duration:
        raise ToolError("--rate and --duration: more than 0")
    if args.heartbeat == 0:
        raise ToolError("--heartbeat: more than 0 seconds, or leave it out")
    profile = Profile(args.profile, args.boards, rate, args.duration, args.heartbeat, os.urandom(4).hex())
    if args.boards > _BOARDS_MOST:
        raise ToolError(f"--boards: {_BOARDS_MOST} at most")
    if args.duration + args.drain > _LONGEST_S:
        raise ToolError("--duration and --drain: a week together at most")
    if rate * args.duration > _ALERTS_MOST:
        raise ToolError(f"--rate {rate:g} for {args.duration:g} s: {_ALERTS_MOST:,} alerts at most")
    if args.real and (args.real > min(MOST_REAL, args.boards) or args.transport != "udp"):
        raise ToolError(f"--real: {min(MOST_REAL, args.boards)} boards at most, by --transport udp alone")
    return profile


def _allow_files(boards: int) -> None:
    """Raise our limit of open files as far as the boards need it; raises ToolError where that can't be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = boards + _DESCRIPTORS
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        remedy = f"--boards {max(hard - _DESCRIPTORS, 1)} at most, or raise it (ulimit -Hn)"
        raise ToolError(f"{boards} boards need {needed} open files, and {hard} are allowed: {remedy}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


async def _run(args: argparse.Namespace, profile: Profile, output: Output) -> int:
    way = await _way(args, profile)
    tally = Tally(own=way.own)
    teller = Teller(output, tally)
    desk = _desk(args.desk, tally)
    fleet = Fleet(way, profile, tally, args.real or 0)
    real = _real(fleet, args.real)
    try:
        if desk is not None:
            await desk.open()
        fleet.open()
        if real is not None:
            await real.open()
            real.begin(time.time())
        fleet.begin()
        await _watch(fleet, real, teller, profile.duration_s + args.drain)
        if desk is not None:
            await desk.count(_PATIENCE_S)
    finally:
        fleet.close()
        if real is not None:
            real.close()
        if desk is not None:
            await desk.close()
    return teller.result()


async def _watch(fleet: Fleet, real: "RealBoards | None", teller: Teller, longest_s: float) -> None:
    """Say each second how it goes, until all alerts are raised and have an outcome, or time is over."""
    while fleet.at_s() < longest_s and (fleet.at_s() < fleet.profile.duration_s or fleet.tally.waiting):
        await asyncio.sleep(1)
        if real is not None:
            real.look()
        teller.progress(fleet.at_s())


def _real(fleet: Fleet, count: int | None) -> "RealBoards | None":
    """Return the boards that are real, None without any."""
    if count is None:
        return None
    from sipmote.fleet.vms import RealBoards  # with what compiles a program, for who asks for some

    return RealBoards(fleet, count)


def _desk(url: str | None, tally: Tally) -> "Desk | None":
    """Return who watches the desk, None for no desk. Raises ToolError for a URL that won't do, and without aiohttp."""
    if url is None:
        return None
    try:
        from sipmote.fleet.desk import Desk
    except ImportError:
        raise ToolError("--desk needs a package: pip install 'sipmote[desk]'") from None
    if not url.startswith(("http://", "https://")):
        raise ToolError(f"--desk {url}: http://HOST:PORT was expected, as sipmote inbox --http HOST:PORT has it")
    return Desk(url, tally)


async def _way(args: argparse.Namespace, profile: Profile) -> Way:
    """Return what all boards have in common. Raises ToolError for a host that nobody has said we may load."""
    target = arguments.uri("--to", named(args.to))
    proxy = arguments.uri("--proxy", args.proxy and named(args.proxy))
    assert target is not None
    flow = await _first_hop(proxy or target, args.transport.upper().encode(), args.dns)
    if not ipaddress.ip_address(flow[1].decode()).is_loopback and not args.really:
        raise ToolError(
            f"{place(flow[1].decode(), flow[2])} isn't this computer: add --really to send it {profile.rate:g} "
            f"alerts a second for {profile.duration_s:g} s"
        )
    return Way(
        run=profile.seed,
        target=target,
        flow=flow,
        bind=args.bind or local_host(numeric(flow[1].decode(), flow[2])[1]),
        credentials=arguments.credentials(args),
        expires_s=args.expires,
        per_minute=args.per_minute,
    )


async def _first_hop(uri: bytes, transport: bytes, dns: tuple[str, int] | None) -> Flow:
    """Return the flow to where a URI leads; raises ToolError where it leads nowhere."""
    try:
        flows = await Resolver(transport, dns).flows(parse_uri(uri))
    except OSError as error:
        raise ToolError(f"{uri.decode()}: {reason_of(error)}") from None
    found = [flow for flow in flows if flow[0] == transport]
    if not found:
        raise ToolError(f"{uri.decode()} leads nowhere by {transport.decode()}: see --transport")
    return found[0]
