"""R3581-1: behind an edge proxy of Kamailio's a user is reached on the flow that it registered on (RFC 5626)."""

import os
import re
import signal
from pathlib import Path

from tests.demo.main_job import BOILER
from tests.interop.kamailio import Edge, Registrar, password_of
from tests.interop.peers import wait_until
from tests.interop.test_kamailio import Wire, board, reachable, send


def test_users_behind_an_edge_are_reached_on_their_flows(tmp_path: Path) -> None:
    account = {"aor": "sip:carol@interop.test", "password": password_of("carol"), "register": 600}
    with (
        Registrar(tmp_path, "AUTH", "OUTBOUND") as registrar,
        Edge(tmp_path, registrar) as edge,
        Wire(edge.port) as wire,
        reachable(tmp_path, "bob", wire.uri, "--interactive") as bob,
        board(tmp_path, BOILER, proxy=edge.uri("tcp"), **account) as monitor,
    ):
        answers = b"".join(wire.received)
        assert b"\r\nFlow-Timer: 1\r\n" in answers and b"\r\nRequire: outbound\r\n" in answers
        assert re.search(rb"\r\nPath: <sip:[^@]+@127.0.0.1:%d;lr;ob>" % edge.port, answers)
        alert = bob.wait_for(event="message", body="Boiler at 85 C")
        assert (alert["from"], alert["transport"]) == ("sip:carol@interop.test", "tcp")
        bob.type("sip:carol@interop.test status")
        assert bob.wait_for(event="outcome")["outcome"] == "delivered", monitor.transcript()
        bob.wait_for(event="message", body=lambda text: text.startswith("ok, up"))
        wait_until(lambda: wire.sent.count(b"\r\n\r\n") > 1 and wire.received.count(b"\r\n") > 1)
        with reachable(tmp_path, "dave", edge.uri("udp")) as dave:
            assert send(tmp_path, registrar.uri(), "sip:dave@interop.test", "datagrams have flows, too")[0] == 0
            assert dave.wait_for(event="message")["source"] == f"127.0.0.1:{edge.port}"


def test_an_inbox_that_was_killed_replaces_its_binding(tmp_path: Path) -> None:
    store = ["--db", str(tmp_path / "inbox.db")]
    with (
        Registrar(tmp_path, "AUTH", "OUTBOUND") as registrar,
        Edge(tmp_path, registrar) as edge,
        Wire(edge.port) as wire,
    ):
        with reachable(tmp_path, "bob", wire.uri, *store) as bob:
            os.kill(bob.pid, signal.SIGKILL)
            bob.wait()
        with reachable(tmp_path, "bob", wire.uri, *store) as bob:
            answers = [data for data in wire.received if b"REGISTER" in data]
            assert answers[-1].count(b"+sip.instance=") == 1
            assert send(tmp_path, edge.uri(), "sip:bob@interop.test", "to the one that lives")[0] == 0
            bob.wait_for(event="message", body="to the one that lives")
