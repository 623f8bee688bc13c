"""`sipmote inbox` as a process, over loopback, judged by its answers, its JSON lines and its file."""

import base64
import contextlib
import os
import shlex
import signal
import socket
import sqlite3
import sys
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from tests.dns_server import closed_port
from tests.host_tools.peers import (
    PATIENCE,
    Peer,
    Running,
    RunningInbox,
    has_ipv6,
    header,
    inbox,
    message,
    read_messages,
    sipmote,
    until,
)
from tests.interop.peers import free_port

needs_ipv6 = pytest.mark.skipif(not has_ipv6() and not os.environ.get("CI"), reason="no ::1 here")


def ask(running: RunningInbox, request: bytes) -> bytes:
    """Send a datagram and return the answer."""
    with running.udp() as sock:
        sock.send(request)
        return sock.recv(65535)


def status(response: bytes) -> int:
    return int(response.split()[1])


def test_ready_line_names_one_port_for_both_transports() -> None:
    """R3261-18-4: UDP and TCP at the same port"""
    with inbox() as running:
        port = running.ports["udp"]
        assert running.bound == [f"udp:127.0.0.1:{port}", f"tcp:127.0.0.1:{port}"]


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_message_is_answered_and_shown(host: str, transport: str) -> None:
    with inbox(host=host) as running, running.udp() if transport == "udp" else running.tcp() as sock:
        fields = ("Subject: Boiler", f"Date: {formatdate(time.time(), usegmt=True)}", "Expires: 600")
        sock.send(message("a", "Wörld".encode(), fields, transport=transport.upper()))
        response = sock.recv(65535)
        event = running.event("message")
        local, port = sock.getsockname()[:2]
    assert status(response) == 200
    assert header(response, "Content-Length") == "0"
    assert b"Contact" not in response
    assert header(response, "Via").endswith(f"received={local};rport={port}")
    assert event.pop("received")[:4].isdigit()
    assert event.pop("date")[-1] == "Z"
    assert event == {
        "event": "message",
        "from": "sip:boiler@example.org",
        "display_name": "Boiler",
        "to": "sip:desk@example.org",
        "call_id": "a",
        "content_type": "text/plain",
        "body": "Wörld",
        "transport": transport,
        "source": f"[{local}]:{port}" if ":" in local else f"{local}:{port}",
        "expired": False,
        "stale": False,
        "duplicate": False,
        "user": None,
        "subject": "Boiler",
    }


def test_retransmission_is_answered_byte_for_byte_and_shown_once() -> None:
    with inbox() as running, running.udp() as sock:
        responses = []
        for before, call_id in ((b"", "a"), (b"\r\n\r\n", "a"), (b"", "b")):  # RFC 3261 section 7.5
            sock.send(before + message(call_id))
            responses.append(sock.recv(65535))
        shown = [running.event("message")["call_id"] for _ in range(2)]
    assert [header(response, "Call-ID") for response in responses] == ["a", "a", "b"]
    assert responses[0] == responses[1]
    assert shown == ["a", "b"]


def test_message_sent_anew_is_answered_marked_and_stored_once(tmp_path: Path) -> None:
    with inbox(db=str(tmp_path / "inbox.db")) as running:
        for tag in ("1", "2"):  # as a sender does that lost power before our answer came
            assert status(ask(running, message("a", branch=tag, tag=tag))) == 200
        assert [running.event("message")["duplicate"] for _ in range(2)] == [False, True]
    with contextlib.closing(sqlite3.connect(tmp_path / "inbox.db")) as db:
        assert db.execute("SELECT call_id, cseq, body FROM message").fetchall() == [("a", 1, b"Watson, come here.")]


def test_duplicates_are_known_after_a_restart(tmp_path: Path) -> None:
    for expected in (False, True):
        with inbox(db=str(tmp_path / "inbox.db")) as running:
            ask(running, message("a"))
            assert running.event("message")["duplicate"] is expected


def test_old_message_is_marked_expired_and_stale() -> None:
    date = f"Date: {formatdate(time.time() - 3600, usegmt=True)}"
    with inbox() as running:
        for call_id, fields in (("a", [date, "Expires: 60"]), ("b", [date]), ("c", ["Expires: 60"])):
            assert status(ask(running, message(call_id, fields=fields))) == 200
        events = [running.event("message") for _ in range(3)]
    assert [(event["expired"], event["stale"]) for event in events] == [(True, True), (False, True), (False, False)]


def test_stream_is_cut_wherever_the_octets_are() -> None:
    request = message("a", transport="TCP")
    with inbox() as running, running.tcp() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(len(request)):
            sock.send(request[i : i + 1])
        assert status(read_messages(sock, 1)[0]) == 200
        sock.send(b"\r\n\r\n")
        assert sock.recv(100) == b"\r\n"
        sock.send(message("b", transport="TCP") + message("c", transport="TCP"))
        assert [header(response, "Call-ID") for response in read_messages(sock, 2)] == ["b", "c"]
        assert [running.event("message")["call_id"] for _ in range(3)] == ["a", "b", "c"]


def test_stream_without_framing_is_closed_after_what_came_before_is_answered() -> None:
    broken = message("b", transport="TCP").replace(b"Content-Length: 18\r\n", b"")
    with inbox() as running, running.tcp() as sock:
        sock.send(message("a", transport="TCP") + broken)
        answers = read_messages(sock, 2)
        assert {header(response, "Call-ID"): status(response) for response in answers} == {"a": 200, "b": 400}
        assert sock.recv(100) == b""


def test_peer_that_closes_its_half_at_once_gets_its_answer() -> None:
    with inbox() as running, running.tcp() as sock:
        sock.send(message("a", transport="TCP"))
        sock.shutdown(socket.SHUT_WR)
        assert status(read_messages(sock, 1)[0]) == 200


def test_garbage_is_dropped_and_said_so() -> None:
    with inbox() as running, running.udp() as sock:
        for datagram in (b"", b"\0" * 60000, b"\xff" * 20, b"SIP/2.0 200 OK\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"):
            sock.send(datagram)
        sock.send(message("a"))
        assert any(status(sock.recv(65535)) == 200 for _ in range(2))  # one for GET is allowed
        assert running.event("message")["call_id"] == "a"
        assert running.event("dropped")["count"] >= 2


def test_silent_and_slow_streams_hold_up_nobody() -> None:
    with inbox() as running, contextlib.ExitStack() as stack:
        for i in range(1100):  # more than are kept at once
            if i % 100 == 0:
                assert status(ask(running, message(f"u{i}"))) == 200
            stack.enter_context(running.tcp()).send(b"MESSAGE sip:a")
        sock = stack.enter_context(running.tcp())
        sock.send(message("a", transport="TCP"))
        assert status(read_messages(sock, 1)[0]) == 200


def test_peer_that_reads_no_answers_is_not_read_from_either() -> None:
    request = message("a", transport="TCP")
    with inbox() as running, running.tcp() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(0.5)
        with pytest.raises(OSError):  # a full pipe or a closed one
            for _ in range(100000):
                sock.sendall(request.replace(b" MESSAGE", b" OPTIONS").replace(b"MESSAGE sip", b"OPTIONS sip") * 10)
        assert status(ask(running, message("b"))) == 200
        if sys.platform == "linux":
            facts = Path(f"/proc/{running.process.pid}/status").read_text()
            assert int(facts.partition("VmHWM:")[2].split()[0]) < 100_000  # KiB


def test_port_in_use_is_one_line_that_names_it() -> None:
    with inbox() as running:
        port = running.ports["udp"]
        for transport in ("udp", "tcp"):
            code, out, err = sipmote("inbox", "--db", ":memory:", "--bind", f"{transport}:127.0.0.1:{port}")
            assert (code, out) == (1, "")
            assert len(err.splitlines()) == 1
            assert f"{transport}:127.0.0.1:{port}: Address already in use" in err
            assert works(err)


@pytest.mark.parametrize("host", ["192.0.2.1", "[2001:db8::1]", "nowhere.invalid"])
def test_an_address_of_another_machine_is_one_line_that_names_one_of_ours(host: str) -> None:
    if ":" in host and not has_ipv6():
        pytest.skip("no IPv6 here")
    code, out, err = sipmote("inbox", "--db", ":memory:", "--bind", f"udp:{host}:{free_port()}")
    assert (code, out, len(err.splitlines())) == (1, "", 1) and works(err)


def works(advice: str) -> bool:
    """Can one listen at the place that a line advises?"""
    place = advice.rpartition("--bind ")[2].split()[0]
    running = Running("inbox", "--json", "--db", ":memory:", "--bind", place)
    try:
        return bool(running.event("ready"))
    finally:
        running.end()


def test_wrong_bind_is_wrong_use() -> None:
    for bind in ("5060", "udp:127.0.0.1", "sctp:127.0.0.1:5060", "udp:127.0.0.1:99999", "udp:::1:5060"):
        code, _, err = sipmote("inbox", "--bind", bind)
        assert code == 2 and bind in err


def test_terminal_escapes_of_a_stranger_reach_no_terminal() -> None:
    body = b"\x1b]0;owned\x07\x1b[2J\0 \xc2\x9b31m \xe2\x80\xae [bold]now\r\nnext"
    arguments = ("inbox", "--db", ":memory:", "--bind", "udp:127.0.0.1:0")
    running = Running(*arguments)
    try:
        port = int(running.line().split(b";")[0].rpartition(b":")[2])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(message("a", body, ["Subject: \x1b[2J"]), ("127.0.0.1", port))
        shown = running.line() + running.line()
    finally:
        running.end()
    assert not [octet for octet in shown if octet < 32 and octet != 10] and b"\xc2\x9b" not in shown
    assert b"\\x1b]0;owned\\x07" in shown and b"\\u202e [bold]now" in shown and b"sip:boiler@example.org" in shown
    with inbox() as machine:
        ask(machine, message("a", body))
        assert machine.event("message")["body"] == body.decode()


def test_body_is_read_by_its_charset_and_never_lost() -> None:
    cases = (
        ("text/plain;charset=ISO-8859-1", b"\xfc", "ü", None, False),
        ('text/plain; Charset="utf-8"', b"\xc3\xbc", "ü", None, False),
        ("text/plain", b"ok \xff", "ok \ufffd", None, True),
        ("text/plain;charset=unheard-of", b"plain", "plain", None, False),
        ("text/plain;charset=unheard-of", b"\xc3\xbc", "ü", None, True),
        ("image/png", b"\x89PNG\0", None, base64.b64encode(b"\x89PNG\0").decode(), False),
    )
    with inbox("--accept", "*/*") as running:
        for i, (content_type, octets, text, encoded, damaged) in enumerate(cases):
            assert status(ask(running, message(f"{i}", octets, content_type=content_type))) == 200
            event = running.event("message")
            found = (event["body"], event.get("body_base64"), event.get("encoding_error", False))
            assert found == (text, encoded, damaged), content_type


def test_what_is_not_for_us_is_refused() -> None:
    with inbox("--domain", "Example.org") as running:
        assert status(ask(running, message("a", uri="sip:desk@example.org"))) == 200
        assert status(ask(running, message("b", uri="sip:desk@example.com"))) == 404
        response = ask(running, message("c", content_type="image/png", uri="sip:desk@example.org"))
        assert status(response) == 415
        assert header(response, "Accept").split(", ")[:2] == ["text/plain", "message/cpim"]


def test_command_is_run_for_each_message_with_its_body_and_facts(tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = f"import os, sys; print('not a reply'); open({str(out)!r}, 'a').write(os.environ['SIPMOTE_FROM'] + ' ' + "
    code += "os.environ['SIPMOTE_CALL_ID'] + ' ' + sys.stdin.read() + chr(10))"
    with inbox("--exec", shlex.join([sys.executable, "-c", code])) as running:
        for tag in ("1", "2"):
            ask(running, message("a;$(b)", b"`c`", branch=f"x{tag}", tag=tag))
        assert [running.event("message")["duplicate"] for _ in range(2)] == [False, True]
        until(lambda: out.exists() and out.read_text().endswith("\n"))
    assert out.read_text() == "sip:boiler@example.org a;$(b) `c`\n"
    assert b"not a reply" in running.errors


def test_command_that_fails_is_a_line_and_no_more() -> None:
    with inbox("--exec", f"{sys.executable} -c 'exit(7)'") as running:
        for call_id in ("a", "b"):
            assert status(ask(running, message(call_id))) == 200
            running.event("message")
            warning = running.event("warning")
            assert warning["call_id"] == call_id and "exit code 7" in warning["text"]


def test_command_that_is_not_there_is_said_before_anything_is_received() -> None:
    code, _, err = sipmote("inbox", "--db", ":memory:", "--bind", "udp:127.0.0.1:0", "--exec", "no-such-program x")
    assert code == 1 and "no-such-program" in err and len(err.splitlines()) == 1


def test_what_was_answered_is_stored_even_if_we_are_killed_then(tmp_path: Path) -> None:
    with inbox(db=str(tmp_path / "inbox.db")) as running, running.udp() as sock:
        for i in range(20):
            sock.send(message(f"{i}"))
        answered = {header(sock.recv(65535), "Call-ID") for _ in range(5)}
        running.end(signal.SIGKILL)
    with contextlib.closing(sqlite3.connect(tmp_path / "inbox.db")) as db:
        assert answered <= {call_id for (call_id,) in db.execute("SELECT call_id FROM message")}


def test_two_thousand_messages_are_neither_lost_nor_doubled(tmp_path: Path) -> None:
    wanted = [f"{i}" for i in range(2000)]
    with inbox(db=str(tmp_path / "inbox.db")) as running, running.udp() as sock:
        answered: set[str] = set()
        for start in range(0, 2000, 100):
            for call_id in wanted[start : start + 100]:
                sock.send(message(call_id))
            while len(answered) < start + 100:
                response = sock.recv(65535)
                assert status(response) == 200
                answered.add(header(response, "Call-ID"))
        events = [running.event("message") for _ in wanted]
    assert answered == set(wanted)
    assert [event["call_id"] for event in events] == wanted
    assert not any(event["duplicate"] for event in events)
    with contextlib.closing(sqlite3.connect(tmp_path / "inbox.db")) as db:
        assert [row[0] for row in db.execute("SELECT call_id FROM message ORDER BY id")] == wanted


def test_store_that_fails_sends_senders_away_for_a_while(tmp_path: Path) -> None:
    path = tmp_path / "inbox.db"
    with inbox(db=str(path)) as running, contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        assert [status(ask(running, message(call_id))) for call_id in ("a", "b")] == [503, 503]
        db.execute("ROLLBACK")
        assert status(ask(running, message("c"))) == 200
        assert "locked" in running.event("warning")["text"]
        assert "again" in running.event("warning")["text"]
        assert running.event("message")["call_id"] == "c"


def test_file_that_is_no_store_of_ours_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database " * 200)
    with contextlib.closing(sqlite3.connect(tmp_path / "newer")) as db:
        db.execute("PRAGMA user_version = 99")
    for path in (tmp_path / "text", tmp_path / "newer", tmp_path / "text" / "below"):
        code, _, err = sipmote("inbox", "--bind", "udp:127.0.0.1:0", "--db", str(path))
        assert code == 1 and str(path) in err and "--db" in err and len(err.splitlines()) == 1


def test_uri_that_is_none_is_one_line_that_names_its_option() -> None:
    for option in ("--register", "--proxy"):
        code, _, err = sipmote("inbox", "--db", ":memory:", "--bind", "udp:127.0.0.1:0", option, "example.org")
        assert code == 1 and err.startswith(f"sipmote: {option} example.org: a URI") and err.count("\n") == 1, err


def test_a_binding_is_somebodys() -> None:
    """R0-P13"""
    for text, more, remedy in (
        ("sip:example.org", (), "sip:NAME@example.org"),
        ("sips:[2001:db8::1]:5071", ("--user", "alice"), "sip:alice@[2001:db8::1]"),
    ):
        code, _, err = sipmote("inbox", "--db", ":memory:", "--bind", "udp:127.0.0.1:0", "--register", text, *more)
        assert code == 1 and err.startswith(f"sipmote: --register {text}: as whom? ") and remedy in err, err


def test_a_domain_is_a_host_alone() -> None:
    """R0-P13: else every message would get 404 without a word"""
    for text in ("sip:example.org", "example.org:5060", "desk@example.org", " ", "."):
        code, _, err = sipmote("inbox", "--db", ":memory:", "--bind", "udp:127.0.0.1:0", "--domain", text)
        assert code == 1 and "a host alone was expected" in err and err.count("\n") == 1, err
    for text, hosts in (
        ("[2001:db8::1]", (b"[2001:db8::1]", b"[2001:DB8:0:0::1]")),
        ("2001:db8:0::0:1", (b"[2001:db8::1]",)),
        ("Example.org.", (b"example.org", b"EXAMPLE.ORG.")),
    ):
        with inbox("--domain", text) as running, running.udp() as sock:
            for host in (*hosts, b"example.net", b"[2001:db8::2]"):
                sock.send(message(host.decode(), uri=f"sip:desk@{host.decode()}"))
                assert sock.recv(4096)[:12] == (b"SIP/2.0 200 " if host in hosts else b"SIP/2.0 404 "), host


def test_people_are_told_of_the_binding_and_what_to_do_about_its_loss() -> None:
    challenge = '401 Unauthorized\r\nWWW-Authenticate: Digest realm="r", nonce="n"'
    with Peer("udp", [[challenge]]) as peer:
        for port, said in (
            (peer.port, b"status 401 Unauthorized: add --user NAME"),
            (closed_port(socket.SOCK_DGRAM), b"refused; next"),
        ):
            account = ["--register", "sip:desk@example.org", "--proxy", f"sip:127.0.0.1:{port}"]
            running = Running("inbox", "--db", ":memory:", "--bind", "udp:127.0.0.1:0", *account)
            assert running.line().startswith(b"listening")
            line = running.line()
            assert line.startswith(b"not registered: ") and said in line and b"next attempt in " in line
            assert running.end() == 0


def test_signal_ends_it_well(tmp_path: Path) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        with inbox(db=str(tmp_path / "inbox.db")) as running, running.tcp():
            ask(running, message(f"{number}"))
            assert running.end(number) == 0
            assert running.errors == b""


def test_it_ends_when_nobody_reads_its_lines() -> None:
    reading, writing = os.pipe()
    running = Running("inbox", "--db", ":memory:", "--json", "--bind", "udp:127.0.0.1:0", stdout=writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as lines:
        port = int(lines.readline().split(b":")[-1].split(b'"')[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE)
        sock.sendto(message("a"), ("127.0.0.1", port))
        assert status(sock.recv(65535)) == 200
    assert running.wait() == 128 + signal.SIGPIPE
    assert running.errors == b""
