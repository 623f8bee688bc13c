"""Link-local IPv6 addresses: the zone that a person names leads the sockets, and no message has it."""

import os
import socket
from pathlib import Path

import pytest

from sipmote.sip.arguments import bind
from sipmote.sip.places import split_zone, with_zone
from tests.host_tools.peers import Running, inbox, sipmote

# A system on which fe80::1 at an interface called link is what ::1 is elsewhere, for machines without any such address.
STAND_IN = """
import socket
ask = socket.getaddrinfo
socket.getaddrinfo = lambda host, *more, **named: ask("::1" if host == "fe80::1%link" else host, *more, **named)
"""


def own_address() -> list[tuple[str, str]]:
    """Return a link-local address of this machine and its interface, if there is one."""
    table = Path("/proc/net/if_inet6")
    for line in table.read_text().splitlines() if table.exists() else ():
        digits, *_, name = line.split()
        if digits.startswith("fe8"):
            return [(socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits)), name)]
    return []


def test_a_zone_is_taken_out_of_what_a_person_writes() -> None:
    for text, rest, zones in (
        ("sip:desk@[fe80::1%eth0]:5070;transport=tcp", "sip:desk@[fe80::1]:5070;transport=tcp", {b"fe80::1": "eth0"}),
        ("SIP:[FEBF::A%25wlp3s0.7]", "SIP:[FEBF::A]", {b"febf::a": "wlp3s0.7"}),
        ("sip:a%20b@[fe80::1]", "sip:a%20b@[fe80::1]", {}),
        ("sip:desk@[fec0::1%eth0]", "sip:desk@[fec0::1%eth0]", {}),
        ("sip:desk@192.0.2.1", "sip:desk@192.0.2.1", {}),
    ):
        assert split_zone(text) == (rest, zones)
    zones = {b"fe80::1": "eth0", b"": "wlan0"}
    hosts = (b"fe80::1", b"fe80::2", b"2001:db8::1", b"192.0.2.1", b"febf.example.org")
    shown = ["fe80::1%eth0", "fe80::2%wlan0", "2001:db8::1", "192.0.2.1", "febf.example.org"]
    assert [with_zone(host, zones) for host in hosts] == shown
    assert bind("udp:[fe80::1%eth0]:5060").host == "fe80::1%eth0"


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("address, interface", [("fe80::1", "link"), *own_address()])
def test_messages_go_over_a_link_and_name_no_zone(address: str, interface: str, transport: str, tmp_path: Path) -> None:
    """The target, a proxy, and an address whose zone --bind has named; without one the remedy is told"""
    place = f"[{address}%{interface}]"
    source = "::1" if interface == "link" else address
    trace = tmp_path / "trace"
    (tmp_path / "sitecustomize.py").write_text(STAND_IN)
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    arguments = ("--json", "--db", ":memory:", "--bind", f"{transport}:{place}:0", "--trace", str(trace))
    running = Running("inbox", *arguments, env=env)
    try:
        port = int(running.event("ready")["bind"][0].rpartition(":")[2])
        for target, more in (
            (f"sip:desk@{place}:{port};transport={transport}", ()),
            (f"sip:desk@{place.replace('%', '%25')}:{port};transport={transport}", ()),
            ("sip:desk@example.org", ("--proxy", f"sip:{place}:{port};transport={transport}")),
            (f"sip:desk@[{address}]:{port};transport={transport}", ("--bind", f"{transport}:{place}:0")),
        ):
            assert sipmote("send", target, "hi", *more, env=env) == (0, "delivered: 200 OK\n", ""), target
            assert running.event("message")["source"].startswith(f"[{source}]:")
        code, _, err = sipmote("send", f"sip:desk@[{address}]:{port};transport={transport}", "hi", env=env)
        assert code == 5 and "needs its interface" in err
    finally:
        running.end()
    assert f"%{interface}" not in trace.read_text() and trace.read_text().count("    hi\n") == 4


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("address, interface", [("fe80::1", "link"), *own_address()])
def test_a_line_typed_at_an_inbox_may_name_a_zone_that_no_message_has(
    address: str, interface: str, transport: str, tmp_path: Path
) -> None:
    """In angle brackets, too; that of no interface is a line"""
    trace = tmp_path / "trace"
    (tmp_path / "sitecustomize.py").write_text(STAND_IN)
    environment = {"PYTHONPATH": str(tmp_path)}
    arguments = ("--json", "--db", ":memory:", "--bind", f"{transport}:[{address}%{interface}]:0")
    theirs = Running("inbox", *arguments, env={**os.environ, **environment})
    try:
        port = int(theirs.event("ready")["bind"][0].rpartition(":")[2])
        with inbox("--interactive", "--trace", str(trace), host="::", environment=environment) as ours:
            ours.type(f"sip:desk@[{address}%nowhere0]:{port};transport={transport} lost")
            assert "not sent" in ours.event("warning")["text"]
            uri = f"sip:desk@[{address}%{interface}]:{port};transport={transport}"
            for line in (f"{uri} hi", f"<{uri}> hi"):
                ours.type(line)
                assert theirs.event("message")["body"] == "hi"
                assert ours.event("outcome")["outcome"] == "delivered"
    finally:
        theirs.end()
    assert f"%{interface}" not in trace.read_text() and trace.read_text().count("    hi\n") == 2
