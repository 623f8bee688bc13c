"""R3261-22-2, R3581-1, R3581-3, R3428-11.2, R3428-4.9: the inbox and a board as users of Kamailio."""

import hashlib
import json
import os
import select
import signal
import socket
import sqlite3
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from sipmote.agent.uri import bracketed
from tests.demo.main_job import BOILER
from tests.dns_server import DnsServer
from tests.host_tools.peers import has_ipv6
from tests.host_tools.virtual import started, virtual_board
from tests.interop.kamailio import Edge, Registrar, password_of
from tests.interop.peers import free_port, wait_until
from tests.mote.board_keys import person, write_keys
from tests.tools import Line, Tool

needs_ipv6 = pytest.mark.skipif(not has_ipv6() and not os.environ.get("CI"), reason="no ::1 here")
_READINGS = """
from mote import Mote

mote = Mote()
count = 0


@mote.every(1)
async def read():
    global count
    count += 1
    if count < 7:
        await mote.alert("reading %d" % count, expires=600)


mote.run()
"""
_AN_HOUR_AGO = """
from mote import Mote
from mote.net.sockets import now

mote = Mote()
clock = mote.agent.clock
clock.set(clock.unix(now()) - 3600, clock.quality, now())


@mote.every(3600)
async def once():
    await mote.alert("Boiler at 85 C")


mote.run()
"""


@contextmanager
def user(
    folder: Path, name: str, proxy: str, *more: str, host: str = "127.0.0.1", password: str = ""
) -> Iterator[Tool]:
    """An inbox that is to be name@interop.test."""
    secret = folder / f"{name}.password"
    secret.write_text(password or password_of(name))
    binds = ["--bind", f"udp:{host}:0", "--bind", f"tcp:{host}:0"]
    account = ["--register", f"sip:{name}@interop.test", "--user", name, "--password-file", str(secret)]
    with Tool("inbox", *binds, "--db", ":memory:", *account, "--proxy", proxy, *more) as inbox:
        inbox.wait_for(event="ready")
        yield inbox


@contextmanager
def reachable(folder: Path, name: str, proxy: str, *more: str, **options: str) -> Iterator[Tool]:
    """An inbox that is registered as name@interop.test."""
    with user(folder, name, proxy, *more, **options) as inbox:
        assert inbox.wait_for(event="registered")["expires"] > 0
        yield inbox


def sending(folder: Path, proxy: str, target: str, text: str, *more: str) -> Tool:
    """A message of alice's that is on its way."""
    secret = folder / "alice.password"
    secret.write_text(password_of("alice"))
    account = ["--from", "sip:alice@interop.test", "--user", "alice", "--password-file", str(secret)]
    return Tool("send", target, text, *account, "--proxy", proxy, *more)


def send(folder: Path, proxy: str, target: str, text: str, *more: str) -> tuple[int, Line]:
    """Send as alice; returns the exit code and the last line."""
    with sending(folder, proxy, target, text, *more) as tool:
        code = tool.wait()
        return code, tool.lines[-1] if tool.lines else {}


@contextmanager
def board(folder: Path, program: Path, *options: str, start: Sequence[str] = (), **settings: Any) -> Iterator[Tool]:
    """A virtual board that runs a program; gives its monitor.

    options: further ones of `sipmote deploy`, which is left out without them; start: of `sipmote board start`.
    """
    settings = {"to": "sip:bob@interop.test", "bind": "127.0.0.1:0", **settings}
    flash = Path(mkdtemp(prefix="flash-", dir=folder))
    if not options:
        with started(flash, program.read_text(), settings, "144k", *start) as (_, monitor):
            yield monitor
        return
    configuration = folder / "mote.json"
    configuration.write_text(json.dumps(settings))
    configuration.chmod(0o600)
    with virtual_board(flash, "144k", *start) as serial:
        with Tool("deploy", str(program), "--port", serial, "--config", str(configuration), *options) as deploy:
            assert deploy.wait(60) == 0, deploy.transcript()
        with Tool("monitor", "--port", serial) as monitor:
            yield monitor


def outcomes(monitor: Tool) -> list[Line]:
    """What became of a board's messages so far."""
    return [line["fields"] for line in monitor.lines if line.get("name") == "outcome"]


class Nat:
    """A box between a client and the proxy: datagrams leave it from an address that the client doesn't know."""

    def __init__(self, proxy: int) -> None:
        self._inner, self._outer = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        self._inner.bind(("127.0.0.1", 0))
        self._outer.bind(("127.0.0.1", 0))
        self._outer.connect(("127.0.0.1", proxy))
        self.port: int = self._inner.getsockname()[1]
        self._ended, self._end = socket.socketpair()
        self._thread = threading.Thread(target=self._carry)
        self._thread.start()

    def _carry(self) -> None:
        client = None
        while True:
            ready = select.select([self._inner, self._outer, self._ended], [], [])[0]
            if self._ended in ready:
                return
            if self._inner in ready:
                data, client = self._inner.recvfrom(65535)
                self._outer.send(data)
            if self._outer in ready and client:
                self._inner.sendto(self._outer.recv(65535), client)

    def __enter__(self) -> "Nat":
        return self

    def __exit__(self, *_: object) -> None:
        self._end.send(b".")
        self._thread.join()
        for sock in (self._inner, self._outer, self._ended, self._end):
            sock.close()


class Wire:
    """Carries TCP to a port, one connection after the other, and keeps what passes.

    deaf: nothing passes any more, not even the end of the connection.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.uri = f"sip:127.0.0.1:{self._listener.getsockname()[1]};transport=tcp"
        self.sent: list[bytes] = []  # by the user, as it came off the stream
        self.received: list[bytes] = []
        self.deaf = False
        self._ended, self._end = socket.socketpair()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while self._ended not in select.select([self._listener, self._ended], [], [])[0]:
            near, _ = self._listener.accept()
            with near, socket.create_connection(("127.0.0.1", self._port)) as far:
                self._carry(near, far)

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        ends = {near: (far, self.sent), far: (near, self.received)}
        while near in ends:
            ready = select.select([*ends, self._ended], [], [])[0]
            if self._ended in ready:
                return
            for end in [end for end in ready if end in ends]:
                data = end.recv(65536)
                other, kept = ends[end]
                if self.deaf and not data:
                    del ends[end]
                elif not data:
                    return
                elif not self.deaf:
                    kept.append(data)
                    other.sendall(data)

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self._end.send(b".")
        self._thread.join()
        for sock in (self._listener, self._ended, self._end):
            sock.close()


@pytest.mark.parametrize("algorithm", ["MD5", "SHA256"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_user_is_reached_where_it_registered(transport: str, algorithm: str, tmp_path: Path) -> None:
    with Registrar(tmp_path, "AUTH", "STORE", "NAT", algorithm) as registrar:
        proxy = registrar.uri(transport)
        with reachable(tmp_path, "bob", proxy) as bob:
            code, line = send(tmp_path, proxy, "sip:bob@interop.test", "hello")
            assert (code, line["event"]) == (0, "delivered")
            message = bob.wait_for(event="message", body="hello")
            assert (message["from"], message["transport"]) == ("sip:alice@interop.test", transport)
        assert bob.lines[-1] == {"event": "registered", "expires": 0}
        code, line = send(tmp_path, proxy, "sip:bob@interop.test", "for later")
        assert (code, line["event"]) == (3, "accepted")
        with reachable(tmp_path, "bob", proxy) as bob:
            assert bob.wait_for(event="message", body="for later")["date"]


def test_tls_to_the_proxy(tmp_path: Path) -> None:
    with Registrar(tmp_path, "AUTH", "NAT", "TLS") as registrar:
        trust = ["--tls-ca", str(registrar.ca)]
        with reachable(tmp_path, "bob", registrar.uri("tls"), *trust) as bob:
            assert send(tmp_path, registrar.uri("tls"), "sip:bob@interop.test", "secret", *trust)[0] == 0
            assert bob.wait_for(event="message", body="secret")["transport"] == "tls"


@needs_ipv6
def test_ipv6_to_the_proxy(tmp_path: Path) -> None:
    """R3261-19-5: from each transport to each other"""
    with Registrar(tmp_path, "AUTH", "NAT", "TLS", host="::1") as registrar:
        trust = ["--tls-ca", str(registrar.ca)]
        for ours, theirs in (("udp", "tcp"), ("tcp", "tls"), ("tls", "udp")):
            with reachable(tmp_path, "bob", registrar.uri(theirs), *trust, host="[::1]") as bob:
                assert send(tmp_path, registrar.uri(ours), "sip:bob@interop.test", "six", *trust)[0] == 0
                message = bob.wait_for(event="message", body="six")
                assert message["transport"] == theirs and message["source"].startswith("[::1]:")


def test_a_wrong_password_is_told_and_tried_no_more(tmp_path: Path) -> None:
    with Registrar(tmp_path, "AUTH") as registrar, user(tmp_path, "bob", registrar.uri(), password="wrong") as bob:
        lost = bob.wait_for(event="not_registered")
        assert lost["status"] == 401 and lost["retry_s"] >= 15


def test_all_contacts_of_a_user_get_a_message(tmp_path: Path) -> None:
    with (
        Registrar(tmp_path, "AUTH", "NAT", "TLS") as registrar,
        reachable(tmp_path, "bob", registrar.uri("udp")) as first,
        reachable(tmp_path, "bob", registrar.uri("tls"), "--tls-ca", str(registrar.ca)) as second,
    ):
        assert send(tmp_path, registrar.uri(), "sip:bob@interop.test", "to all of you")[0] == 0
        seen = [tool.wait_for(event="message", body="to all of you") for tool in (first, second)]
        assert [line["transport"] for line in seen] == ["udp", "tls"]
        assert seen[0]["call_id"] == seen[1]["call_id"]


def test_a_dead_contact_beside_one_that_lives_costs_nothing_and_two_dead_ones_no_message(tmp_path: Path) -> None:
    """R3428-6.2, R3428-6.3: the first 2xx is what the sender sees; what nobody takes is stored, and comes once."""
    with Registrar(tmp_path, "AUTH", "STORE", patience_ms=1500) as registrar:
        proxy, bob = registrar.uri(), "sip:bob@interop.test"
        with reachable(tmp_path, "bob", proxy) as dead, reachable(tmp_path, "bob", registrar.uri("tcp")) as alive:
            os.kill(dead.pid, signal.SIGKILL)
            assert send(tmp_path, proxy, bob, "to whoever lives")[0] == 0
            alive.wait_for(event="message", body="to whoever lives")
            os.kill(alive.pid, signal.SIGKILL)
            assert send(tmp_path, proxy, bob, "to nobody")[1]["status"] == 202
        with reachable(tmp_path, "bob", proxy) as again:
            again.wait_for(event="message", body="to nobody")
            assert send(tmp_path, proxy, bob, "to the one that is back")[0] == 0
            again.wait_for(event="message", body="to the one that is back")
            bodies = [line["body"] for line in again.lines if line["event"] == "message"]
            assert bodies == ["to nobody", "to the one that is back"]


def test_a_proxy_is_found_at_its_new_address(tmp_path: Path) -> None:
    """R3428-3.3: by an inbox that is registered, by a board and by a sender; the records are looked up again."""
    program = tmp_path / "readings.py"
    program.write_text(_READINGS)
    account = {"aor": "sip:dave@interop.test", "password": password_of("dave")}
    zone: dict[tuple[str, str], list[str]] = {("proxy.interop.test", "A"): ["127.0.0.1"]}

    def publish(port: int) -> None:
        for transport in ("udp", "tcp"):
            zone[f"_sip._{transport}.interop.test", "SRV"] = [f"1 0 {port} proxy.interop.test."]

    (tmp_path / "old").mkdir()
    with (
        DnsServer(zone, ttl=1) as dns,
        Registrar(tmp_path, "AUTH", "STORE", expires=4) as new,
        Registrar(tmp_path / "old", "AUTH", "STORE", expires=4) as old,
    ):
        publish(old.port)
        names = ["--dns", dns.place]
        with (
            reachable(tmp_path, "bob", "sip:interop.test", *names) as bob,
            board(tmp_path, program, proxy="sip:interop.test", transport="tcp", dns=dns.place, **account),
        ):
            bob.wait_for(event="message", body="reading 1")
            publish(new.port)  # before the old one stops: who finds nobody at all pauses for 30 s and more (RFC 5626)
            old.stop()
            for body in [f"reading {number}" for number in (2, 3)]:
                assert not bob.wait_for(event="message", body=body)["duplicate"]
            assert send(tmp_path, "sip:interop.test", "sip:bob@interop.test", "found", *names)[0] == 0
            bob.wait_for(event="message", body="found")


def test_a_user_behind_a_nat_is_reached_through_it(tmp_path: Path) -> None:
    """R3581-1, R3581-3: the contact is where the registrar saw the request come from, by rport and received."""
    with (
        Registrar(tmp_path, "AUTH") as registrar,
        Nat(registrar.port) as nat,
        reachable(tmp_path, "bob", f"sip:127.0.0.1:{nat.port}") as bob,
    ):
        assert send(tmp_path, registrar.uri(), "sip:bob@interop.test", "through")[0] == 0
        assert bob.wait_for(event="message", body="through")["source"] == f"127.0.0.1:{nat.port}"


def test_nothing_is_lost_when_the_proxies_start_anew(tmp_path: Path) -> None:
    """R3428-4.9: a board repeats what nobody answers; a new proxy keeps it until it knows who is where.

    Flows through the edge proxy end, carol's, or fall silent: nobody answers erin's pings, and those of a board.
    """
    program = tmp_path / "readings.py"
    program.write_text(_READINGS)
    account = {name: {"aor": f"sip:{name}@interop.test", "password": password_of(name)} for name in ("dave", "gina")}
    with (
        Registrar(tmp_path, "AUTH", "STORE", "NAT", "OUTBOUND", expires=8) as registrar,
        Edge(tmp_path, registrar) as edge,
        Wire(edge.port) as erins,
        Wire(edge.port) as ginas,
        reachable(tmp_path, "bob", registrar.uri("udp"), "--interactive") as bob,
        reachable(tmp_path, "carol", edge.uri("tcp")) as carol,
        reachable(tmp_path, "erin", erins.uri, "--interactive") as erin,
        board(tmp_path, program, proxy=ginas.uri, register=600, **account["gina"]) as gina,
        board(tmp_path, program, proxy=registrar.uri("udp"), **account["dave"]),
    ):
        bob.type("sip:carol@interop.test before")
        carol.wait_for(event="message", body="before")
        for name in account:
            bob.wait_for(event="message", body="reading 1", **{"from": f"sip:{name}@interop.test"})
        for wire in (erins, ginas):
            wait_until(lambda wire=wire: b"\r\n" in wire.received)  # a pong: they know that they can count on them
            wire.deaf = True
        registrar.stop()
        edge.stop()
        assert carol.wait_for(event="not_registered")["retry_s"] <= 30
        registrar.start()
        edge.start()
        assert send(tmp_path, registrar.uri(), "sip:carol@interop.test", "meanwhile")[1]["status"] == 202
        erin.wait_for(event="not_registered", status=503)
        gina.wait_for(event="log", name="not_registered")
        erins.deaf = ginas.deaf = False
        erin.type("sip:bob@interop.test on another flow")
        bob.wait_for(event="message", body="on another flow")
        for name in account:
            for body in [f"reading {number}" for number in range(1, 7)]:
                wanted = {"event": "message", "body": body, "from": f"sip:{name}@interop.test"}
                assert not bob.wait_for(40, **wanted)["duplicate"]
                assert len([line for line in bob.lines if wanted.items() <= line.items()]) == 1
        carol.wait_for(40, event="message", body="meanwhile")
        bob.type("sip:carol@interop.test after")
        carol.wait_for(event="message", body="after")


def test_a_board_registers_from_behind_a_nat(tmp_path: Path) -> None:
    """R3581-1, R3581-3"""
    with Registrar(tmp_path, "AUTH", "STORE", "TLS", "MD5") as registrar, Nat(registrar.port) as nat:
        a_board_is_a_user(tmp_path, registrar, f"sip:127.0.0.1:{nat.port}", "udp", "127.0.0.1")


@needs_ipv6
@pytest.mark.parametrize(("transport", "algorithm"), [("udp", "SHA256"), ("tls", "MD5")])
def test_a_board_registers_over_ipv6(transport: str, algorithm: str, tmp_path: Path) -> None:
    """R3261-19-5"""
    with Registrar(tmp_path, "AUTH", "STORE", "NAT", "TLS", algorithm, host="::1") as registrar:
        a_board_is_a_user(tmp_path, registrar, registrar.uri(transport), transport, "::1")


def a_board_is_a_user(folder: Path, registrar: Registrar, proxy: str, transport: str, host: str) -> None:
    """It gets the command that was stored for it, sends alerts, is commanded, and knows who may."""
    certificate = ssl.PEM_cert_to_DER_cert((folder / "server.pem").read_text())
    account = {"aor": "sip:carol@interop.test", "password": password_of("carol"), "register": 600}
    how = {"transport": transport, "tls_fingerprint": hashlib.sha256(certificate).hexdigest()}
    here, port = bracketed(host.encode()).decode(), free_port(host)
    with reachable(folder, "bob", registrar.uri("udp"), "--interactive", host=here) as bob:
        bob.type("sip:carol@interop.test status of all")
        assert bob.wait_for(event="outcome")["outcome"] == "accepted"
        with board(folder, BOILER, proxy=proxy, bind=f"{here}:{port}", **account, **how) as monitor:
            assert bob.wait_for(event="message", body="Boiler at 85 C")["from"] == "sip:carol@interop.test"
            bob.type("sip:carol@interop.test status")
            bob.wait_for(event="outcome", outcome="delivered")
            wait_until(lambda: len([1 for line in bob.lines if line.get("body", "").startswith("ok, up")]) == 2)
            assert monitor.wait_for(event="log", name="outcome")["fields"]["name"] == "delivered"
            if transport != "udp":
                with Tool("send", f"sip:carol@{here}:{port};transport=tcp", "a stranger's") as stranger:
                    assert (stranger.wait(), stranger.lines[-1]["status"]) == (4, 403)


def test_alerts_are_kept_for_an_inbox_that_is_away(tmp_path: Path) -> None:
    with Registrar(tmp_path, "AUTH", "STORE", "NAT") as registrar:
        account = {"aor": "sip:carol@interop.test", "password": password_of("carol")}
        with board(tmp_path, BOILER, proxy=registrar.uri(), **account) as monitor:
            wait_until(lambda: len(outcomes(monitor)) == 2, monitor.transcript)
            assert [(fields["name"], fields["status"]) for fields in outcomes(monitor)] == [("accepted", 202)] * 2
        with reachable(tmp_path, "bob", registrar.uri()) as bob:
            for celsius in (81, 85):
                alert = bob.wait_for(event="message", body=f"Boiler at {celsius} C")
                assert alert["from"] == "sip:carol@interop.test" and alert["date"]


def test_what_is_signed_and_encrypted_may_wait_in_a_store_and_counts_once_if_it_comes_twice(tmp_path: Path) -> None:
    """R3428-11.2, R3428-11.9: where --smime-store names who brings it; the store has it twice

    Nobody is asked for a password: beside the answer to that, 1300 octets don't hold sign+encrypt.
    """
    carol, bob = person("sip:carol@interop.test"), person("sip:bob@interop.test")
    write_keys(tmp_path / "flash", carol, bob)
    (ours, _), (_, theirs) = bob.save(tmp_path), carol.save(tmp_path)
    keys = ("--smime-key", str(ours), "--smime-trust", str(theirs), "--smime-store", "127.0.0.1")
    settings = {"aor": carol.uri, "to": bob.uri, "bind": "127.0.0.1:0"}
    with Registrar(tmp_path, "STORE", "NAT") as registrar:
        settings |= {"proxy": registrar.uri(), "protect": "sign+encrypt"}
        with started(tmp_path / "flash", _AN_HOUR_AGO, settings, "192k") as (_, monitor):
            wait_until(lambda: outcomes(monitor), monitor.transcript)
            assert (outcomes(monitor)[0]["name"], outcomes(monitor)[0]["status"]) == ("accepted", 202)
        columns = "src_addr, dst_addr, username, domain, inc_time, exp_time, snd_time, ctype, body, extra_hdrs, callid"
        with sqlite3.connect(tmp_path / "store.db") as store:
            assert b"Boiler" not in store.execute("SELECT CAST(body AS BLOB) FROM silo").fetchone()[0]
            store.execute(f"INSERT INTO silo ({columns}) SELECT {columns} FROM silo")
        store.close()
        with reachable(tmp_path, "bob", registrar.uri(), *keys) as inbox:
            first = inbox.wait_for(event="message", body="Boiler at 85 C", duplicate=False)
            assert first["encrypted"] and first["signature"] == {"state": "good", "signer": carol.uri}
            assert first["stale"] and first["from"] == carol.uri
            again = inbox.wait_for(event="message", duplicate=True)
            assert again["call_id"] != first["call_id"] and again["body"] == first["body"]
