"""R0-P13: what people are told of a message or a REGISTER that nobody answered, or whose challenge nobody could answer,
and of notifications that can't come."""

import contextlib
import dataclasses
import io
import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sipmote.agent.events import Outcome
from sipmote.agent.notices import Dropped, Provisional
from sipmote.agent.registration import RegistrationLost
from sipmote.console import Output
from sipmote.inbox.screen import Screen
from sipmote.send.outcomes import as_text, read, remedy
from sipmote.send.way import Way
from sipmote.sip.heard import Heard, in_words
from sipmote.sip.tls import load_tls
from tests.dns_server import closed_port
from tests.host_tools.peers import PATIENCE, Peer, answer, sipmote
from tests.sip_peer import Peer as SipPeer
from tests.tools import Tool

FLOW = (b"UDP", b"192.0.2.1", 5060)
REQUEST = (
    b"MESSAGE sip:desk@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bKabc;rport\r\n"
    b"Max-Forwards: 70\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:desk@192.0.2.1>\r\nCall-ID: 1\r\nCSeq: 1 MESSAGE\r\n"
    b"Content-Length: 0\r\n\r\n"
)
OK = answer(REQUEST, "200 OK")
UNANSWERED = Outcome(b"1", "timeout", 408, b"Request Timeout", None)
WAY = Way(
    target=b"sip:desk@192.0.2.1",
    sender=None,
    proxy=None,
    transport=b"UDP",
    timeout_s=None,
    binds=(),
    credentials=(),
    tls=load_tls(None, None, None, None, False, False),
    dns=None,
    wires=(),
    zones={},
)


def way(**more: Any) -> Way:
    """A way with these fields."""
    return dataclasses.replace(WAY, **more)


@contextlib.contextmanager
def server(change: Callable[[bytes], bytes]) -> Iterator[int]:
    """A UDP server that answers each request with what change makes of it; gives its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(PATIENCE)

        def serve() -> None:
            while True:
                data, address = sock.recvfrom(65535)
                if not data:
                    return
                sock.sendto(change(data), address)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield sock.getsockname()[1]
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"", sock.getsockname())
            thread.join()


def send(*arguments: str) -> tuple[int, dict[str, Any], str]:
    """Send twice: return the exit code, the last line for programs, and what people read."""
    code, out, _ = sipmote("send", *arguments, "--json")
    found, _, err = sipmote("send", *arguments)
    assert found == code
    return code, json.loads(out.splitlines()[-1]), err


def test_a_server_that_only_tries_is_said_to_be_there() -> None:
    """R3261-17.1-2: whose recipient is silent, so that host, port and transport need no checking"""
    with server(lambda request: answer(request, "100 Trying")) as port:
        code, event, text = send(f"sip:desk@127.0.0.1:{port}", "hi", "--timeout", "1")
    assert (code, event["event"], event["status"]) == (5, "timeout", 408)
    place = f"127.0.0.1:{port}"
    assert event["heard"] == {"provisional": {"status": 100, "reason": "Trying", "from": place}}
    assert f"the server at {place} is there (100 Trying), but the recipient didn't answer" in text
    assert "check host" not in text and "no final response in 1 s" in text


def test_answers_that_answer_nothing_are_counted_and_the_reason_is_said() -> None:
    with server(lambda request: answer(request, "200 OK").replace(b"UDP 127.0.0.1", b"UDP 203.0.113.9")) as port:
        code, event, text = send(f"sip:desk@127.0.0.1:{port}", "hi", "--timeout", "2.5")
    assert code == 5
    (stray,) = event["heard"]["strays"]
    assert (stray["count"], stray["from"]) == (3, f"127.0.0.1:{port}")  # to the request at 0, 0.5 and 1.5 s
    assert stray["reason"].startswith("their Via names another host (203.0.113.9:")
    assert "3 answers from" in text and "SIP ALG" in text and "check host" not in text


def test_where_nothing_was_heard_all_is_to_be_checked() -> None:
    with Peer("udp", []) as peer:
        code, event, text = send(f"sip:desk@127.0.0.1:{peer.port}", "hi", "--timeout", "0.2")
    assert (code, "heard" in event) == (5, False)
    assert "check host, port and transport" in text


REASONS = (
    (OK.replace(b"\r\n", b"\n"), "LF alone"),
    (b"hello", "no SIP message"),
    (OK.replace(b"Length: 0", b"Length: "), "malformed, one Content-Length of digits was expected"),
    (OK.replace(b"Length: 0", b"Length: 7"), "lack 7 octets"),
    (OK.replace(b"Via:", b"Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKx\r\nVia:"), "have 2 Via"),
    (OK.replace(b"Via:", b"X:"), "have no Via"),
    (OK.replace(b"z9hG4bKabc", b"z9hG4bKabd"), "branch in their Via"),
    (OK.replace(b"192.0.2.7:5070", b"192.0.2.7"), "another host (192.0.2.7, where we wrote 192.0.2.7:5070)"),
    (OK.replace(b"1 MESSAGE", b"1 INVITE"), "another method"),
    (OK, "too late"),
)


@pytest.mark.parametrize("data, reason", REASONS)
def test_why_an_answer_is_none(data: bytes, reason: str) -> None:
    heard = Heard()
    heard.sent(REQUEST, FLOW)
    heard.came(data, FLOW)
    heard.told(Dropped("a response to no request of ours", FLOW))
    (stray,) = heard.event()["heard"]["strays"]
    assert reason in stray["reason"] and stray["from"] == "192.0.2.1:5060"
    assert reason in in_words({"strays": [stray]})


def test_what_is_remembered_is_of_one_message_and_bounded() -> None:
    heard = Heard()
    heard.sent(REQUEST, FLOW)
    for port in range(100):
        heard.came(b"x", (b"UDP", b"192.0.2.1", port))
        heard.told(Dropped("x", FLOW))
    strays = heard.event()["heard"]["strays"]
    assert len(strays) == 17 and sum(stray["count"] for stray in strays) == 100
    heard.came(REQUEST, FLOW)  # somebody's request, of which nobody wants to hear
    heard.told(Dropped("x", FLOW))
    assert heard.event()["heard"]["strays"] == strays
    heard.sent(REQUEST.replace(b"Call-ID: 1", b"Call-ID: 2"), FLOW)
    assert heard.event() == {}


def test_a_flow_that_failed_before_another_was_silent_is_told() -> None:
    heard = Heard()
    heard.sent(REQUEST, FLOW)
    heard.failed(FLOW, "connection refused")
    event = heard.event()
    assert event == {"heard": {"troubles": [{"place": "192.0.2.1:5060", "reason": "connection refused"}]}}
    assert in_words(event["heard"]) == "192.0.2.1:5060: connection refused"


# What answers a REGISTER that is given up on soon.
HASTY = "import sipmote.agent.request as request; request._LIFETIME = 1000\nfrom sipmote.__main__ import main\nmain()"


@contextlib.contextmanager
def registering(port: int, *more: str) -> Iterator[Tool]:
    arguments = ("--db", ":memory:", "--bind", "udp:127.0.0.1:0", "--register", f"sip:desk@127.0.0.1:{port}", *more)
    with Tool("inbox", *arguments, program=(sys.executable, "-c", HASTY)) as running:
        yield running


def test_why_a_registrars_answers_are_none_is_told_in_its_line() -> None:
    for change, reason in (
        (lambda data: data.replace(b"UDP 127.0.0.1", b"UDP 203.0.113.9"), "their Via names another host"),
        (lambda data: data.replace(b"\r\n", b"\n"), "LF alone"),
    ):
        with (
            server(lambda request, change=change: change(answer(request, "200 OK"))) as port,
            registering(port) as tool,
        ):
            event = tool.wait_for(event="not_registered")
            (stray,) = event["heard"]["strays"]
            assert reason in stray["reason"] and (stray["count"], event["status"]) == (2, 408)  # at 0 and 0.5 s
    with server(lambda request: answer(request, "100 Trying")) as port, registering(port) as tool:
        assert tool.wait_for(event="not_registered")["heard"]["provisional"]["status"] == 100


def test_of_a_registrar_alone_something_is_heard() -> None:
    """Strangers who send rubbish to an inbox say nothing of it, and are not remembered"""
    heard = Heard(b"REGISTER")
    heard.sent(REQUEST, FLOW)
    heard.told(Dropped("x", FLOW))
    heard.sent(REQUEST.replace(b"MESSAGE", b"REGISTER"), FLOW)
    for host in (b"192.0.2.66", b"192.0.2.1"):
        flow = (b"UDP", host, 5060, "a socket")
        heard.came(b"x", flow)
        heard.told(Dropped("x", flow))
        heard.told(Provisional(b"another", 100, b"Trying"))
        heard.failed(flow, "refused")
    assert [stray["from"] for stray in heard.event()["heard"]["strays"]] == ["192.0.2.1:5060"]
    assert [trouble["place"] for trouble in heard.event()["heard"]["troubles"]] == ["192.0.2.1:5060"]
    assert "provisional" not in heard.event()["heard"]
    heard.begin_anew()
    assert heard.event() == {}
    screen = io.StringIO()
    with contextlib.redirect_stdout(screen):
        Screen(Output(as_json=False)).registration_lost(RegistrationLost(408, 30, b""), "", heard)
    assert screen.getvalue() == "not registered: no answer; next attempt in 30 s\n"


def test_a_redirect_to_somebody_who_asks_for_the_password_is_told() -> None:
    """R3261-22-2: and gets no answer"""
    with SipPeer() as stranger, SipPeer() as peer, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIPMOTE_PASSWORD", "secret")
        with Tool("send", f"sip:desk@127.0.0.1:{peer.port}", "hot", "--user", "alice") as sender:
            peer.answer(302, b"Contact: <sip:desk@localhost:%d>\r\n" % stranger.port)
            stranger.answer(401, b'WWW-Authenticate: Digest realm="r", nonce="n"\r\n')
            assert sender.wait() == 4 and stranger.silent()
        assert f"a redirect led to sip:desk@localhost:{stranger.port}" in sender.lines[-1]["remedy"]


def test_a_redirect_to_where_we_cannot_send_says_where() -> None:
    with SipPeer() as peer, Tool("send", f"sip:desk@127.0.0.1:{peer.port}", "hot") as sender:
        peer.answer(302, b"Contact: <tel:+358-555>\r\n")
        assert sender.wait() == 4
        assert sender.lines[-1]["contact"] == "<tel:+358-555>"


@pytest.mark.parametrize("status", [406, 415, 488])
def test_who_refuses_message_cpim_gets_text_and_no_notification_is_waited_for(status: int) -> None:
    """R3428-T1.3: a line says so"""
    with SipPeer() as peer, Tool("send", f"sip:desk@127.0.0.1:{peer.port}", "hot", "--wait", "60") as sender:
        assert peer.answer(status).get(b"content-type") == b"message/cpim"
        request = peer.answer(202)
        assert (request.get(b"content-type"), request.body) == (b"text/plain", b"hot")
        assert sender.wait() == 3
        (line,) = sender.lines
    assert line["notification"] is None and "takes no message/cpim" in line["no_notification"]


def test_an_accept_without_message_cpim_is_believed_from_then_on() -> None:
    """R3428-T1.3"""
    uri = "sip:desk@127.0.0.1"
    arguments = ("x" * 2000, "--budget", "split", "--cpim")
    with SipPeer() as peer, Tool("send", f"{uri}:{peer.port}", *arguments) as sender:
        types = [peer.answer(200, b"Accept: text/plain, text/html\r\n").get(b"content-type") for _ in range(3)]
        assert sender.wait() == 0
    assert types == [b"message/cpim", b"text/plain", b"text/plain"]


def test_a_notification_that_did_not_come_is_told_with_what_may_be_the_cause() -> None:
    with SipPeer() as peer:
        arguments = ("hot", "--wait", "0.2", "--from", "sip:boiler@example.org")
        with Tool("send", f"sip:desk@127.0.0.1:{peer.port}", *arguments) as sender:
            peer.answer(202)
            assert sender.wait() == 3
    assert "none came in 0.2 s" in sender.lines[-1]["no_notification"]
    assert "went to sip:boiler@example.org" in sender.lines[-1]["no_notification"]


@pytest.mark.parametrize("command", ["send", "ask"])
def test_a_failure_behind_a_redirect_names_whom_it_was_tried_with(command: str) -> None:
    """R3261-8.1-12: a repeated 302 changes nothing"""
    other = f"sip:other@127.0.0.1:{closed_port(socket.SOCK_DGRAM)}"
    for proxied in (False, True):
        with SipPeer() as peer:
            first = f"sip:127.0.0.1:{peer.port}"
            target = ("sip:desk@example.org", "--proxy", first) if proxied else (f"sip:desk@127.0.0.1:{peer.port}",)
            with Tool(command, target[0], "hot", *target[1:]) as sender:
                peer.answer(302, b"Contact: <%s>\r\n" % other.encode())
                if proxied:
                    peer.answer(404)
                assert sender.wait() == (4 if proxied else 5)
        last = sender.lines[-1]
        assert last["redirected_to"] == other
        assert last["next_hop"] == "udp:" + (first[4:] if proxied else other.partition("@")[2])
    told = as_text(way(target=b"sip:a@b"), 5, {"event": "failed", "reason": "x", "redirected_to": other})
    assert told == f"sip:a@b: redirected to {other}: failed: x"
    event = {"event": "failed", "status": 503, "reason": "connection refused", "next_hop": "udp:127.0.0.1:7"}
    assert remedy(way(target=b"sip:a@b"), event).startswith(" (nobody listens at udp:127.0.0.1:7: ")


def test_a_redirect_that_leads_to_no_request_is_named_too() -> None:
    """R3261-8.1-12: to a name without an address; a 305 names the proxy; a 302 once more changes nothing"""
    moved = answer(REQUEST, "302 Moved").replace(b"\r\nVia", b"\r\nContact: <sip:x@nobody.invalid>\r\nVia", 1)
    heard = Heard()
    heard.sent(REQUEST, FLOW)
    heard.came(moved, FLOW)
    failed = UNANSWERED._replace(name="failed", status=503)
    told = heard.redirection()
    assert told == {"redirected_to": "<sip:x@nobody.invalid>"}
    for outcome in (failed, failed._replace(status=302), failed._replace(name="delivered", status=200)):
        assert ("redirected_to" in read(outcome, "", heard, False)[1]) == (outcome is failed)
    heard.sent(REQUEST.replace(b"z9hG4bKabc", b"z9hG4bKabd"), (b"TCP", b"192.0.2.9", 5060))
    heard.came(moved, FLOW)
    assert heard.redirection() == dict.fromkeys(("redirected_to", "next_hop"), "tcp:192.0.2.9:5060")


@pytest.mark.parametrize("command", ["send", "ask"])
def test_a_warning_says_more_of_a_refusal(command: str) -> None:
    """RFC 3261 section 20.43"""

    with SipPeer() as peer, Tool(command, f"sip:desk@127.0.0.1:{peer.port}", "hot") as sender:
        peer.answer(488, b'Warning: 399 pbx.example.org "texts of at most 160 octets, please"\r\n')
        assert sender.wait() == 4
    assert sender.lines[-1]["reason"] == "X: texts of at most 160 octets, please"


CHALLENGES = (
    ("WWW-Authenticate: Basic realm=x", "the server offers only Basic: "),
    ('Proxy-Authenticate: Digest realm="x", nonce="y", algorithm=SHA-1', "offers only Digest with SHA-1: "),
    ('WWW-Authenticate: Digest realm="x", nonce="y", qop="token"', "offers only Digest with qop=token: "),
    ('WWW-Authenticate: Digest nonce="y"\r\nWWW-Authenticate: NTLM', "Digest without realm or nonce, NTLM: "),
    ('WWW-Authenticate: Digest realm="x', "Digest that can't be read: "),
    ("X: y", "doesn't say how to log in"),
    ('WWW-Authenticate: Digest realm="r", nonce="n"', "check the name and the password"),
)


@pytest.mark.parametrize("challenge, said", CHALLENGES)
def test_a_challenge_that_nobody_could_answer_is_no_wrong_password(challenge: str, said: str) -> None:
    """R3261-22-3: for a message and at a registrar"""
    with (
        server(lambda request: answer(request, f"401 Unauthorized\r\n{challenge}")) as port,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("SIPMOTE_PASSWORD", "secret")
        for command in ("send", "ask"):
            code, out, err = sipmote(command, f"sip:desk@127.0.0.1:{port}", "hi", "--user", "alice")
            assert (code, out) == (4, "") and said in err and err.count("\n") == 1
        with registering(port, "--user", "alice") as tool:
            assert said in tool.wait_for(event="not_registered")["remedy"]


def test_a_way_to_log_in_that_we_have_asks_for_the_password() -> None:
    """R3261-22-3: whatever else is offered beside it"""
    both = b'WWW-Authenticate: Basic realm="x"\r\nWWW-Authenticate: Digest realm="x", nonce="y"\r\n'
    with SipPeer() as peer, Tool("send", f"sip:desk@127.0.0.1:{peer.port}", "hot") as sender:
        peer.answer(401, both)
        assert sender.wait() == 4
    assert sender.lines[-1]["remedy"] == "add --user NAME"
