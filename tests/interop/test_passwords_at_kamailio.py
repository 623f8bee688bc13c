"""R8760-1, R8760-4, R7616-2, R7616-3, R3261-22-2, R3261-22-4, R3428-11.2: passwords as Kamailio asks for them."""

import json
import os
import select
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from sipmote.agent.events import Outcome, Transmit
from sipmote.agent.message import Message
from sipmote.agent.user_agent import UserAgent
from sipmote.sip.clock import now_ms
from tests.host_tools.peers import sipmote
from tests.interop.kamailio import challenger
from tests.interop.peers import DEADLINE_S


class Sender:
    """Our core at a UDP socket; `sent` holds all that left."""

    def __init__(self, port: int, *credentials: tuple[bytes, bytes, bytes]) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        sent_by = b"127.0.0.1:%d" % self._socket.getsockname()[1]
        proxy = b"sip:127.0.0.1:%d" % port
        self.ua = UserAgent(b"sip:alice@interop.test", sent_by, os.urandom, proxy=proxy, credentials=credentials)
        self.sent: list[Message] = []
        self._outcomes: list[Outcome] = []

    def __enter__(self) -> "Sender":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, user: str, body: bytes = b"hello") -> tuple[int, int]:
        """Send one message; returns the status of its outcome and how many requests it took."""
        before = len(self.sent)
        self._outcomes = []
        self._carry_out(self.ua.send(self.ua.new_call_id(), b"sip:%s@interop.test" % user.encode(), body, now_ms()))
        deadline = time.monotonic() + DEADLINE_S
        while not self._outcomes:
            assert time.monotonic() < deadline, "no outcome"
            if select.select([self._socket], [], [], 0.05)[0]:
                data, (host, port) = self._socket.recvfrom(65535)
                self._carry_out(self.ua.receive(data, (b"UDP", host.encode(), port), now_ms()))
            self._carry_out(self.ua.wake(now_ms()))
        assert len(self._outcomes) == 1
        return self._outcomes[0].status, len(self.sent) - before

    def _carry_out(self, events: "list[Any] | tuple[Any, ...]") -> None:
        for event in events:
            if type(event) is Transmit:
                self.sent.append(Message(event.data))
                self._socket.sendto(event.data, (event.flow[1].decode(), event.flow[2]))
            elif type(event) is Outcome:
                self._outcomes.append(event)


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256", None])
def test_each_algorithm_with_and_without_qop(tmp_path: Path, algorithm: str | None) -> None:
    """R8760-1, R8760-4, R3261-22-2: 401, 407, both in one chain, odd bodies; a wrong password is tried once."""
    with challenger(tmp_path, algorithm) as port:
        credentials = ((b"interop.test", b"alice", b"alice-secret"), (b"inner.test", b"boiler", b"steam"))
        with Sender(port, *credentials) as sender:
            assert sender.send("www") == (200, 2)
            named = b"algorithm=" + algorithm.encode() if algorithm else b"response="
            assert named in sender.sent[-1].get(b"authorization")
        for user, body, requests in (("proxy", b"", 2), ("both", b"\x00\xff\r\n", 3), ("old", b"x" * 400, 2)):
            with Sender(port, *credentials) as sender:
                assert sender.send(user, body) == (200, requests), user
        for user, status in (("www", 401), ("proxy", 407), ("old", 401)):
            with Sender(port, (b"", b"alice", b"no-secret")) as sender:
                assert sender.send(user) == (status, 2), user


def test_a_nonce_is_used_again_with_its_count_rising(tmp_path: Path) -> None:
    """R7616-2, R3261-22-4: Kamailio refuses a count that doesn't rise by one."""
    with challenger(tmp_path, "SHA-256") as port, Sender(port, (b"", b"alice", b"alice-secret")) as sender:
        assert sender.send("www") == (200, 2)
        for _ in range(3):
            sender.ua.fit(b"sip:www@interop.test", b"hello", "refuse")
            assert sender.send("www") == (200, 1)


def test_a_nonce_that_has_expired_is_replaced(tmp_path: Path) -> None:
    """R7616-3"""
    with (
        challenger(tmp_path, "SHA-256", expire_s=1, count=False) as port,
        Sender(port, (b"", b"alice", b"alice-secret")) as sender,
    ):
        assert sender.send("www") == (200, 2)
        deadline = time.monotonic() + DEADLINE_S
        while sender.send("www") == (200, 1):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert [request.get(b"cseq") for request in sender.sent[-2:]] == [b"1 MESSAGE", b"2 MESSAGE"]


def test_sipmote_send_gets_through(tmp_path: Path) -> None:
    """R3428-11.2"""
    with challenger(tmp_path, "SHA-256") as port:
        for password, expected in (("alice-secret", (0, "delivered", 200)), ("wrong", (4, "failed", 407))):
            environment = {**os.environ, "SIPMOTE_PASSWORD": password}
            target = [
                "sip:proxy@interop.test",
                "hello",
                "--proxy",
                f"sip:127.0.0.1:{port}",
                "--user",
                "alice",
                "--json",
            ]
            code, out, _ = sipmote("send", *target, env=environment)
            line = json.loads(out)
            assert (code, line["event"], line["status"]) == expected
