"""R0-P14, R0-P15: what the inbox makes of what the field writes, as a process."""

import base64
import shlex
import socket
import sqlite3
import sys
import zlib
from pathlib import Path

import pytest

from sipmote.agent.cpim.imdn_reply import build_notification
from sipmote.agent.cpim.reader import parse_cpim
from tests.host_tools.peers import PATIENCE, Running, RunningInbox, header, inbox, message, until

_FROM = b"Boiler <sip:boiler@example.org>;tag=1"
_FLAWED = (  # a From, the sender and its name
    ("Büro <sip:b@example.org>;tag=1", "sip:b@example.org", "Büro"),
    ("Boiler (cellar) <sip:b@example.org>;tag=1", "sip:b@example.org", "Boiler (cellar)"),
    ('"d\\"d\\\\" sip:b@example.org;tag=1;', "sip:b@example.org", 'd"d\\'),
    ('"d" <ussd-1@olo-tst>;tag=1', "ussd-1@olo-tst", "d"),
    ("<sip:My Shop@example.org>;tag=1", "sip:My Shop@example.org", None),
)


def ask(running: RunningInbox, *arguments: object, sender: bytes = _FROM, **more: object) -> bytes:
    """Send a message of peers.message() with this From and return the answer."""
    with running.udp() as sock:
        sock.send(message(*arguments, **more).replace(_FROM, sender))  # type: ignore[arg-type]
        return sock.recv(65535)


def test_flaws_in_a_sender_lose_no_message() -> None:
    with inbox("--interactive") as running:
        for n, (value, sender, name) in enumerate(_FLAWED):
            response = ask(running, f"{n}", b"alarm", sender=value.encode())
            assert response.startswith(b"SIP/2.0 200") and header(response, "From") == value
            event = running.event("message")
            assert (event["body"], event["from"], event.get("display_name")) == ("alarm", sender, name)
            assert event.get("from_error", False) is not sender.startswith("sip:b@")
        running.type("what alarm?")
        assert running.event("warning")["text"].startswith("not sent: ")


def test_strict_refuses_them() -> None:
    with inbox("--strict") as running:
        for value, _, _ in _FLAWED:
            assert ask(running, "a", sender=value.encode()).startswith(b"SIP/2.0 400")
            running.event("dropped")


def test_a_store_takes_nothing_that_it_cannot_send_on() -> None:
    """that is said at once, and not when nobody listens any more"""
    with inbox("--relay-to", "sip:127.0.0.1:1") as running:
        answers = [ask(running, f"{n}", sender=value.encode())[8:11] for n, (value, _, _) in enumerate(_FLAWED)]
    assert answers == [b"202", b"202", b"202", b"400", b"400"]


def test_what_a_sender_says_is_told_to_programs_and_kept(tmp_path: Path) -> None:
    out, db = tmp_path / "out", tmp_path / "inbox.db"
    code = "import os; print(os.environ['SIPMOTE_DISPLAY_NAME'], os.environ['SIPMOTE_PRIORITY'], "
    code += f"file=open({str(out)!r}, 'a'))"
    command = ("--exec", shlex.join([sys.executable, "-c", code]))
    with inbox(*command, db=str(db)) as running:
        ask(running, "a", sender=b'"Boiler \\"1\\"" <sip:b@x>;tag=1', fields=["Priority: emergency"])
        ask(running, "b", sender=b"<sip:b@x>;tag=2")
        first, second = running.event("message"), running.event("message")
        until(lambda: out.exists() and out.read_text().count("\n") == 2)
    assert (first["display_name"], first["priority"]) == ('Boiler "1"', "emergency")
    assert "display_name" not in second and "priority" not in second
    assert sorted(out.read_text().splitlines()) == [" ", 'Boiler "1" emergency']
    with sqlite3.connect(db) as store:
        kept = store.execute("SELECT display_name, priority FROM message ORDER BY call_id").fetchall()
    store.close()
    assert kept == [('Boiler "1"', "emergency"), (None, None)]


def test_on_the_screen_it_is_marked_as_what_the_sender_says() -> None:
    """whatever is in it, nothing looks like a mark of ours"""
    running = Running("inbox", "--db", ":memory:", "--bind", "udp:127.0.0.1:0")
    cases = (
        (b'"Boiler" <sip:b@x>;tag=1', ["Priority: Emergency"], ' sip:b@x says "Boiler" says priority "Emergency" hi  '),
        (b"<sip:b@x>;tag=2", ["Priority: normal"], " sip:b@x hi  "),
        (b'"\\" (admin) \x1b" <sip:b@x>;tag=3', [], ' sip:b@x says "\' (admin) \\x1b" hi  '),
        (b'"%s" <sip:b@x>;tag=4' % (b"a" * 99), [], f' sip:b@x says "{"a" * 64}..." hi  '),
        (b'<sip:b@x (admin) "[x]>;tag=5', [], " \"sip:b@x (admin) '[x]\" [can't be answered] hi  "),
    )
    try:
        port = int(running.line().split(b";")[0].rpartition(b":")[2])
        for n, (sender, fields, shown) in enumerate(cases):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.settimeout(PATIENCE)
                sock.sendto(message(f"{n}", b"hi", fields).replace(_FROM, sender), ("127.0.0.1", port))
                assert sock.recv(65535).startswith(b"SIP/2.0 200")
            assert shown in running.line().decode()
    finally:
        running.end()


def test_what_came_packed_is_shown_and_kept_unpacked(tmp_path: Path) -> None:
    """R3261-8.2-9: a notification, as Linphone sends it, and a text"""
    db = tmp_path / "inbox.db"
    original = parse_cpim(
        b"From: <sip:desk@x>\r\nTo: <sip:a@x>\r\nNS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: 1\r\n\r\n"
        b"Content-Type: text/plain\r\n\r\nhi"
    )
    notification = build_notification(original, b"delivered", b"sip:a@x", b"sip:desk@x", b"own", 0)
    fields = ["Content-Encoding: deflate"]
    with inbox(db=str(db)) as running:
        assert b" 200 " in ask(running, "a", zlib.compress(notification), fields, content_type="message/cpim")
        told = running.event("notification")
        assert (told["message_id"], told["status"]) == ("1", "delivered")
        assert b" 200 " in ask(running, "b", zlib.compress("Wörld".encode()), fields)
        assert running.event("message")["body"] == "Wörld"
        assert ask(running, "c", zlib.compress(bytes(1_000_000)), fields).startswith(b"SIP/2.0 413")
        response = ask(running, "d", b"x", ["Content-Encoding: br"])
        assert response.startswith(b"SIP/2.0 415") and header(response, "Accept-Encoding") == "deflate, gzip, identity"
    with sqlite3.connect(db) as store:
        assert store.execute("SELECT call_id, body FROM message").fetchall() == [("b", "Wörld".encode())]
    store.close()


def test_what_was_encoded_for_the_way_is_decoded() -> None:
    """inside message/cpim, and where nobody needed to"""
    head = b"From: <sip:a@x>\r\nTo: <sip:desk@x>\r\n\r\nContent-Type: text/plain\r\n"
    head += b"Content-Transfer-Encoding: base64\r\n\r\n"
    with inbox() as running:
        ask(running, "a", head + base64.b64encode("Wörld".encode()), content_type="message/cpim")
        assert running.event("message")["body"] == "Wörld"
        ask(running, "b", b"W=C3=B6rld", ["Content-Transfer-Encoding: quoted-printable"])
        assert running.event("message")["body"] == "Wörld"


@pytest.mark.parametrize("content_type", ["multipart/mixed", "multipart/alternative"])
def test_text_of_a_multipart_is_shown_and_all_of_it_given(content_type: str) -> None:
    body = b"--b\r\nContent-Type: image/png\r\n\r\n\x89\r\n--b\r\nContent-Type: text/plain\r\n\r\nhi\r\n--b--\r\n"
    with inbox("--accept", "multipart/*") as running:
        ask(running, "a", body, content_type=f"{content_type};boundary=b")
        event = running.event("message")
        assert (event["body"], base64.b64decode(event["body_base64"])) == ("hi", body)
