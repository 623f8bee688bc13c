"""R3581-1: behind an edge proxy of Kamailio's a user is reached on the flow that it registered on (RFC 5626)."""

import os
import re
import select
import signal
import socket
import threading
from pathlib import Path

from tests.demo.main_job import BOILER
from tests.interop.kamailio import Edge, Registrar, password_of
from tests.interop.peers import wait_until
from tests.interop.test_kamailio import board, reachable, send

_SIZE = 65536


class Wire:
    """Carries TCP to a port, one connection after the other, and keeps what passes. deaf: nothing passes any more."""

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
        while True:
            ready = select.select([near, far, self._ended], [], [])[0]
            if self._ended in ready:
                return
            for one, other, kept in ((near, far, self.sent), (far, near, self.received)):
                data = one.recv(_SIZE) if one in ready else None
                if data == b"":
                    return
                if data and not self.deaf:
                    kept.append(data)
                    other.sendall(data)

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self._end.send(b".")
        self._thread.join()
        for sock in (self._listener, self._ended, self._end):
            sock.close()


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
