"""The inbox as a store-and-forward element: R3428-7.6, R3428-7.15, R3428-4.9, R3428-10.3."""

import socket
import sqlite3
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from tests.tools import Tool

_UDP = ("--bind", "udp:127.0.0.1:0")


class Receiver:
    """A SIP peer on UDP that answers each request with the next status of its list, the last one for ever."""

    def __init__(self) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.settimeout(20)
        self.uri = f"sip:desk@127.0.0.1:{self.sock.getsockname()[1]}"

    def answer(self, status: str, more: str = "") -> bytes:
        """Wait for a request and answer it; returns the request."""
        request, source = self.receive()
        self.reply(status, request, source, more)
        return request

    def receive(self) -> tuple[bytes, Any]:
        """Wait for a request; returns it and where it is from."""
        return self.sock.recvfrom(65535)

    def reply(self, status: str, request: bytes, source: Any, more: str = "") -> None:
        """Answer a request."""
        lines = request.split(b"\r\n\r\n")[0].decode().split("\r\n")
        names = {"v": "Via", "f": "From", "t": "To", "i": "Call-ID", "cseq": "CSeq", "via": "Via"}
        copied = [
            f"{names[line.split(':')[0].lower()]}: {line.split(':', 1)[1].strip()}"
            for line in lines[1:]
            if line.split(":")[0].lower() in names
        ]
        head = "\r\n".join([f"SIP/2.0 {status}", *copied])
        self.sock.sendto(f"{head}\r\n{more}Content-Length: 0\r\n\r\n".encode(), source)


def _field(request: bytes, *names: str) -> str | None:
    for line in request.split(b"\r\n\r\n")[0].decode().split("\r\n")[1:]:
        name, _, value = line.partition(":")
        if name.lower() in names:
            return value.strip()
    return None


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    peer = Receiver()
    yield peer
    peer.sock.close()


def _relay(receiver: Receiver, db: Path, *more: str) -> Tool:
    return Tool("inbox", *_UDP, "--db", str(db), "--relay-to", receiver.uri, *more)


def _send(relay: Tool, text: str, *more: str) -> Tool:
    address = relay.wait_for(event="ready")["bind"][0].removeprefix("udp:")
    send = Tool("send", f"sip:anyone@{address}", text, "--from", "sip:boiler@example.org", *more)
    send.wait()
    return send


def test_the_sender_hears_202_and_the_message_goes_on_as_it_was(receiver: Receiver, tmp_path: Path) -> None:
    """R3428-7.6, R3428-10.3, R3862-9: accepted, and passed on with its own From, Date, Expires and octets."""
    with (
        _relay(receiver, tmp_path / "db") as relay,
        _send(relay, "Wörld", "--expires", "600", "--content-type", "x/y") as sent,
    ):
        assert sent.lines[-1]["event"] == "accepted" and sent.lines[-1]["status"] == 202
        stored = relay.wait_for(event="message")
        request = receiver.answer("200 OK")
        assert relay.wait_for(event="relayed")["outcome"] == "delivered"
    assert request.startswith(b"MESSAGE " + receiver.uri.encode() + b" SIP/2.0\r\n")
    assert request.endswith("\r\n\r\nWörld".encode())
    assert "<sip:boiler@example.org>" in str(_field(request, "from", "f"))
    assert _field(request, "content-type", "c") == "x/y"
    assert _field(request, "expires") == "600"
    date = time.strptime(stored["date"], "%Y-%m-%dT%H:%M:%SZ")
    assert _field(request, "date") == time.strftime("%a, %d %b %Y %H:%M:%S GMT", date)
    assert _field(request, "max-forwards") == "69"


def test_what_could_not_be_passed_on_is_kept_over_a_restart(receiver: Receiver, tmp_path: Path) -> None:
    with _relay(receiver, tmp_path / "db") as relay, _send(relay, "first"):
        receiver.answer("503 Later", "Retry-After: 1\r\n")
        assert relay.wait_for(event="relay_waits")["status"] == 503
    database = sqlite3.connect(tmp_path / "db")
    database.execute("UPDATE parcel SET next_at = 0")
    database.commit()
    database.close()
    with _relay(receiver, tmp_path / "db") as relay:
        assert receiver.answer("200 OK").endswith(b"first")
        assert relay.wait_for(event="relayed")["outcome"] == "delivered"


def test_a_refusal_is_final_and_the_next_message_goes_on(receiver: Receiver, tmp_path: Path) -> None:
    with _relay(receiver, tmp_path / "db") as relay, _send(relay, "unwanted"):
        receiver.answer("603 Decline")
        assert relay.wait_for(event="relayed")["outcome"] == "refused"
        with _send(relay, "wanted"):
            assert receiver.answer("202 Accepted").endswith(b"wanted")
            assert relay.wait_for(event="relayed", status=202)["outcome"] == "accepted"


@pytest.mark.parametrize("policy", ["drop", "send"])
def test_a_message_that_expired_is_treated_by_policy(policy: str, receiver: Receiver, tmp_path: Path) -> None:
    """R3428-7.15: dropped unseen, or sent all the same with the Date and Expires that tell of it."""
    old = formatdate(time.time() - 3600, usegmt=True)
    with _relay(receiver, tmp_path / "db", "--relay-expired", policy) as relay:
        host, port = relay.wait_for(event="ready")["bind"][0].removeprefix("udp:").split(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(20)
            sock.sendto(_request("old", f"Date: {old}\r\nExpires: 60\r\n"), (host, int(port)))
            assert sock.recv(65535).startswith(b"SIP/2.0 202 ")
        if policy == "send":
            assert _field(receiver.answer("200 OK"), "date") == old
        ended = relay.wait_for(event="relayed")["outcome"]
    assert ended == {"drop": "expired", "send": "delivered"}[policy]


def test_a_message_without_hops_left_is_not_taken(receiver: Receiver, tmp_path: Path) -> None:
    with _relay(receiver, tmp_path / "db") as relay:
        host, port = relay.wait_for(event="ready")["bind"][0].removeprefix("udp:").split(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(20)
            sock.sendto(_request("spent").replace(b"Max-Forwards: 70", b"Max-Forwards: 0"), (host, int(port)))
            assert sock.recv(65535).startswith(b"SIP/2.0 483 ")


def test_a_slow_recipient_does_not_hold_up_another(receiver: Receiver, tmp_path: Path) -> None:
    """R3428-8.4: without a user in --relay-to each gets what is for them, one message at a time."""
    with Tool("inbox", *_UDP, "--db", str(tmp_path / "db"), "--relay-to", receiver.uri.replace("desk@", "")) as relay:
        address = relay.wait_for(event="ready")["bind"][0].removeprefix("udp:")
        for user, text in (("slow", "1"), ("slow", "2"), ("quick", "3"), ("quick", "4")):
            with Tool("send", f"sip:{user}@{address}", text) as send:
                assert send.wait() == 3
        asked = {}
        while "4" not in asked:
            request, source = receiver.receive()
            asked[request[-1:].decode()] = request, source
            if b"MESSAGE sip:quick@" in request:
                receiver.reply("200 OK", request, source)
        assert set(asked) == {"1", "3", "4"}
        receiver.reply("503 Later", *asked["1"])
        assert relay.wait_for(event="relay_waits")["status"] == 503
        while True:  # copies of what was answered may be on their way
            request, source = receiver.receive()
            receiver.reply("200 OK", request, source)
            if request.endswith(b"2"):
                break
        assert request.startswith(receiver.uri.replace("sip:desk", "MESSAGE sip:slow").encode() + b" SIP/2.0\r\n")


def test_a_twin_is_not_passed_on_twice(receiver: Receiver, tmp_path: Path) -> None:
    with _relay(receiver, tmp_path / "db") as relay:
        host, port = relay.wait_for(event="ready")["bind"][0].removeprefix("udp:").split(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(20)
            for number in (b"1", b"2"):  # as its sender would after a restart
                again = _request("once").replace(b"z9hG4bKonce", b"z9hG4bK" + number).replace(b"tag=", b"tag=" + number)
                sock.sendto(again, (host, int(port)))
                sock.recv(65535)
        receiver.answer("200 OK")
        assert relay.wait_for(event="message", duplicate=True)
        with _send(relay, "after"):
            assert receiver.answer("200 OK").endswith(b"after")


def test_a_target_that_is_no_uri_is_named(tmp_path: Path) -> None:
    with Tool("inbox", "--bind", "udp:127.0.0.1:0", "--db", ":memory:", "--relay-to", "desk") as relay:
        assert relay.wait() == 1
        assert "--relay-to desk" in "\n".join(relay.complaints)


def _request(name: str, more: str = "") -> bytes:
    return (
        f"MESSAGE sip:anyone@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK{name};rport\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:a@example.org>;tag={name}\r\nTo: <sip:anyone@127.0.0.1>\r\nCall-ID: {name}\r\n"
        f"CSeq: 1 MESSAGE\r\n{more}Content-Type: text/plain\r\nContent-Length: {len(name)}\r\n\r\n{name}"
    ).encode()
