"""R3428-4.3, R3428-7.9, R3428-4.9: message/cpim and notifications through the commands, over loopback."""

import contextlib
import socket
import sqlite3
import time
from pathlib import Path

import pytest

from sipmote.agent.cpim import imdn
from sipmote.agent.cpim import imdn_reply as receipt
from sipmote.agent.cpim.reader import Cpim, parse_cpim
from sipmote.agent.cpim.writer import build_cpim
from sipmote.agent.message import Message
from sipmote.inbox.schema import STEPS
from sipmote.inbox.store import Store
from tests.sip_peer import DEADLINE_S, Peer
from tests.tools import Line, Tool

ALICE = b"sip:alice@example.invalid"
DESK = b"sip:desk@127.0.0.1"


def inbox(*options: str, database: str = ":memory:") -> Tool:
    return Tool("inbox", "--bind", "udp:127.0.0.1:0", "--db", database, *options)


def port_of(tool: Tool) -> int:
    bind: str = tool.wait_for(event="ready")["bind"][0]
    return int(bind.rpartition(":")[2])


def wrapped(
    text: bytes = b"hot", message_id: bytes = b"", sender: bytes = ALICE, inner: bytes = b"text/plain"
) -> bytes:
    extra = imdn.ask(message_id) if message_id else b""
    return build_cpim(sender, DESK, text, inner, 976743600, b"warm", extra)


def notification(message_id: bytes, status: bytes = b"delivered") -> bytes:
    original = parse_cpim(wrapped(message_id=message_id))
    return receipt.build_notification(original, status, DESK, ALICE, b"own", 976743700)


def told(request: Message) -> tuple[bytes, bytes, bytes]:
    """Return what a request that must be a notification says."""
    assert request.get(b"content-type") == imdn.CPIM
    cpim: Cpim = parse_cpim(request.body)
    assert cpim.content_type == imdn.XML
    return imdn.parse_notification(cpim.body)


def messages(tool: Tool) -> list[Line]:
    return [line for line in tool.lines if line["event"] == "message"]


def test_the_text_inside_is_shown_and_what_stands_around_it() -> None:
    with inbox() as tool, Peer(ALICE) as peer:
        port = port_of(tool)
        assert peer.ask(port, b"Message/CPIM", wrapped("heiß".encode(), b"id-1")).status == 200
        line = tool.wait_for(event="message")
        assert (line["content_type"], line["body"]) == ("text/plain", "heiß")
        assert line["cpim"] == {
            "from": "sip:alice@example.invalid",
            "to": "sip:desk@127.0.0.1",
            "datetime": "2000-12-13T21:40:00Z",
            "subject": "warm",
            "message_id": "id-1",
        }


def test_a_name_that_differs_from_that_of_the_request_is_flagged() -> None:
    names = (b"sip:mallory@example.org", b"im:alice@EXAMPLE.invalid", b"sip:anonymous@anonymous.invalid")
    with inbox() as tool, Peer(ALICE) as peer:
        port = port_of(tool)
        for name in names:
            peer.ask(port, imdn.CPIM, wrapped(sender=name))
        tool.wait_for(event="message", cpim=lambda cpim: cpim["from"] == names[2].decode())
        assert [line["cpim"].get("from_differs") for line in messages(tool)] == [True, None, None]


def test_what_breaks_the_rules_is_refused_and_counted() -> None:
    with inbox() as tool, Peer(ALICE) as peer:
        port = port_of(tool)
        assert peer.ask(port, imdn.CPIM, b"Subject:no space\r\n\r\n\r\nx").status == 400
        assert peer.ask(port, imdn.CPIM, b"Require: Magic\r\n\r\n\r\nx").status == 400
        assert peer.ask(port, imdn.XML, b"<imdn/>").status == 400
        response = peer.ask(port, imdn.CPIM, wrapped(inner=b"text/html"))
        assert (response.status, response.get(b"accept")) == (
            415,
            b"text/plain, message/cpim, message/imdn+xml, application/im-iscomposing+xml, "
            b"application/vnd.sipmote.heartbeat",
        )
        assert peer.ask(port, b"text/plain", b"fine").status == 200
        tool.wait_for(event="message", body="fine")
        assert tool.wait_for(event="dropped")["count"] == 3
        assert len(messages(tool)) == 1


def test_who_refuses_message_cpim_gets_the_text() -> None:
    with inbox("--accept", "text/plain") as tool:
        port = port_of(tool)
        with Tool("send", f"sip:desk@127.0.0.1:{port}", "hot", "--cpim") as sender:
            assert sender.wait() == 0
        line = tool.wait_for(event="message")
        assert (line["body"], line["content_type"]) == ("hot", "text/plain")
        assert "cpim" not in line


def test_the_same_message_under_another_call_id_is_a_duplicate(tmp_path: Path) -> None:
    database = str(tmp_path / "inbox.db")
    with Peer(ALICE) as peer:
        with inbox(database=database) as tool:
            port = port_of(tool)
            for text in (b"one", b"one"):
                peer.ask(port, imdn.CPIM, wrapped(text, b"id-1"))
            peer.ask(port, imdn.CPIM, wrapped(b"two", b"id-2"))
            tool.wait_for(event="message", body="two")
            assert [line["duplicate"] for line in messages(tool)] == [False, True, False]
        with inbox(database=database) as tool:
            port = port_of(tool)
            peer.ask(port, imdn.CPIM, wrapped(b"one", b"id-1"))
            tool.wait_for(event="message", body="one", duplicate=True)
            with Peer(b"sip:bob@example.org") as other:  # somebody else may call his so, too
                other.ask(port, imdn.CPIM, wrapped(b"other", b"id-1", b"sip:bob@example.org"))
            tool.wait_for(event="message", body="other", duplicate=False)


def test_what_a_store_passed_on_as_text_is_still_known() -> None:
    with inbox() as tool, Peer(ALICE) as peer:
        port = port_of(tool)
        for text in (
            wrapped(b"one", b"id-1"),
            b"[Offline message - Tue Nov 24 09:33:37 2026] " + wrapped(b"one", b"id-1"),
            b"[Offline message - Tue Nov 24 09:33:37 2026] " + notification(b"id-2"),
            wrapped(b"Message-ID: of nobody"),
            b"Message-ID: is no more than text",
        ):
            assert peer.ask(port, b"text/plain", text).status == 200
        assert tool.wait_for(event="notification")["message_id"] == "id-2"
        tool.wait_for(event="message", body="Message-ID: is no more than text")
        shown = messages(tool)
        assert [(line["body"], line["duplicate"]) for line in shown[:2]] == [("one", False), ("one", True)]
        assert shown[2]["body"].startswith("From: <sip:alice@example.invalid>")
        assert [line.get("cpim", {}).get("message_id") for line in shown] == ["id-1", "id-1", None, None]


def test_a_message_can_be_passed_on_octet_for_octet(tmp_path: Path) -> None:
    database = str(tmp_path / "inbox.db")
    body = b"X-Odd:;a=b  \\q\r\n" + wrapped(b"hot\r\n")
    with inbox(database=database) as tool, Peer(ALICE) as peer:
        assert peer.ask(port_of(tool), imdn.CPIM, body).status == 200
        tool.wait_for(event="message")
    row = sqlite3.connect(database).execute("SELECT cpim || body FROM message").fetchone()
    assert row[0].encode() if isinstance(row[0], str) else row[0] == body


def test_a_store_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    path = str(tmp_path / "inbox.db")
    old = sqlite3.connect(path)
    old.executescript(STEPS[0] + "PRAGMA user_version = 1;")
    old.execute(
        "INSERT INTO message (call_id, cseq, sender, recipient, content_type, body, received, transport, source) "
        "VALUES ('1', 1, 'sip:a@b', 'sip:c@d', 'text/plain', 'kept', 0.0, 'udp', 'x')"
    )
    old.commit()
    old.close()
    told: list[str] = []
    for _ in range(2):
        Store(path, told.append).close()
    assert ["up to date" in line for line in told] == [True, False]  # and that it was open to others
    new = sqlite3.connect(path)
    assert new.execute("SELECT body, message_id, user FROM message").fetchall() == [("kept", None, None)]
    assert new.execute("PRAGMA user_version").fetchone() == (len(STEPS),)
    new.close()


def test_what_programs_tell_is_an_event_and_no_message() -> None:
    composing = b"<isComposing xmlns='urn:ietf:params:xml:ns:im-iscomposing'><state>idle</state></isComposing>"
    with inbox() as tool, Peer(ALICE) as peer:
        port = port_of(tool)
        assert peer.ask(port, imdn.CPIM, notification(b"id-7", b"failed")).status == 200
        assert peer.ask(port, imdn.COMPOSING, composing).status == 200
        assert peer.ask(port, imdn.CPIM, wrapped(composing, inner=imdn.COMPOSING)).status == 200
        assert peer.ask(port, b"text/plain", b"last").status == 200
        tool.wait_for(event="message", body="last")
        line = tool.wait_for(event="notification")
        assert (line["message_id"], line["status"], line["from"]) == ("id-7", "failed", "sip:alice@example.invalid")
        assert [line["status"] for line in tool.lines if line["event"] == "composing"] == ["idle", "idle"]
        assert len(messages(tool)) == 1


def test_who_asks_is_told_of_the_delivery_and_automata_are_not() -> None:
    with inbox("--imdn") as tool, Peer(ALICE) as peer:
        port = port_of(tool)
        asked_too = imdn.ask(b"of-a-notification")
        peer.ask(port, imdn.CPIM, wrapped())  # doesn't ask
        peer.ask(port, imdn.CPIM, notification(b"id-0").replace(b"\r\n\r\n", b"\r\n" + asked_too + b"\r\n", 1))
        peer.ask(port, imdn.CPIM, wrapped(b"<state>active</state>", b"typing", inner=imdn.COMPOSING))
        peer.ask(port, imdn.CPIM, wrapped(b"hot", b"of-an-automaton"), b"Auto-Submitted: auto-replied\r\n")
        peer.ask(port, imdn.CPIM, wrapped(b"hot", b"id-1"))
        request = peer.answer(200)
        assert told(request) == (b"id-1", b"delivery", b"delivered")
        assert request.get(b"to") == b"<%s>" % ALICE
        assert (request.get(b"from") or b"").startswith(b"<%s>;tag=" % DESK)
        peer.ask(port, imdn.CPIM, wrapped(b"hot", b"id-1"))  # a twin: told already
        peer.ask(port, imdn.CPIM, wrapped(b"hot", b"id-2"))
        assert told(peer.answer(200)) == (b"id-2", b"delivery", b"delivered")


def test_who_refuses_a_notification_is_sent_no_other() -> None:
    with inbox("--imdn") as tool, Peer(ALICE) as peer, Peer(b"sip:bob@example.org") as other:
        port = port_of(tool)
        peer.ask(port, imdn.CPIM, wrapped(message_id=b"id-1"))
        assert told(peer.answer(415, b"Accept: text/plain\r\n"))[0] == b"id-1"
        peer.ask(port, imdn.CPIM, wrapped(message_id=b"id-2"))
        other.ask(port, imdn.CPIM, wrapped(message_id=b"id-3"))
        assert told(other.answer(200))[0] == b"id-3"  # they go out in order
        assert peer.silent()
        assert not [line for line in tool.lines if line["event"] == "outcome"]


def test_a_notification_has_room_for_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """R3428-8.2: brief if need be, and within 1300 octets with what answers the challenge"""
    monkeypatch.setenv("SIPMOTE_PASSWORD", "secret")
    digest = b'WWW-Authenticate: Digest realm="example.org", nonce="%s", algorithm=SHA-256, qop="auth"\r\n'
    account = ("--user", "desk", "--aor", "sip:desk-of-the-boilers@example.org")
    with Peer(ALICE) as peer, inbox("--imdn", *account, "--proxy", f"sip:127.0.0.1:{peer.port}") as tool:
        peer.ask(port_of(tool), imdn.CPIM, wrapped(message_id=b"d1f2a3b4-c5d6-4e7f-8a9b-0c1d2e3f4a5b"))
        assert b"recipient-uri" not in peer.answer(401, digest % (b"n" * 80)).body
        request = peer.answer(200)
        assert request.get(b"authorization")
        assert len(request.data) <= 1300
        assert told(request) == (b"d1f2a3b4-c5d6-4e7f-8a9b-0c1d2e3f4a5b", b"delivery", b"delivered")


def test_who_has_proved_nothing_gets_three_times_his_octets_at_most() -> None:
    """R0-P10: a forged source would get them; who answers, and who is written to by a person, gets all"""
    with inbox("--imdn", "--interactive") as tool, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        port = port_of(tool)
        sock.bind(("127.0.0.1", 0))
        body = wrapped(b"hot", b"id-1")
        head = (
            b"MESSAGE sip:desk@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1;rport\r\n"
            b"Max-Forwards: 70\r\nFrom: <sip:alice@example.invalid>;tag=1\r\nTo: <sip:desk@127.0.0.1>\r\nCall-ID: 1\r\n"
            b"CSeq: 1 MESSAGE\r\n"
            b"Content-Type: message/cpim\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        sock.sendto(head + body, ("127.0.0.1", port))
        came = _collect(sock, 2.5)  # in which a request is sent three times
        assert [data[:8] for data in came] == [b"SIP/2.0 ", b"MESSAGE "]
        assert sum(map(len, came)) <= 3 * len(head + body)
        tool.type(f"sip:alice@127.0.0.1:{sock.getsockname()[1]} who are you")
        assert len(_collect(sock, 2.5)) > 1


def _collect(sock: socket.socket, seconds: float) -> list[bytes]:
    """Return the datagrams that come within so many seconds."""
    deadline = time.monotonic() + seconds
    found = []
    while (left := deadline - time.monotonic()) > 0:
        sock.settimeout(left)
        with contextlib.suppress(TimeoutError):
            found.append(sock.recv(65535))
    return found


def test_nobody_is_told_unless_the_inbox_is_started_so() -> None:
    with inbox("--interactive") as tool, Peer(ALICE) as peer:
        peer.ask(port_of(tool), imdn.CPIM, wrapped(message_id=b"id-1"))
        tool.wait_for(event="message")
        tool.type("typed")
        assert peer.answer(200).body == b"typed"


def test_a_notification_makes_delivered_of_what_was_accepted() -> None:
    for status, event, code in (("delivered", "delivered", 0), ("failed", "failed", 4), ("forbidden", "accepted", 3)):
        with Peer(ALICE) as peer, Tool("send", f"sip:desk@127.0.0.1:{peer.port}", "hot", "--wait", "20") as sender:
            request = peer.answer(202)
            cpim = parse_cpim(request.body)
            assert receipt.asked(cpim) == [b"positive-delivery", b"negative-delivery"]
            message_id = receipt.message_id(cpim) or b""
            assert message_id == request.get(b"call-id")
            sender.wait_for(event="accepted", status=202)
            port = peer.from_port
            assert peer.ask(port, imdn.CPIM, notification(b"somebody else's")).status == 480
            assert peer.ask(port, imdn.XML, b"<imdn>").status == 480
            assert peer.ask(port, imdn.CPIM, notification(message_id, status.encode())).status == 200
            assert sender.wait() == code
            assert sender.lines[-1]["event"] == event
            assert sender.lines[-1]["notification"] == status


def test_without_a_notification_accepted_it_stays() -> None:
    with Peer(ALICE) as peer, Tool("send", f"sip:desk@127.0.0.1:{peer.port}", "hot", "--wait", "0.3") as sender:
        peer.answer(202)
        assert sender.wait() == 3
        assert (sender.lines[-1]["event"], sender.lines[-1]["notification"]) == ("accepted", None)


def test_who_got_the_text_alone_is_not_waited_for() -> None:
    with Peer(ALICE) as peer, Tool("send", f"sip:desk@127.0.0.1:{peer.port}", "hot", "--wait", "60") as sender:
        assert peer.answer(415, b"Accept: text/plain\r\n").get(b"content-type") == imdn.CPIM
        request = peer.answer(202)
        assert (request.get(b"content-type"), request.body) == (b"text/plain", b"hot")
        assert sender.wait(DEADLINE_S) == 3
        assert len(sender.lines) == 1


def test_the_budget_counts_what_stands_around_the_text() -> None:
    with inbox() as tool:
        uri = f"sip:desk@127.0.0.1:{port_of(tool)}"
        with Tool("send", uri, "x" * 1000, "--notify", "--budget", "split") as sender:
            assert sender.wait() == 0
            parts = sender.lines[-1]["parts"]
        assert parts == 2
        tool.wait_for(event="message", body=lambda text: text.startswith("(2/2) "))
        assert sum(len(line["body"]) for line in messages(tool)) == 1000 + 2 * len("(1/2) ")
