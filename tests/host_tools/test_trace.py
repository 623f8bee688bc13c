"""`--trace`: messages on the wire, for people who look for a fault."""

import hashlib
import io
import os
import stat
import time
from pathlib import Path

from sipmote.sip.trace import Trace, redacted
from tests.host_tools.peers import Peer, Running, inbox, message, sipmote
from tests.sip_peer import Peer as SipPeer

FLOW = (b"TCP", b"2001:db8::1", 5060)
DIGEST = (
    b'Digest username="boiler", realm="example, org", nonce="n1", uri="sip:desk@192.0.2.1", response="5ec1", '
    b'algorithm=MD5, cnonce="5ec2", opaque="o", qop=auth, nc=00000001'
)


def test_credentials_lose_what_a_password_could_be_guessed_by() -> None:
    """R0-P17: however the field is written, in requests and responses; who and where stays"""
    for field in (
        b"Authorization: " + DIGEST,
        b"PROXY-authorization : " + DIGEST,
        b"Authorization: " + DIGEST.replace(b", ", b",\r\n "),
        b"Authorization:\r\n\t" + DIGEST.replace(b", ", b" ,\t"),
        b"Authorization: " + DIGEST.replace(b"=", b" = "),
        b"Authorization: " + DIGEST.replace(b'"5ec1"', b"5ec1").replace(b"response", b"RESPONSE"),
        b"Authorization: " + DIGEST.replace(b'"5ec1"', b'"5ec1\\""'),
        b"Authorization: " + DIGEST.replace(b'response="5ec1"', b'x-mine="5ec1"'),
        b'Authentication-Info: rspauth="5ec1", cnonce="5ec2", nextnonce="boiler example, org"',
    ):
        shown = redacted(b"MESSAGE sip:x SIP/2.0\r\n" + field + b"\r\nTo: <sip:a@b>\r\n\r\nhi")
        assert b"5ec" not in shown, shown
        assert b"boiler" in shown and shown.endswith(b"\r\nTo: <sip:a@b>\r\n\r\nhi")
    for field in (
        b"Authorization: Basic 5ec1",
        b"Proxy-Authorization: Bearer 5ec1 x",
        b"Authorization: 5ec1",
        b'Authorization: Digest response="5ec1, username="boiler", realm="example, org"',
    ):
        assert b"5ec1" not in redacted(b"X: y\r\n" + field + b"\r\n\r\n")
    assert redacted(b"f: <sip:bob:5ec1@example.org>;tag=1") == b"f: <sip:bob:***@example.org>;tag=1"
    challenge = b'WWW-Authenticate: Digest realm="r", nonce="n"\r\n\r\nAuthor: me'
    assert redacted(challenge) == challenge


def test_the_search_for_secrets_is_short_whatever_comes() -> None:
    """Octets that a pattern could begin with everywhere"""
    for data in (b"a" * 65000, b"Authorization: Digest " + b"a" * 65000, b"sip:a:" * 10000, b"Authorization: " * 4000):
        started = time.process_time()
        redacted(data)
        redacted(b"x\r\n" + data + b"\r\n")
        assert time.process_time() - started < 1, data[:30]


def test_a_message_has_its_time_direction_and_flow_and_can_pass_for_nothing_else() -> None:
    """R0-P13: octets that would steer a terminal are escaped, lines of a message are indented"""
    file = io.StringIO()
    trace = Trace(file.write)
    trace.came("MESSAGE x SIP/2.0\r\n\r\nüb\x1b[2J\n2026-01-01 sent to \xff".encode(), FLOW)
    trace.sent(b"\r\n\r\n", FLOW)
    trace.failed((b"UDP", b"192.0.2.1", 5060), "connection refused")
    first, *lines = file.getvalue().splitlines()
    assert first[10] == " " and first[24:] == "received from tcp:[2001:db8::1]:5060, 50 octets"
    assert lines[:4] == ["    MESSAGE x SIP/2.0", "    ", "    üb\\x1b[2J", "    2026-01-01 sent to ÿ"]
    assert lines[4] == "" and lines[5][24:] == "sent to tcp:[2001:db8::1]:5060, 4 octets"
    assert lines[7][24:] == "udp:192.0.2.1:5060: connection refused"


def test_send_shows_both_directions_on_stderr_and_no_password(tmp_path: Path) -> None:
    """R0-P17"""
    secret = tmp_path / "password"
    secret.write_text("swordfish")
    with SipPeer() as peer:
        arguments = [f"sip:desk@127.0.0.1:{peer.port}", "hi", "--user", "boiler", "--password-file", str(secret)]
        running = Running("send", *arguments, "--trace")
        peer.answer(401, b'WWW-Authenticate: Digest realm="r", nonce="n"\r\n')
        request = peer.answer(200)
        assert running.line() == b"delivered: 200 X\n" and running.wait() == 0
    text = running.errors.decode()
    assert text.count(f"sent to udp:127.0.0.1:{peer.port}, ") == 2
    assert text.count(f"received from udp:127.0.0.1:{peer.port}, ") == 2
    credentials = (request.get(b"authorization") or b"").decode()
    response = credentials.partition('response="')[2][:32]
    ha1 = hashlib.md5(b"boiler:r:swordfish").hexdigest()
    assert len(response) == 32 and response not in text and ha1 not in text and "swordfish" not in text
    assert 'username="boiler"' in text and "    hi\n" in text


def test_a_file_is_for_its_owner_alone_and_is_added_to(tmp_path: Path) -> None:
    """R0-P17"""
    path = tmp_path / "trace"
    for _ in range(2):
        with Peer("tcp", [["200 OK"]]) as peer:
            uri = f"sip:desk@127.0.0.1:{peer.port};transport=tcp"
            assert sipmote("send", uri, "hi", "--trace", str(path)) == (0, "delivered: 200 OK\n", "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().count("    SIP/2.0 200 OK\n") == 2
    code, _, err = sipmote("send", "sip:desk@127.0.0.1", "hi", "--trace", str(tmp_path))
    assert code == 1 and "name another file with --trace" in err
    code, _, err = sipmote("send", "--trace", "sip:desk@127.0.0.1", "hi")
    assert code == 2 and "put --trace behind" in err


def test_the_inbox_has_it_too(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    with inbox("--trace", str(path)) as running, running.tcp() as sock:
        sock.sendall(message("1", transport="TCP") + message("2", transport="TCP"))
        for _ in range(2):
            running.event("message")
    text = path.read_text()  # it is whole when the inbox has ended
    assert text.count("received from tcp:127.0.0.1:") == 2 == text.count("    SIP/2.0 200 OK\n")
    assert text.count("    Watson, come here.\n") == 2


def test_an_inbox_answers_while_nobody_reads_its_trace(tmp_path: Path) -> None:
    """R0-P19: stderr is a pipe that fills up"""
    reading, writing = os.pipe()
    with inbox("--trace", stderr=writing) as running, running.udp() as sock:
        os.close(writing)
        for number in range(600):
            sock.send(message(f"call-{number}", b"x" * 500))
            assert sock.recv(2000).startswith(b"SIP/2.0 200")
            running.event("message")
    os.close(reading)


def test_who_asks_sees_what_came_instead_of_an_answer() -> None:
    with SipPeer() as peer:
        running = Running("ask", f"sip:boiler@127.0.0.1:{peer.port}", "status", "--timeout", "1", "--trace")
        peer.answer(200)
        assert running.wait() == 3
    assert b"    status\n" in running.errors and b"    SIP/2.0 200 X\n" in running.errors
