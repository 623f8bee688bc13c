"""The inbox as a store-and-forward element: R3428-7.6, R3428-7.15, R3428-4.9, R3428-10.3."""

import contextlib
import os
import signal
import socket
import sqlite3
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from tests.host_tools.peers import read_messages, sipmote
from tests.interop.peers import free_port
from tests.soak_relay import soak
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
    assert [path.name for path in tmp_path.iterdir()] == ["db"]  # the lock has gone with the relay
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
    database.execute("UPDATE lane SET next_at = 0")
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


def test_what_is_to_go_by_tls_is_not_passed_on_without(receiver: Receiver, tmp_path: Path) -> None:
    """R3428-11.3: sips: asks for TLS on every hop"""
    with _relay(receiver, tmp_path / "db") as relay:
        request = _message("s", "text/plain", b"secret").replace(b"MESSAGE sip:", b"MESSAGE sips:")
        assert _ask(relay, request)[0].startswith(b"SIP/2.0 416 ")


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


CPIM = (
    b"From: <sip:boiler@example.org>\r\nTo: <sip:desk@example.org>\r\nNS: imdn <urn:ietf:params:imdn>\r\n"
    b"imdn.Message-ID: m1\r\nimdn.Disposition-Notification: %s\r\n\r\nContent-Type: text/plain\r\n\r\nhi"
)


def _ask(relay: Tool, *requests: bytes) -> list[bytes]:
    """Send requests to a relay, one after the other; returns the answers."""
    host, port = relay.wait_for(event="ready")["bind"][0].removeprefix("udp:").split(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(20)
        answers = []
        for request in requests:
            sock.sendto(request, (host, int(port)))
            answers.append(sock.recv(65535))
        return answers


def _message(name: str, content_type: str, body: bytes, more: str = "", sender: str = "sip:a@example.org") -> bytes:
    head = (
        _request(name, more).partition(b"Content-Type:")[0].replace(b"<sip:a@example.org>", b"<%s>" % sender.encode())
    )
    if content_type:
        head += b"Content-Type: %s\r\n" % content_type.encode()
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize(
    ("content_type", "body", "more"),
    [
        ("message/cpim", CPIM % b"positive-delivery", ""),
        ("application/x-other", CPIM % b"positive-delivery", ""),
        ("text/plain", b"[Offline message - x] " + CPIM % b"display", ""),
        ("application/pkcs7-mime; smime-type=enveloped-data", bytes(range(256)), "Content-Disposition: attachment\r\n"),
        ("text/plain", b"x\x9c", "Content-Encoding: deflate\r\nContent-Language: de\r\nPriority: emergency\r\n"),
        ('multipart/mixed;boundary="b"', b"--b\r\n\r\nhi\r\n--b--", "MIME-Version: 1.0\r\n"),
        ("", b"", ""),
    ],
)
def test_what_is_passed_on_is_what_came(
    receiver: Receiver, tmp_path: Path, content_type: str, body: bytes, more: str
) -> None:
    """R0-P3, RFC 5438 section 8: octet for octet, with what speaks of it, under its Call-ID and its sender's name"""
    request = _message("c1", content_type, body, more).replace(b"From: <", b'From: "Boiler \\"3\\"" <', 1)
    with _relay(receiver, tmp_path / "db", "--imdn") as relay:
        assert _ask(relay, request)[0].startswith(b"SIP/2.0 202 ")
        passed = receiver.answer("200 OK")
    assert passed.partition(b"\r\n\r\n")[2] == body
    assert (_field(passed, "content-type", "c") or "") == content_type
    for line in more.splitlines():
        assert _field(passed, line.partition(":")[0].lower()) == line.partition(": ")[2]
    assert _field(passed, "call-id", "i") == "c1"
    assert str(_field(passed, "from", "f")).startswith('"Boiler \\"3\\"" <sip:a@example.org>;tag=')


def test_what_does_not_fit_is_refused_at_once(receiver: Receiver, tmp_path: Path) -> None:
    """R0-P3, R3428-8.2: 202 is for what can be sent on; the largest that is accepted is sent"""
    with _relay(receiver, tmp_path / "db") as relay:
        accepted = 0
        for size in range(700, 1300, 20):
            answer = _ask(relay, _message(f"s{size}", "text/plain", b"x" * size))[0]
            if answer.startswith(b"SIP/2.0 202 "):
                accepted += 1
                passed = receiver.answer("200 OK")
                assert len(passed) <= 1300 and passed.endswith(b"x" * size)
            else:
                assert answer.startswith(b"SIP/2.0 513 ")
        assert 10 < accepted < 30
        assert not [line for line in relay.lines if line.get("outcome") == "failed"]


def test_each_attempt_is_the_same_message(receiver: Receiver, tmp_path: Path) -> None:
    """R0-P3: Call-ID, From and body stay over answers, kills and restarts, so that a recipient knows its twin"""
    seen = []
    for status in ("503 Later", "404 Not Here", "401 Unauthorized", "600 Busy", ""):
        with _relay(receiver, tmp_path / "db") as relay:
            if not seen:
                _ask(relay, _message("same", "text/plain", b"once"))
            else:
                relay.wait_for(event="ready")
                os.kill(relay.pid, signal.SIGUSR1)
            request, source = receiver.receive()
            seen.append(
                (_field(request, "call-id", "i"), str(_field(request, "from", "f")).partition(";")[0], request[-4:])
            )
            if status:
                receiver.reply(status, request, source)
                assert relay.wait_for(event="relay_waits")["status"] == int(status[:3])
            os.kill(relay.pid, signal.SIGKILL)
            relay.wait()
    assert set(seen) == {("same", "<sip:a@example.org>", b"once")} and len(seen) == 5


@pytest.mark.parametrize(
    "status", ["400 Bad", "403 No", "410 Gone", "413 Large", "415 Type", "488 No", "501 No", "603 No"]
)
def test_a_status_that_is_for_good_ends_it_and_403_may_pass(receiver: Receiver, tmp_path: Path, status: str) -> None:
    """R0-P3"""
    with _relay(receiver, tmp_path / "db") as relay:
        _ask(relay, _message("a", "text/plain", b"a"))
        receiver.answer(status)
        ended = relay.wait_for(call_id="a", status=int(status[:3]))
    assert ended["event"] == ("relay_waits" if status == "403 No" else "relayed")


def test_a_recipient_who_writes_gets_what_waits_for_him(receiver: Receiver, tmp_path: Path) -> None:
    """R0-P3: 404 as long as he was not registered; SIGUSR1 does the same for all"""
    with Tool("inbox", *_UDP, "--db", str(tmp_path / "db"), "--relay-to", receiver.uri.replace("desk@", "")) as relay:
        _ask(
            relay, _message("a", "text/plain", b"first").replace(b"sip:anyone@127.0.0.1 SIP", b"sip:eve@127.0.0.1 SIP")
        )
        receiver.answer("404 Not Found")
        assert relay.wait_for(event="relay_waits", call_id="a")["retry_s"] == 15
        _ask(relay, _message("b", "text/plain", b"here", sender="sip:eve@example.org"))
        got = {receiver.answer("200 OK")[-5:] for _ in range(2)}
        assert b"first" in got
        assert relay.wait_for(event="relayed", call_id="a")["outcome"] == "delivered"


def test_two_relays_on_one_store_double_nothing(receiver: Receiver, tmp_path: Path) -> None:
    """R0-P3: one of them passes on what either has taken; the other goes on when that one is killed"""
    with _relay(receiver, tmp_path / "db") as one:
        _ask(one, _message("a0", "text/plain", b"from one"))
        assert receiver.answer("200 OK").endswith(b"from one")
        one.wait_for(event="relayed", call_id="a0")
        with _relay(receiver, tmp_path / "db") as other:
            for number in range(5):
                _ask(other, _message(f"b{number}", "text/plain", b"from other"))
                _ask(one, _message(f"c{number}", "text/plain", b"from one"))
            for _ in range(10):
                receiver.answer("200 OK")
            for number in range(5):
                one.wait_for(event="relayed", call_id=f"b{number}")
                one.wait_for(event="relayed", call_id=f"c{number}")
            assert not [line for line in other.lines if line["event"] == "relayed"]
            os.kill(one.pid, signal.SIGKILL)
            one.wait()
            _ask(other, _message("d", "text/plain", b"after"))
            assert receiver.answer("200 OK").endswith(b"after")
            other.wait_for(event="relayed", call_id="d")


@pytest.mark.parametrize(
    ("wish", "more", "status", "told"),
    [
        (b"negative-delivery", "", "603 Decline", b"<forbidden/>"),
        (b"positive-delivery, negative-delivery", "", "410 Gone", b"<failed/>"),
        (b"negative-delivery", "Expires: 0\r\n", "", b"<failed/>"),
        (b"positive-delivery", "", "410 Gone", None),
        (b"negative-delivery", "Auto-Submitted: auto-generated\r\n", "410 Gone", None),
    ],
)
def test_who_asked_for_it_is_told_of_a_failure(
    receiver: Receiver, tmp_path: Path, wish: bytes, more: str, status: str, told: bytes | None
) -> None:
    """R0-P3, RFC 5438 section 7.2.1.1: over a kill, too; never an automaton, and never that it was delivered"""
    sender = Receiver()
    if "Expires" in more:
        more += f"Date: {formatdate(time.time() - 60, usegmt=True)}\r\n"
    request = _message("f", "message/cpim", CPIM % wish, more, sender=sender.uri)
    with _relay(receiver, tmp_path / "db", "--imdn") as relay:
        _ask(relay, request)
        if status:
            receiver.answer(status)
        relay.wait_for(event="relayed", call_id="f")
        if told is None:
            relay.interrupt()
        else:
            os.kill(relay.pid, signal.SIGKILL)
        relay.wait()
    with _relay(receiver, tmp_path / "db") as relay, sender.sock:
        relay.wait_for(event="ready")
        if told is not None:
            notice = sender.answer("200 OK")
            assert told in notice and b"<message-id>m1</message-id>" in notice
            assert _field(notice, "content-type", "c") == "message/cpim"
    with contextlib.closing(sqlite3.connect(tmp_path / "db")) as db:
        ended, notice = db.execute("SELECT ended, notice FROM parcel").fetchone()
        assert (notice is None) == (told is None)
        assert told is not None or ended


def test_two_senders_with_one_call_id_both_get_through(receiver: Receiver, tmp_path: Path) -> None:
    """R0-P2: one after the other, for a recipient may take the second for a copy of the first"""
    with Tool("inbox", *_UDP, "--db", str(tmp_path / "db"), "--relay-to", receiver.uri.replace("desk@", "")) as relay:
        for user in ("x", "y"):
            request = _message("1", "text/plain", b"from " + user.encode(), sender=f"sip:{user}@example.org")
            request = request.replace(b"z9hG4bK1", b"z9hG4bK1" + user.encode()).replace(
                b"tag=1", b"tag=" + user.encode()
            )
            request = request.replace(b"sip:anyone@127.0.0.1 SIP", b"sip:" + user.encode() + b"@127.0.0.1 SIP")
            assert _ask(relay, request)[0].startswith(b"SIP/2.0 202 ")
        got = {receiver.answer("200 OK")[-6:] for _ in range(2)}
        assert got == {b"from x", b"from y"}


def test_what_was_taken_is_not_sent_again_while_its_end_can_not_be_written(receiver: Receiver, tmp_path: Path) -> None:
    """R0-P3"""
    with _relay(receiver, tmp_path / "db") as relay:
        _ask(relay, _message("locked", "text/plain", b"once"))
        request, source = receiver.receive()
        with contextlib.closing(sqlite3.connect(tmp_path / "db", isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            receiver.reply("200 OK", request, source)
            assert "locked" in relay.wait_for(event="relay_waits", call_id="locked")["reason"]
            os.kill(relay.pid, signal.SIGUSR1)
        assert relay.wait_for(event="relayed", call_id="locked")["outcome"] == "delivered"
        with _send(relay, "after"):
            while not (later := receiver.receive()[0]).endswith(b"after"):
                assert _field(later, "via", "v") == _field(request, "via", "v")  # a copy that was on its way


def test_one_text_for_several_is_passed_on_to_each(receiver: Receiver, tmp_path: Path) -> None:
    """R0-P2, R0-P3: of one sender, under one Call-ID"""
    with Tool("inbox", *_UDP, "--db", str(tmp_path / "db"), "--relay-to", receiver.uri.replace("desk@", "")) as relay:
        for user in (b"bob", b"carol"):
            request = _message("1", "text/plain", b"to all").replace(
                b"sip:anyone@127.0.0.1 SIP", b"sip:%s@127.0.0.1 SIP" % user
            )
            request = request.replace(b"z9hG4bK1", b"z9hG4bK1" + user).replace(b"tag=1", b"tag=" + user)
            assert _ask(relay, request)[0].startswith(b"SIP/2.0 202 ")
        got = {receiver.answer("200 OK").split(b"@")[0] for _ in range(2)}
        assert got == {b"MESSAGE sip:bob", b"MESSAGE sip:carol"}


def test_what_has_failed_is_sent_again_when_its_sender_repeats_it(receiver: Receiver, tmp_path: Path) -> None:
    """R0-P3: 202 is no promise to leave it at that"""
    with _relay(receiver, tmp_path / "db") as relay:
        _ask(relay, _message("a", "text/plain", b"a"))
        receiver.answer("603 Decline")
        relay.wait_for(event="relayed", call_id="a", status=603)
        again = _message("a", "text/plain", b"a").replace(b"z9hG4bKa", b"z9hG4bKb").replace(b"tag=a", b"tag=b")
        assert _ask(relay, again)[0].startswith(b"SIP/2.0 202 ")
        assert receiver.answer("200 OK").endswith(b"a")
        relay.wait_for(event="relayed", call_id="a", outcome="delivered")


@pytest.mark.parametrize("others", [0, 1])
def test_a_target_that_leads_back_is_noticed(tmp_path: Path, others: int) -> None:
    """R0-P3: by way of another relay, too; what came back is not taken for a twin that was accepted"""
    ports = [free_port() for _ in range(1 + others)]
    with contextlib.ExitStack() as stack:
        relays = [
            stack.enter_context(
                Tool(
                    *("inbox", "--bind", f"udp:127.0.0.1:{port}", "--db", str(tmp_path / str(port))),
                    *("--relay-to", f"sip:desk@127.0.0.1:{target}"),
                )
            )
            for port, target in zip(ports, [*ports[1:], ports[0]], strict=True)
        ]
        for relay in relays:
            relay.wait_for(event="ready")
        assert _ask(relays[0], _message("a", "text/plain", b"a"))[0].startswith(b"SIP/2.0 202 ")
        relays[0].wait_for(event="relayed", call_id="a", status=482)
        assert "--relay-to leads" in relays[-1].wait_for(event="warning", call_id="a")["text"]


def test_a_header_field_that_can_not_go_on_is_named(receiver: Receiver, tmp_path: Path) -> None:
    with _relay(receiver, tmp_path / "db") as relay:
        assert _ask(relay, _message("n", "text/plain", b"n", "Subject: a\0b\r\n"))[0].startswith(b"SIP/2.0 400 NUL")


@pytest.mark.parametrize(
    ("sender", "gateway", "author", "code"),
    [
        ("sip:alice@example.org", "", "", 3),
        ("sip:%61lice@example.org", "", "", 3),
        ("sip:bob@example.org", "", "", 4),
        ("sip:bob@example.org", "bob", "", 4),
        ("sip:bob@example.org", "alice", "", 3),
        ("sip:alice@example.org", "", "im:alice@example.org", 3),
        ("sip:alice@example.org", "", "sip:boss@example.org", 4),
    ],
)
def test_who_has_logged_in_writes_as_himself(
    receiver: Receiver,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sender: str,
    gateway: str,
    author: str,
    code: int,
) -> None:
    """R0-P3: the recipient sees nothing but From; a server that brings others' messages is named"""
    monkeypatch.setenv("SIPMOTE_PASSWORD", "wonder")
    users = str(tmp_path / "users")
    assert sipmote("passwd", users, "alice", "--realm", "x")[0] == 0
    more = ("--gateway", gateway) if gateway else ()
    with _relay(receiver, tmp_path / "db", "--users", users, *more) as relay:
        address = relay.wait_for(event="ready")["bind"][0].removeprefix("udp:")
        text = f"From: <{author}>\r\nTo: <sip:a@b>\r\n\r\nContent-Type: text/plain\r\n\r\nhi" if author else "hi"
        kind = "message/cpim" if author else "text/plain"
        command = ("send", f"sip:a@{address}", text, "--from", sender, "--user", "alice", "--content-type", kind)
        with Tool(*command) as send:
            assert send.wait() == code
            if code == 4:
                assert (send.lines[-1]["status"], send.lines[-1]["reason"]) == (403, "From Is Not Who Logged In")
                assert "--gateway" in str(relay.wait_for(event="dropped")["reasons"])


def test_a_relay_that_lends_its_password_says_so(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIPMOTE_PASSWORD", "wonder")
    with _relay(receiver, tmp_path / "db", "--user", "alice") as relay:
        assert "--users FILE" in relay.wait_for(event="warning")["text"]


def test_a_notice_that_would_be_too_long_is_brief(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R0-P3: of who has logged in, too"""
    monkeypatch.setenv("SIPMOTE_PASSWORD", "wonder")
    users = str(tmp_path / "users")
    assert sipmote("passwd", users, "alice", "--realm", "x")[0] == 0
    body = CPIM % b"negative-delivery"
    body = body.replace(b"m1", b"m" * 150).replace(b"<sip:desk@", b"Desk %s <sip:desk@" % (b"D" * 150))
    body = body.replace(b"From: <sip:boiler@", b"From: %s <sip:alice@" % (b"A" * 100))
    with Receiver().sock as sender, _relay(receiver, tmp_path / "db", "--users", users) as relay:
        host, port = relay.wait_for(event="ready")["bind"][0].removeprefix("udp:").split(":")
        bind = f"127.0.0.1:{sender.getsockname()[1]}"
        sender.close()
        command = ("send", f"sip:a@{host}:{port}", body.decode(), "--content-type", "message/cpim", "--user", "alice")
        with Tool(*command, "--from", f"sip:alice@{bind}", "--budget", "compact") as send:
            assert send.wait() == 3, send.transcript()
        peer = Receiver()
        peer.sock.close()
        peer.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        peer.sock.bind(("127.0.0.1", int(bind.rpartition(":")[2])))
        peer.sock.settimeout(20)
        receiver.answer("603 Decline")
        with peer.sock:
            assert b"<forbidden/>" in peer.answer("200 OK")


@pytest.mark.parametrize("option", ["--users", "--relay-to", "--exec"])
def test_an_empty_value_is_no_value(option: str) -> None:
    """R0-P13: as of a variable that isn't set"""
    code, out, err = sipmote("inbox", "--db", ":memory:", *_UDP, option, "")
    assert (code, out) == (1, "") and f"{option} is empty" in err


def test_the_notice_of_a_failure_goes_back_where_the_message_came_from(receiver: Receiver, tmp_path: Path) -> None:
    """R0-P3: his URI leads nowhere, but his connection is there"""
    with Tool(
        "inbox", *_UDP, "--bind", "tcp:127.0.0.1:0", "--db", str(tmp_path / "db"), "--relay-to", receiver.uri
    ) as relay:
        port = int(relay.wait_for(event="ready")["bind"][1].rpartition(":")[2])
        request = _message("f", "message/cpim", CPIM % b"negative-delivery", sender="sip:boiler@nowhere.invalid")
        with socket.create_connection(("127.0.0.1", port), 20) as sock:
            sock.sendall(request.replace(b"/UDP ", b"/TCP "))
            assert read_messages(sock, 1)[0].startswith(b"SIP/2.0 202 ")
            receiver.answer("603 Decline")
            (notice,) = read_messages(sock, 1)
            assert notice.startswith(b"MESSAGE sip:boiler@nowhere.invalid ") and b"<forbidden/>" in notice


def test_what_a_relay_has_accepted_arrives_over_kills(tmp_path: Path) -> None:
    """R0-P3: a small `make soak`"""
    figures = soak(8)
    assert figures.accepted and figures.is_good, figures


def _request(name: str, more: str = "") -> bytes:
    return (
        f"MESSAGE sip:anyone@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK{name};rport\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:a@example.org>;tag={name}\r\nTo: <sip:anyone@127.0.0.1>\r\nCall-ID: {name}\r\n"
        f"CSeq: 1 MESSAGE\r\n{more}Content-Type: text/plain\r\nContent-Length: {len(name)}\r\n\r\n{name}"
    ).encode()
