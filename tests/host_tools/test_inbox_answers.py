"""R0-P6, R0-P7: where what the inbox sends on its own goes, and as whom, by commands and scripted peers on loopback."""

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from sipmote.agent.errors import UsageError
from sipmote.agent.message import Message
from sipmote.inbox.keyboard import split_address
from sipmote.sip.places import is_hidden
from tests.dns_server import DnsServer
from tests.host_tools import peers
from tests.host_tools.peers import PATIENCE, answer, header, inbox, read_messages, until

NOWHERE = "sip:boiler@example.invalid"  # a domain that no DNS has
ASKING = (
    b"From: <sip:boiler@example.invalid>\r\nTo: <sip:desk@example.org>\r\nNS: imdn <urn:ietf:params:imdn>\r\n"
    b"imdn.Message-ID: m1\r\nimdn.Disposition-Notification: positive-delivery\r\n\r\n"
    b"Content-Type: text/plain\r\n\r\nhi"
)


def message(call_id: str, body: bytes = b"hi", sender: str = NOWHERE, **more: Any) -> bytes:
    return peers.message(call_id, body, sender=sender, **more)


class Server:
    """A registrar and proxy over UDP: takes all that comes; got: by method. fields: of its answers to REGISTER."""

    def __init__(self, fields: Sequence[str] = ()) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        self.got: list[bytes] = []
        self._fields = fields
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            data, address = self.sock.recvfrom(65535)
            if not data:
                return
            if not data.startswith((b"REGISTER ", b"MESSAGE ")):
                continue
            self.got.append(data)
            response = answer(data, "200 OK")
            if data.startswith(b"REGISTER "):
                contact = header(data, "Contact").partition(">")[0] + ">;expires=600"
                lines = "\r\n".join([f"Contact: {contact}", *self._fields])
                response = response.replace(b"Content-Length", lines.encode() + b"\r\nContent-Length")
            self.sock.sendto(response, address)

    def messages(self) -> list[bytes]:
        return [data for data in self.got if data.startswith(b"MESSAGE ")]

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self.sock.close()


@contextlib.contextmanager
def nowhere() -> Iterator[str]:
    """Give the place of a DNS server that knows no name."""
    with DnsServer() as dns:
        yield dns.place


def writer(data: bytes) -> str:
    return header(data, "From").partition(";tag=")[0]


def text_of(data: bytes) -> bytes:
    return Message(data).body


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_whose_uri_leads_nowhere_is_answered_where_he_is(transport: str) -> None:
    with (
        inbox("--interactive", "--aor", "sip:desk@example.org") as running,
        running.udp() if transport == "udp" else running.tcp() as sock,
    ):
        running.type("too early")
        assert "nobody" in running.event("warning")["text"]
        sock.send(message("a", transport=transport.upper()))
        assert b" 200 " in sock.recv(65535)
        running.event("message")
        running.type("status, bitte ü")
        request = sock.recv(65535)
        assert request.startswith(b"MESSAGE sip:boiler@example.invalid SIP/2.0\r\n")
        assert writer(request) == "<sip:desk@example.org>"
        assert header(request, "Via").startswith(f"SIP/2.0/{transport.upper()} 127.0.0.1:{running.ports[transport]};")
        assert request.endswith("\r\n\r\nstatus, bitte ü".encode())
        sock.send(answer(request, "200 OK"))
        outcome = running.event("outcome")
        call_id = header(request, "Call-ID")
    assert outcome == {"event": "outcome", "call_id": call_id, "outcome": "delivered", "status": 200, "reason": "OK"}


def test_a_stranger_who_gets_a_notification_gets_no_answer_made_of_a_password() -> None:
    """R3261-22-2: nobody has told us of him, and with a nonce of his own he could guess it; our registrar may ask"""
    challenge = '401 Unauthorized\r\nWWW-Authenticate: Digest realm="r", nonce="n"'
    with Server() as registrar:
        account = ("--register", f"sip:desk@127.0.0.1:{registrar.port}", "--user", "desk")
        with inbox("--imdn", *account, environment={"SIPMOTE_PASSWORD": "secret"}) as running, running.udp() as sock:
            running.event("registered")
            for host in ("localhost", "127.0.0.1"):
                sender = f"sip:boiler@{host}:{sock.getsockname()[1]}"
                asking = ASKING.replace(b"m1", host.encode())
                sock.send(message(host, asking, content_type="message/cpim", sender=sender))
                assert sock.recv(65535).startswith(b"SIP/2.0 200 ")  # the next thing that the stranger gets, too
                running.event("message")
                sock.send(answer(sock.recv(65535), challenge))
            assert header(sock.recv(65535), "Authorization").startswith('Digest username="desk", realm="r"')


def test_typed_uri_is_written_to() -> None:
    with inbox("--interactive") as running, running.udp() as sock:
        running.type(f"SIP:boiler@127.0.0.1:{sock.getsockname()[1]}\tstatus")
        request = sock.recv(65535)
        assert request.endswith(b"\r\n\r\nstatus")
        sock.send(answer(request, "603 Decline"))
        outcome = running.event("outcome")
        assert (outcome["outcome"], outcome["status"]) == ("refused", 603)
        running.type("sip:boiler@127.0.0.1:1;transport=tcp status")
        outcome = running.event("outcome")
        assert (outcome["outcome"], outcome["reason"]) == ("failed", "connection refused")
        for line in ("sip:@@ x", "sip:boiler@127.0.0.1 " + 2000 * "x", "sip:x@127.0.0.1;transport=sctp x", "sip:x@y"):
            running.type(line)
            assert "not sent" in running.event("warning")["text"]


def test_what_begins_like_an_address_is_one() -> None:
    """A scheme in any case; never a text for who wrote last"""
    for line, uri, text in (
        ("sip:carol@example.org two words ", "sip:carol@example.org", "two words "),
        ("SIPS:carol@example.org x", "sips:carol@example.org", "x"),
        ("Im:carol@example.org x", "im:carol@example.org", "x"),
        ("tel:+4930123 x", "tel:+4930123", "x"),
        ("<SIP:carol@example.org;transport=tcp>x", "sip:carol@example.org;transport=tcp", "x"),
        ("< sip:carol@example.org > x", "sip:carol@example.org", "x"),
        ('"Carol \\"C\\" <x@y>" <sip:carol@example.org> x', "sip:carol@example.org", "x"),
        ("Carol Jones <sip:carol@example.org> x", "sip:carol@example.org", "x"),
        ("sip:carol@example.org", "sip:carol@example.org", ""),
        ("status", "", "status"),
        ("note: the pump is off", "", "note: the pump is off"),
        ("http://example.org/ has it", "", "http://example.org/ has it"),
        ("it is <b>on</b> again", "", "it is <b>on</b> again"),
        ("see you @ ten", "", "see you @ ten"),
        ("sipping tea", "", "sipping tea"),
    ):
        assert split_address(line) == (uri, text), line
    for line in (
        "pres:carol@example.org x",
        "mailto:carol@example.org x",
        "xmpp:carol@example.org x",
        "<mailto:carol@example.org> x",
        "carol@example.org x",
        "carol@[2001:db8::1] x",
        "carol@localhost",
    ):
        with pytest.raises(UsageError):
            split_address(line)


def test_a_text_for_somebody_else_never_goes_to_who_wrote_last() -> None:
    with inbox("--interactive") as running, running.udp() as sock:
        sock.send(message("a"))
        assert b" 200 " in sock.recv(65535)
        running.event("message")
        for line in ("im:carol@example.org x", "tel:+4930123 x", "pres:carol@example.org x", "carol@example.org x"):
            running.type(line)
            warning = running.event("warning")
            assert warning["text"].startswith("not sent: ") and warning["line"] == line
        running.type("for you")
        assert text_of(sock.recv(65535)) == b"for you"


@pytest.mark.parametrize("account", ["--register", "--aor"])
def test_nobody_else_says_who_we_are(account: str) -> None:
    """Neither to him nor to others, in lines and in notifications"""
    with (
        Server() as server,
        inbox(
            *("--interactive", "--imdn", account, "sip:desk@example.org", "--proxy", f"sip:127.0.0.1:{server.port}")
        ) as running,
    ):
        if account == "--register":
            running.event("registered")
        with running.udp() as sock:
            for call_id, to in (("a", f"sip:desk@127.0.0.1:{running.ports['udp']}"), ("b", "sip:ceo@bank.example")):
                asking = ASKING.replace(b"m1", call_id.encode())
                sock.send(message(call_id, asking, content_type="message/cpim", to=to))
                assert b" 200 " in sock.recv(65535)
                running.event("message")
                running.type("an answer")
                running.event("outcome")
        running.type("sip:bob@example.invalid a new message")
        until(lambda: len(server.messages()) == 5)
        assert {writer(data) for data in server.messages()} == {"<sip:desk@example.org>"}
        notifications = [text_of(data) for data in server.messages() if b"imdn+xml" in data]
        assert [b"From: <sip:desk@example.org>\r\n" in text for text in notifications] == [True, True]


def test_without_a_name_of_its_own_it_is_every_user_at_its_host() -> None:
    """A board takes commands from the address that it was told to write to."""
    with inbox("--interactive", "--domain", "example.org", "--domain", "127.0.0.1") as running, running.udp() as sock:
        for to, ours in (
            ("sip:desk@127.0.0.1", "<sip:desk@127.0.0.1>"),
            ("sip:desk@example.org", "<sip:desk@example.org>"),
            ("sip:ceo@bank.example", None),
        ):
            sock.send(message(to, to=to))
            assert b" 200 " in sock.recv(65535)
            running.event("message")
            running.type("who are you")
            request = sock.recv(65535)
            sock.send(answer(request, "200 OK"))
            running.event("outcome")
            assert writer(request) == ours or (ours is None and writer(request).endswith("@example.org>"))
            assert "ceo" not in writer(request)
        running.type(f"sip:lamp@127.0.0.1:{sock.getsockname()[1]} status")
        assert "desk" not in writer(sock.recv(65535))


def test_who_logs_in_writes_as_that_user() -> None:
    environment = {"SIPMOTE_PASSWORD": "x"}
    with Server() as server:
        proxy = f"sip:127.0.0.1:{server.port}"
        with inbox("--interactive", "--user", "alice", "--proxy", proxy, environment=environment) as running:
            running.type("sip:bob@example.invalid hi")
            running.event("outcome")
        assert writer(server.messages()[-1]) == "<sip:alice@example.invalid>"


def test_requests_go_by_the_proxy_and_not_to_a_server_that_only_delivers() -> None:
    """By --proxy, Service-Route, a registrar alone; lines and notifications"""
    for way in ("proxy", "route", "registrar"):
        with Server() as proxy, nowhere() as dns:
            fields = [f"Service-Route: <sip:127.0.0.1:{proxy.port};lr>"] if way == "route" else []
            with Server(fields) as registrar:
                home = proxy if way == "proxy" else registrar
                options = ["--register", f"sip:desk@127.0.0.1:{registrar.port}"]
                if way == "proxy":
                    options = ["--register", "sip:desk@example.invalid", "--proxy", f"sip:127.0.0.1:{proxy.port}"]
                with inbox("--interactive", "--imdn", "--dns", dns, *options) as running, running.udp() as sock:
                    running.event("registered")
                    sock.send(message("a", ASKING, content_type="message/cpim"))
                    assert b" 200 " in sock.recv(65535)
                    running.event("message")
                    running.type("an answer")
                    assert running.event("outcome")["outcome"] == "delivered"
                    taker = registrar if way == "registrar" else proxy
                    assert home is registrar or taker is proxy
                    until(lambda taker=taker: len(taker.messages()) == 2)
                    sock.setblocking(False)
                    with pytest.raises(BlockingIOError):
                        sock.recv(65535)


def test_an_answer_goes_where_the_senders_uri_leads() -> None:
    """Not to the server that brought his message, and not to the end of a connection that is closed."""
    with Server() as sender, inbox("--interactive") as running, running.udp() as store:
        store.send(message("a", sender=f"sip:boiler@127.0.0.1:{sender.port}"))
        assert b" 200 " in store.recv(65535)
        running.event("message")
        running.type("by datagram")
        assert running.event("outcome")["outcome"] == "delivered"
        with running.tcp() as stream:
            stream.sendall(message("b", transport="TCP", sender=f"sip:boiler@127.0.0.1:{sender.port}"))
            assert read_messages(stream, 1)
        running.event("message")
        running.type("after the stream")
        assert running.event("outcome")["outcome"] == "delivered"
        assert [text_of(data) for data in sender.messages()] == [b"by datagram", b"after the stream"]


def test_an_address_behind_a_nat_leads_nowhere() -> None:
    for host, source, hidden in (
        (b"192.168.1.7", b"9.9.9.9", True),
        (b"fd00::7", b"2620:fe::9", True),
        (b"192.168.1.7", b"192.168.1.1", False),
        (b"9.9.9.9", b"9.9.9.10", False),
        (b"9.9.9.9", b"192.168.1.7", False),
        (b"boiler", b"9.9.9.9", False),
    ):
        assert is_hidden(host, source) == hidden, host


def test_a_uri_that_names_another_transport_is_not_the_source() -> None:
    """His datagram came from the host that his URI names, where he wants streams."""
    with socket.create_server(("127.0.0.1", 0)) as server, inbox("--interactive") as running, running.udp() as sock:
        server.settimeout(PATIENCE)
        sock.send(message("a", sender=f"sip:boiler@127.0.0.1:{server.getsockname()[1]};transport=tcp"))
        assert b" 200 " in sock.recv(65535)
        running.event("message")
        running.type("by stream")
        stream, _ = server.accept()
        with stream:
            stream.settimeout(PATIENCE)
            request = read_messages(stream, 1)[0]
            stream.sendall(answer(request, "200 OK"))
            assert text_of(request) == b"by stream"
        assert running.event("outcome")["outcome"] == "delivered"


def test_who_is_gone_and_whose_uri_leads_nowhere_is_one_line() -> None:
    with nowhere() as dns, inbox("--interactive", "--dns", dns) as running:
        with running.tcp() as stream:
            stream.sendall(message("a", transport="TCP"))
            assert read_messages(stream, 1)
        running.event("message")
        running.type("are you there")
        warning = running.event("warning")["text"]
        assert "no connection leads there" in warning and "no address found for example.invalid" in warning


def test_an_answer_never_comes_back_to_us() -> None:
    """By a URI that leads here, and by a store that brings on what we sent"""
    with inbox("--interactive") as running, running.udp() as store:
        store.settimeout(PATIENCE)
        store.send(message("a", sender=f"sip:boiler@127.0.0.1:{running.ports['udp']}"))
        assert b" 200 " in store.recv(65535)
        running.event("message")
        running.type("to myself")
        assert "leads to this inbox itself" in running.event("warning")["text"]
        store.send(message("b"))
        assert b" 200 " in store.recv(65535)
        running.event("message")
        running.type("by the store")
        request = store.recv(65535)
        store.send(answer(request, "202 Accepted"))
        assert running.event("outcome")["outcome"] == "accepted"
        store.send(message(header(request, "Call-ID"), sender="sip:desk@127.0.0.1"))
        assert store.recv(65535).startswith(b"SIP/2.0 482 ")
        assert "has come back" in running.event("warning")["text"]
