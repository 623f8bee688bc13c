"""R3428-4.9: message/cpim through Kamailio's store, which calls it text, and the notification back."""

import socket
from pathlib import Path

import pytest

from sipmote.agent.cpim import imdn
from sipmote.agent.cpim.writer import build_cpim
from sipmote.agent.message import Message
from tests.host_tools.certificates import issue
from tests.interop.kamailio import Registrar
from tests.interop.peers import free_port
from tests.sip_peer import DEADLINE_S, Peer
from tests.tools import Tool


def register(proxy: int, user: str, port: int) -> None:
    """Tell the registrar that user is at a port of this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(DEADLINE_S)
        sock.connect(("127.0.0.1", proxy))
        here = sock.getsockname()[1]
        sock.send(
            f"REGISTER sip:interop.test SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{here};branch=z9hG4bK{here};rport\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:{user}@interop.test>;tag=1\r\nTo: <sip:{user}@interop.test>\r\n"
            f"Call-ID: {here}\r\nCSeq: 1 REGISTER\r\nContact: <sip:{user}@127.0.0.1:{port}>\r\nAllow: MESSAGE\r\n"
            "Expires: 600\r\nContent-Length: 0\r\n\r\n".encode()
        )
        assert Message(sock.recv(65535)).status == 200


@pytest.mark.parametrize("options", [["STORE"], ["STORE", "DATE"]])
def test_a_stored_message_is_known_and_its_sender_told(tmp_path: Path, options: list[str]) -> None:
    with (
        Registrar(tmp_path, *options) as proxy,
        Tool("inbox", "--bind", "udp:127.0.0.1:0", "--db", ":memory:", "--imdn") as inbox,
    ):
        bind = inbox.wait_for(event="ready")["bind"][0]
        here = free_port()
        register(proxy.port, "alice", here)
        with Tool(
            *("send", "sip:bob@interop.test", "kept for you", "--wait", "30", "--from", "sip:alice@interop.test"),
            *("--proxy", proxy.uri(), "--bind", f"udp:127.0.0.1:{here}"),
        ) as sender:
            accepted = sender.wait_for(event="accepted", status=202)
            register(proxy.port, "bob", int(bind.rpartition(":")[2]))
            line = inbox.wait_for(event="message")
            assert (line["body"], line["cpim"]["message_id"]) == ("kept for you", accepted["call_id"])
            assert line["call_id"] != accepted["call_id"]
            assert sender.wait() == 0
            assert (sender.lines[-1]["event"], sender.lines[-1]["notification"]) == ("delivered", "delivered")


def test_twins_from_the_store_are_told_apart_by_message_id(tmp_path: Path) -> None:
    with (
        Registrar(tmp_path, "STORE") as proxy,
        Tool("inbox", "--bind", "udp:127.0.0.1:0", "--db", ":memory:") as inbox,
    ):
        bind = inbox.wait_for(event="ready")["bind"][0]
        bob, alice = b"sip:bob@interop.test", b"sip:alice@interop.test"
        with Peer(alice) as peer:
            for message_id in (b"id-1", b"id-1", b"id-2"):
                body = build_cpim(alice, bob, message_id, extra=imdn.identify(message_id))
                assert peer.ask(proxy.port, imdn.CPIM, body, to=bob).status == 202
        register(proxy.port, "bob", int(bind.rpartition(":")[2]))
        inbox.wait_for(event="message", body="id-1", duplicate=True)
        inbox.wait_for(event="message", body="id-2", duplicate=False)
        shown = [line for line in inbox.lines if line["event"] == "message"]
        assert len({line["call_id"] for line in shown}) == 3


def test_signatures_and_ciphers_survive_the_store(tmp_path: Path) -> None:
    """R3428-11.12: octet for octet, under another Call-ID"""
    alice = issue(tmp_path, "alice", "sip:alice@interop.test")
    bob = issue(tmp_path, "bob", "sip:bob@interop.test")
    keys = ["--smime-key", bob.path, "--smime-trust", alice.certificate_path]
    with (
        Registrar(tmp_path, "STORE") as proxy,
        Tool("inbox", "--bind", "udp:127.0.0.1:0", "--db", ":memory:", *keys) as inbox,
    ):
        bind = inbox.wait_for(event="ready")["bind"][0]
        sign, encrypt = ["--sign", alice.path], ["--encrypt-to", bob.certificate_path]
        for text, options in (("signed", sign), ("both", sign + encrypt)):
            with Tool("send", "sip:bob@interop.test", text, "--proxy", proxy.uri(), *options) as sender:
                assert sender.wait() == 3
        register(proxy.port, "bob", int(bind.rpartition(":")[2]))
        for text, encrypted in (("signed", None), ("both", True)):
            line = inbox.wait_for(event="message", body=text)
            assert line["signature"] == {"state": "good", "signer": "sip:alice@interop.test"}
            assert (line.get("encrypted"), line["cpim"]["from"]) == (encrypted, "sip:alice@interop.test")
