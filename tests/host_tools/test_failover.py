"""R3428-3.3, R3428-8.1, R3261-18-2: `sipmote send` and `inbox` find their way by DNS, and another when one is closed.

A flow that stays silent takes Timer F, 32 s: that case is tests/agent/test_locate.py's.
"""

import contextlib
import json
import socket
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.dns_server import DnsServer, closed_port, points_at_itself
from tests.host_tools.peers import Peer, Running, header, inbox, sipmote

_HOME = ["127.0.0.1"]


def _send(server: DnsServer, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Send with this DNS server; returns exit code, the one JSON line and stderr."""
    code, out, err = sipmote("send", "--dns", server.place, "--json", *arguments)
    lines = out.splitlines()
    assert len(lines) == 1, out + err
    return code, json.loads(lines[0]), err


def _two(first: int, second: int, transport: str = "udp") -> dict[tuple[str, str], list[str]]:
    """A zone in which example.org has a first and a second server for a transport, at ports of loopback."""
    records = [f"20 0 {second} b.example.org.", f"10 0 {first} a.example.org."]
    return {
        (f"_sip._{transport}.example.org", "SRV"): records,
        ("a.example.org", "A"): _HOME,
        ("b.example.org", "A"): _HOME,
    }


def test_second_server_takes_what_the_first_one_refuses_a_connection_for() -> None:
    with Peer("tcp", [["200 OK"]]) as peer, DnsServer(_two(closed_port(), peer.port, "tcp")) as server:
        code, line, err = _send(server, "sip:desk@example.org", "hi")
    assert (code, line["event"], err) == (0, "delivered", "")
    assert header(peer.got[0], "Via").startswith("SIP/2.0/TCP")
    assert header(peer.got[0], "CSeq") == "1 MESSAGE"
    assert peer.got[0].startswith(b"MESSAGE sip:desk@example.org SIP/2.0")


def test_second_server_takes_what_the_first_one_has_no_service_for() -> None:
    busy = "503 Service Unavailable\r\nRetry-After: 60"
    with (
        Peer("udp", [[busy]]) as first,
        Peer("udp", [["200 OK"]]) as second,
        DnsServer(_two(first.port, second.port)) as server,
    ):
        code, line, err = _send(server, "sip:desk@example.org", "hi")
    assert (code, line["event"], line["status"], err) == (0, "delivered", 200, "")
    assert header(first.got[0], "Call-ID") == header(second.got[0], "Call-ID")
    assert header(first.got[0], "Via") != header(second.got[0], "Via")


def test_next_message_begins_with_the_server_that_is_alive() -> None:
    with Peer("udp", [["503 Service Unavailable"], ["200 OK"]]) as first, Peer("udp", [["200 OK"]] * 2) as second:
        with DnsServer(_two(first.port, second.port)) as server:
            text = "first half " * 80 + "second half " * 80
            code, out, _ = sipmote("send", "--dns", server.place, "--budget", "split", "sip:desk@example.org", text)
            assert server.asked.count(("_sip._udp.example.org", "SRV")) == 1
        assert code == 0 and out == "delivered: 200 OK\n"
    assert (len(first.got), len(second.got)) == (1, 2)


def test_domain_without_services_is_reached_over_the_transport_that_is_preferred() -> None:
    zone = {("host.example.org", "A"): _HOME, ("www.example.org", "CNAME"): ["host.example.org."]}
    with Peer("tcp", [["200 OK"]]) as peer, DnsServer(zone) as server:
        code, _, _ = _send(server, "--transport", "tcp", f"sip:desk@www.example.org:{peer.port}", "hi")
        assert code == 0
        assert [kind for _, kind in server.asked] == ["AAAA", "A"]  # a port was named: no SRV


def test_udp_is_next_where_the_preferred_tcp_is_refused() -> None:
    with Peer("udp", [["200 OK"]] * 2) as peer, DnsServer({("example.org", "A"): _HOME}) as server:
        for host in ("127.0.0.1", "example.org"):
            code, line, _ = _send(server, "--transport", "tcp", f"sip:desk@{host}:{peer.port}", "hi")
            assert (code, line["event"]) == (0, "delivered")
    assert [header(data, "Via")[:11] for data in peer.got] == ["SIP/2.0/UDP"] * 2


def test_tcp_that_the_uri_asks_for_is_not_replaced_by_udp() -> None:
    with DnsServer() as server:
        code, line, _ = _send(server, f"sip:desk@127.0.0.1:{closed_port()};transport=tcp", "hi")
    assert (code, line["event"], line["reason"]) == (5, "failed", "connection refused")


def test_proxy_is_looked_up_in_place_of_the_target() -> None:
    with Peer("udp", [["200 OK"]]) as proxy, DnsServer(_two(proxy.port, proxy.port)) as server:
        assert _send(server, "sip:desk@nowhere.example", "--proxy", "sip:example.org", "hi")[0] == 0
        assert not [name for name, _ in server.asked if "nowhere" in name]
    assert proxy.got[0].startswith(b"MESSAGE sip:desk@nowhere.example SIP/2.0")


def test_im_uri_leads_to_the_sip_server_that_its_domain_names() -> None:
    """R3428-5.1, R3428-5.2: RFC 3861; without one there is no way but a proxy, which isn't asked by DNS"""
    with Peer("udp", [["200 OK"], ["200 OK"]]) as peer:
        place = f"{peer.port} a.example.org."
        zone = {
            ("_im._sip.example.org", "SRV"): [f"10 0 {place}", "20 0 9 b.example.org."],
            ("a.example.org", "A"): _HOME,
        }
        with DnsServer({**zone, ("_im._sip.example.net", "SRV"): ["0 0 0 ."]}) as server:
            assert _send(server, "im:desk@example.org", "hi", "--cpim")[0] == 0
            for domain in ("example.net", "example.com", "127.0.0.1", "localhost"):
                code, out, err = sipmote("send", "--dns", server.place, f"im:desk@{domain}", "hi")
                assert (code, out) == (2, "") and "proxy" in err and len(err.splitlines()) == 1
            asked = len(server.asked)
            assert _send(server, "im:desk@example.org", "hi", "--proxy", f"sip:127.0.0.1:{peer.port}")[0] == 0
            assert len(server.asked) == asked
    assert peer.got[0].startswith(b"MESSAGE sip:desk@a.example.org:%d SIP/2.0" % peer.port)
    assert b"To: <im:desk@example.org>" in peer.got[0]
    assert peer.got[1].startswith(b"MESSAGE im:desk@example.org SIP/2.0")


def test_contact_of_a_redirect_is_looked_up_too() -> None:
    with (
        Peer("udp", [["302 Moved\r\nContact: <sip:other@example.org>"]]) as moved,
        Peer("udp", [["200 OK"]]) as peer,
        DnsServer(_two(peer.port, peer.port)) as server,
    ):
        assert _send(server, f"sip:desk@127.0.0.1:{moved.port}", "hi")[0] == 0
    assert peer.got[0].startswith(b"MESSAGE sip:other@example.org SIP/2.0")


def test_name_that_is_none_is_one_line_and_a_redirect_to_it_an_outcome() -> None:
    for name in ("a..example.org", "a" * 64 + ".example.org"):
        code, out, err = sipmote("send", f"sip:desk@{name}", "hi")
        assert (code, out) == (5, "") and err.endswith(f"no address found for {name} (no host name)\n")
        with Peer("udp", [[f"302 Moved\r\nContact: <sip:desk@{name}>"]]) as peer:
            code, _, err = sipmote("send", f"sip:desk@127.0.0.1:{peer.port}", "hi")
        assert code == 5 and err.endswith(f"no address found for {name} (no host name)\n")


def test_addresses_and_names_of_this_machine_are_not_asked_for() -> None:
    with Peer("udp", [["200 OK"]] * 3) as peer, DnsServer() as server:
        assert _send(server, f"sip:desk@127.0.0.1:{peer.port}", "hi")[0] == 0
        assert _send(server, "sip:desk@example.org", "--proxy", f"sip:127.0.0.1:{peer.port}", "hi")[0] == 0
        assert _send(server, f"sip:desk@localhost:{peer.port}", "hi")[0] == 0  # by way of ::1, perhaps
        assert server.asked == []


def test_certificate_has_to_be_for_the_domain_and_not_for_the_server_it_names(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    for name, expected in (("example.org", 0), ("a.example.org", 5)):
        authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(str(tmp_path / f"{name}.pem"))
        with inbox("--bind", "tls:127.0.0.1:0", "--tls-cert", str(tmp_path / f"{name}.pem")) as running:
            port = next(bind for bind in running.bound if bind.startswith("tls")).rpartition(":")[2]
            zone = {("_sips._tcp.example.org", "SRV"): [f"0 0 {port} a.example.org."], ("a.example.org", "A"): _HOME}
            with DnsServer(zone) as server:
                code, line, _ = _send(server, "sips:desk@example.org", "hi", "--tls-ca", str(tmp_path / "ca.pem"))
        assert code == expected, line


def test_retry_after_is_said() -> None:
    busy = "503 Service Unavailable\r\nRetry-After: 120"
    with Peer("udp", [[busy], [busy]]) as peer:
        target = f"sip:desk@127.0.0.1:{peer.port}"
        code, out, err = sipmote("send", target, "hi", "--json")
        assert (code, json.loads(out)["retry_after"], err) == (4, 120, "")
        code, out, err = sipmote("send", target, "hi")
    assert (code, out, err) == (4, "", f"sipmote: {target}: failed: 503 Service Unavailable, try again in 120 s\n")


@pytest.mark.parametrize("uri", ["sip:desk@example.org", "sip:desk@example.org:5060"])
def test_name_that_nobody_knows_is_one_line(uri: str) -> None:
    with DnsServer() as server:
        code, out, err = sipmote("send", "--dns", server.place, uri, "hi")
    assert (code, out, err) == (5, "", f"sipmote: {uri}: failed: no address found for example.org\n")


def test_silent_and_malicious_servers_are_one_line_in_bounded_time() -> None:
    forges = (None, points_at_itself, bytes, lambda query: query[:2] + b"\xff" * 500)
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(DnsServer(forge=forge or (lambda query: None))) for forge in forges]
        places = [server.place for server in servers] + [f"127.0.0.1:{closed_port(socket.SOCK_DGRAM)}"]
        runs = [Running("send", "--dns", place, "sip:desk@example.org", "hi") for place in places]
        runs.append(Running("send", "--dns", places[0], "im:desk@example.org", "hi"))
        codes = [run.wait() for run in runs]
    troubles = [b"no address found for example.org (no answer from the DNS server at 127.0.0.1 port "] * len(places)
    assert codes == [5] * len(codes)
    for run, trouble in zip(runs, [*troubles, b"no answer from the DNS server at 127.0.0.1 port "], strict=True):
        assert b"failed: " + trouble in run.errors and run.errors.count(b"\n") == 1, run.errors


def test_records_that_lead_in_circles_are_one_line() -> None:
    circle = {
        ("a.example.org", "CNAME"): ["a.example.org."],
        ("_sip._udp.example.org", "SRV"): ["0 0 1 a.example.org."],
    }
    with DnsServer(circle) as server:
        code, _, err = sipmote("send", "--dns", server.place, "sip:desk@example.org", "hi")
        assert code == 5 and err.count("\n") == 1 and "Traceback" not in err and len(server.asked) < 40


def test_dns_server_that_is_no_address_is_wrong_use() -> None:
    code, _, err = sipmote("send", "--dns", "example.org", "sip:desk@example.org", "hi")
    assert code == 2 and "address of a DNS server" in err


def test_line_typed_at_the_inbox_finds_its_way_and_the_next_one_too() -> None:
    with (
        Peer("udp", [["503 Service Unavailable"]]) as first,
        Peer("udp", [["200 OK"]] * 2) as second,
        DnsServer(_two(first.port, second.port)) as server,
        inbox("--interactive", "--dns", server.place) as running,
    ):
        for text in ("one", "two"):
            running.type(f"sip:desk@example.org {text}")
            assert running.event("outcome")["outcome"] == "delivered"
        running.type("sip:desk@nowhere.example three")
        assert "nowhere.example" in running.event("warning")["text"]
    assert (len(first.got), len(second.got)) == (1, 2)
