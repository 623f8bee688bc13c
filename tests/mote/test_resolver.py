"""R3428-3.3, R3261-18-2: a board finds its way by DNS without blocking, and another when one is closed."""

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests import sip_peer
from tests.dns_server import DnsServer, closed_port, points_at_itself
from tests.host_tools.peers import Peer, header
from tests.host_tools.virtual import started
from tests.vm import run_program

_PROGRAM = """
import asyncio, json, os, sys
from agent.user_agent import UserAgent
from mote.net.bind import bind_udp
from mote.net.shell import Shell
from mote.net.sockets import now

settings = json.loads(sys.argv[1])
proxy = settings["proxy"]
ua = UserAgent(b"sip:boiler@example.org", b"mote.invalid:5060", os.urandom, proxy=proxy and proxy.encode(),
               transport=settings["transport"].upper().encode())
outcomes = []
shell = Shell(ua, outcomes.append, settings)
turns = 0

async def tick():
    global turns
    while True:
        await asyncio.sleep_ms(50)
        turns += 1

async def main():
    shell.open(bind_udp(settings["bind"].rpartition(":")[0], 0))
    asyncio.create_task(tick())
    for target in settings["targets"]:
        began = turns
        shell.carry_out(ua.send(ua.new_call_id(), target.encode(), b"hot", now()))
        while not outcomes:
            await asyncio.sleep_ms(10)
        outcome = outcomes.pop()
        print(json.dumps([outcome.name, outcome.status, outcome.reason.decode(), turns - began]))
    loaded = ("mote.net.resolver", "mote.net.names", "agent.resolve.search", "agent.resolve.dns")
    print(json.dumps(sorted([name for name in sys.modules if name in loaded])))

asyncio.run(main())
"""

_BOILER = """
from mote import Mote
mote = Mote()
@mote.every(3600)
async def boiler():
    print("alert:", await mote.alert("hot", expires=600))
mote.run()
"""


class Seen:
    """outcomes: [name, status, reason, turns of another task meanwhile]; loaded: modules for names, of those there."""

    def __init__(self, lines: Sequence[Any]) -> None:
        self.outcomes = lines[:-1]
        self.loaded = lines[-1]


def _send(
    targets: Sequence[str],
    dns: str | None,
    transport: str = "udp",
    proxy: str | None = None,
    bind: str = "127.0.0.1:0",
) -> Seen:
    """Send to each target in turn on a VM."""
    settings = {"dns": dns, "transport": transport, "proxy": proxy, "bind": bind, "targets": targets}
    done = run_program(_PROGRAM, json.dumps(settings), "192k")
    return Seen([json.loads(line) for line in done.stdout.splitlines()])


def _two(first: int, second: int, transport: str = "udp") -> dict[tuple[str, str], list[str]]:
    records = [f"20 0 {second} b.example.org.", f"10 0 {first} a.example.org."]
    return {
        (f"_sip._{transport}.example.org", "SRV"): records,
        ("a.example.org", "A"): ["127.0.0.1"],
        ("b.example.org", "CNAME"): ["c.example.org."],
        ("c.example.org", "A"): ["127.0.0.1"],
    }


def test_second_server_takes_what_the_first_one_has_no_service_for_and_the_next_message_first() -> None:
    with (
        Peer("udp", [["503 Service Unavailable"]]) as first,
        Peer("udp", [["200 OK"]] * 2) as second,
        DnsServer(_two(first.port, second.port)) as server,
    ):
        seen = _send(["sip:desk@example.org", "sip:other@example.org"], server.place)
    assert [outcome[:2] for outcome in seen.outcomes] == [["delivered", 200]] * 2
    assert (len(first.got), len(second.got)) == (1, 2)
    assert server.asked.count(("a.example.org", "A")) == 1  # it is kept for a minute


def test_answers_are_kept_no_longer_than_they_may() -> None:
    with Peer("udp", [["200 OK"]] * 2) as peer, DnsServer(_two(peer.port, peer.port), ttl=0) as server:
        _send(["sip:desk@example.org"] * 2, server.place)
    assert server.asked.count(("a.example.org", "A")) == 2


def test_second_server_takes_what_the_first_one_refuses_a_connection_for() -> None:
    with Peer("tcp", [["200 OK"]]) as peer, DnsServer(_two(closed_port(), peer.port, "tcp")) as server:
        seen = _send(["sip:desk@example.org"], server.place)
    assert seen.outcomes[0][:2] == ["delivered", 200]
    assert header(peer.got[0], "Via").startswith("SIP/2.0/TCP")


def test_a_server_that_dns_names_for_tcp_is_not_waited_for_over_udp_when_its_stream_ends() -> None:
    """A proxy that stops before it answers: the 503 comes at once and names the stream, not a 408 after Timer F"""
    with Peer("tcp", [[]]) as proxy:  # hangs up when it has the request
        records = [f"10 0 {proxy.port} a.example.org."]
        services = {(f"_sip._{transport}.example.org", "SRV"): records for transport in ("udp", "tcp")}
        with DnsServer({**services, ("a.example.org", "A"): ["127.0.0.1"]}) as server:
            seen = _send(["sip:desk@example.org"], server.place, transport="tcp", proxy="sip:example.org")
    assert seen.outcomes[0][:3] == ["failed", 503, "the connection has ended"]
    assert len(proxy.got) == 1


def test_udp_is_next_where_the_preferred_tcp_is_refused() -> None:
    with Peer("udp", [["200 OK"]]) as peer, DnsServer({("example.org", "A"): ["127.0.0.1"]}) as server:
        seen = _send([f"sip:desk@example.org:{peer.port}"], server.place, transport="tcp")
    assert seen.outcomes[0][:2] == ["delivered", 200]
    assert header(peer.got[0], "Via").startswith("SIP/2.0/UDP")


def test_proxy_is_looked_up_in_place_of_the_target() -> None:
    with Peer("udp", [["200 OK"]]) as proxy, DnsServer(_two(proxy.port, proxy.port)) as server:
        seen = _send(["sip:desk@nowhere.example"], server.place, proxy="sip:example.org")
        assert seen.outcomes[0][:2] == ["delivered", 200]
        assert not [name for name, _ in server.asked if "nowhere" in name]


def test_board_that_meets_addresses_alone_loads_nothing_for_names() -> None:
    with Peer("udp", [["200 OK"]]) as peer:
        seen = _send([f"sip:desk@127.0.0.1:{peer.port}"], None)
    assert seen.outcomes[0][:2] == ["delivered", 200] and seen.loaded == []


def test_silent_and_malicious_servers_end_in_a_failure_while_others_work_on() -> None:
    """All at the same time: each takes 6 s"""

    def met(forge: Any) -> tuple[Seen, int]:
        with DnsServer(forge=forge) as server:
            return _send(["sip:desk@example.org"], server.place), len(server.asked)

    with ThreadPoolExecutor() as pool:
        for seen, asked in pool.map(met, (lambda query: None, points_at_itself, bytes)):
            name, status, reason, turns = seen.outcomes[0]
            assert (name, status, reason) == ("failed", 503, "no answer from the DNS server at 127.0.0.1")
            assert asked == 3 and turns > 50


def test_failure_says_what_is_not_there() -> None:
    with DnsServer() as server:
        seen = _send(["sip:desk@example.org", "sip:desk@a..b:5060", "sip:desk@localhost"], server.place)
    assert [outcome[:3] for outcome in seen.outcomes] == [
        ["failed", 503, "no address found for example.org"],
        ["failed", 503, "a name with 1 to 63 octets between its dots was expected"],
        ["failed", 503, "no address found for localhost"],
    ]
    assert _send(["sip:desk@example.org"], None).outcomes[0][2] == "no DNS server: sipmote deploy --set dns=ADDRESS"


@pytest.mark.parametrize("server_at", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("bind", ["[::]:0", "[::1]:0"])
def test_board_on_ipv6_finds_a_name_that_has_nothing_else(bind: str, server_at: str) -> None:
    zone = {("six.example.org", "AAAA"): ["::1"]}
    with Peer("udp", [["200 OK"]], "::1") as peer, DnsServer(zone, host=server_at) as server:
        seen = _send([f"sip:desk@six.example.org:{peer.port}"], server.place, bind=bind)
        asked = [kind for _, kind in server.asked]
    assert seen.outcomes[0][:2] == ["delivered", 200]
    assert asked == (["AAAA", "A"] if bind == "[::]:0" else ["AAAA"])


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_board_on_all_addresses_goes_by_ipv4_where_ipv6_leads_nowhere(transport: str) -> None:
    """Nobody listens at the IPv6 address: an ICMP error over UDP comes too late, so there the name has none"""
    zone = {("both.example.org", "A"): ["127.0.0.1"]}
    if transport == "tcp":
        zone["both.example.org", "AAAA"] = ["::1"]
    with Peer(transport, [["200 OK"]]) as peer, DnsServer(zone) as server:
        seen = _send([f"sip:desk@both.example.org:{peer.port}"], server.place, transport, bind="[::]:0")
    assert seen.outcomes[0][:2] == ["delivered", 200]


def test_board_on_ipv4_asks_for_nothing_else() -> None:
    with DnsServer({("six.example.org", "AAAA"): ["::1"]}) as server:
        seen = _send(["sip:desk@six.example.org:5060"], server.place)
        assert server.asked == [("six.example.org", "A")]
    assert seen.outcomes[0][2] == "no address found for six.example.org"


def test_deployed_board_finds_its_way_and_comes_back_when_the_server_says(tmp_path: Path) -> None:
    config = {"aor": "sip:boiler@example.org", "to": "sip:desk@example.org", "bind": "127.0.0.1:0"}
    with (
        sip_peer.Peer() as peer,
        DnsServer(_two(peer.port, peer.port)) as server,
        started(tmp_path / "flash", _BOILER, {**config, "dns": server.place}, "96k") as (_, monitor),
    ):
        peer.answer(503, b"Retry-After: 4\r\n")
        began = time.monotonic()
        assert peer.answer(200).body == b"hot"
        assert time.monotonic() - began > 3.9  # of its own accord it would be 2 s
        monitor.wait_for(event="console", text="alert: delivered")
