"""The store of keys at work: what an inbox takes, what it remembers, how what is typed there leaves; questions."""

import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from sipmote.__main__ import main
from sipmote.agent.cms import mime, smime
from sipmote.agent.cpim.imdn_reply import build_notification
from sipmote.agent.cpim.reader import parse_cpim
from sipmote.agent.cpim.writer import build_cpim
from sipmote.smime.keys import Identity
from sipmote.smime.reader import Reader
from sipmote.smime.store import KeyStore
from sipmote.smime.writer import Writer
from tests.host_tools.certificates import issue
from tests.host_tools.peers import Running
from tests.sip_peer import Peer
from tests.tools import Tool

DESK = "sip:desk@127.0.0.1"
BOILER = "sip:boiler@127.0.0.1"
CPIM = b"message/cpim"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeyStore:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    made = KeyStore()
    made.create(DESK)
    return made


def boiler(store: KeyStore) -> Identity:
    """Return a board's key, with a certificate of our authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    return Identity(key, store.issue(BOILER, key.public_key()))


def hot(signer: Identity, store: KeyStore, with_certificate: bool = False, text: bytes = b"hot") -> tuple[bytes, bytes]:
    """Return content type and body of an alert, signed and encrypted."""
    body = build_cpim(BOILER.encode(), DESK.encode(), text, unix=int(time.time()))
    return Writer(signer, store.certificate(DESK), with_certificate).protect(CPIM, body)


@contextmanager
def inbox(tmp_path: Path, *options: str) -> Iterator[tuple[Tool, int]]:
    words = ("--bind", "udp:127.0.0.1:0", "--db", str(tmp_path / "inbox.db"), "--aor", DESK, *options)
    with Tool("inbox", *words) as tool:
        yield tool, int(tool.wait_for(event="ready")["bind"][0].rpartition(":")[2])


def test_a_shared_key_does_for_a_signature(store: KeyStore, tmp_path: Path) -> None:
    """R8591-7, R0-P12: under a policy, too, and the same only once, by whomever and however often it is sent"""
    shared = store.share(BOILER)
    store.set_policy(BOILER, None, "require")
    body = build_cpim(BOILER.encode(), DESK.encode(), b"hot", unix=int(time.time()))
    old = build_cpim(BOILER.encode(), DESK.encode(), b"hot", unix=int(time.time()) - 900)
    running = Running("inbox", "--bind", "udp:127.0.0.1:0", "--db", ":memory:", "--aor", DESK)
    try:
        port = int(running.line().partition(b"udp:127.0.0.1:")[2].partition(b";")[0])
        with Peer(BOILER.encode()) as peer:
            for said in (b" by a shared key encrypted sip:boiler@127.0.0.1 hot", b"127.0.0.1 [duplicate] hot"):
                assert peer.ask(port, *Writer(None, shared, False).protect(CPIM, body)).status == 200
                assert said in running.line()
            assert peer.ask(port, *Writer(None, shared, False).protect(CPIM, old)).status == 493
    finally:
        running.end()


def test_what_is_under_a_policy_is_taken_signed_alone(store: KeyStore, tmp_path: Path) -> None:
    """R8591-7: whoever writes boiler into From, outside or inside; in base64, too, as mail has it"""
    board = boiler(store)
    store.set_policy(BOILER, None, "require")
    with inbox(tmp_path) as (tool, port), Peer(BOILER.encode()) as peer, Peer(b"sip:eve@127.0.0.1") as eve:
        assert peer.ask(port, b"text/plain", b"hot").status == 403
        with Peer(b"sip:boiler:secret@127.0.0.1") as same:
            assert same.ask(port, b"text/plain", b"hot").status == 403
        inside = build_cpim(BOILER.encode(), DESK.encode(), b"hot")
        assert eve.ask(port, CPIM, inside).status == 403
        assert eve.ask(port, b"text/plain", b"hello").status == 200
        assert peer.ask(port, *hot(board, store)).status == 200
        shown = tool.wait_for(event="message", body="hot")
        assert shown["signature"] == {"state": "good", "signer": BOILER} and shown["encrypted"]
        kind, body = hot(board, store, text=b"wrapped")
        assert peer.ask(port, kind, base64.encodebytes(body), b"Content-Transfer-Encoding: base64\r\n").status == 200
        assert tool.wait_for(event="message", body="wrapped")["signature"]["state"] == "good"
        store.set_policy("*", None, "require")  # while it runs
        assert eve.ask(port, b"text/plain", b"again").status == 403


def test_what_is_for_others_has_no_signer_for_a_command(store: KeyStore, tmp_path: Path) -> None:
    """What a board has signed for one can be sent on to another, encrypted anew"""
    board, runs = boiler(store), tmp_path / "runs"
    command = tmp_path / "command"
    command.write_text(f'#!/bin/sh\necho "$(cat) $SIPMOTE_SIGNER" >> {runs}\n')
    command.chmod(0o700)
    for_bob = build_cpim(BOILER.encode(), b"sip:bob@127.0.0.1", b"open", unix=int(time.time()))
    with inbox(tmp_path, "--exec", str(command)) as (tool, port), Peer(BOILER.encode()) as peer:
        writer = Writer(board, store.certificate(DESK), False)
        assert peer.ask(port, *writer.protect(CPIM, for_bob)).status == 200
        assert tool.wait_for(event="message")["for_others"]
        assert peer.ask(port, *hot(board, store)).status == 200
        end = time.monotonic() + 20
        while not (runs.exists() and runs.read_text().count("\n") == 2) and time.monotonic() < end:
            time.sleep(0.05)
    assert sorted(runs.read_text().splitlines()) == [f"hot {BOILER}", "open "]


def test_what_goes_in_clear_to_who_wrote_encrypted_is_told_and_whose_signature_was_missed(
    store: KeyStore, tmp_path: Path
) -> None:
    """R8591-7: a fallback is marked; a person hears why nothing of his board comes, and what a 493 may mean"""
    boiler(store)
    other = KeyStore(tmp_path / "another")
    key = ec.generate_private_key(ec.SECP256R1())
    theirs = Identity(key, other.issue(BOILER, key.public_key()))
    store.set_policy(BOILER, None, "require")
    hidden = Writer(None, store.certificate(DESK), False).protect(b"text/plain", b"hi")
    with inbox(tmp_path, "--interactive") as (tool, port), Peer(BOILER.encode()) as peer, Peer(b"sip:al@x.org") as al:
        assert al.ask(port, *hidden).status == 200
        tool.wait_for(event="message")
        tool.type("hello")
        assert al.answer(200).body == b"hello"
        assert "in clear, and sip:al@x.org wrote encrypted" in tool.wait_for(event="warning", line="hello")["text"]
        assert peer.ask(port, *hot(theirs, store, with_certificate=True)).status == 493
        (why,) = tool.wait_for(event="dropped")["reasons"]
        assert f"from {BOILER} without a good signature by him (nobody trusted vouches" in why


def test_keys_that_cannot_be_read_let_nobody_in(store: KeyStore, tmp_path: Path) -> None:
    (store.folder / "policy.json").write_text("[")
    with inbox(tmp_path) as (tool, port), Peer(BOILER.encode()) as peer:
        assert peer.ask(port, b"text/plain", b"hot").status == 403
        assert "policy.json can't be understood" in tool.wait_for(event="warning")["text"]


def test_a_certificate_that_came_along_once_is_known_from_then_on(store: KeyStore, tmp_path: Path) -> None:
    """R8591-9"""
    board = boiler(store)
    shown = store.folder / "trusted" / "boiler@127.0.0.1.pem"
    shown.unlink()  # as at an inbox that trusts the authority alone
    with inbox(tmp_path) as (tool, port), Peer(BOILER.encode()) as peer:
        assert peer.ask(port, *hot(board, store, with_certificate=True)).status == 200
        assert tool.wait_for(event="message")["signature"]["state"] == "good"
        assert shown.exists()
        assert peer.ask(port, *hot(board, store, text=b"hotter")).status == 200
        assert tool.wait_for(event="message", body="hotter")["signature"]["state"] == "good"


def test_what_a_person_has_trusted_is_not_replaced_by_what_is_shown(store: KeyStore, tmp_path: Path) -> None:
    pinned = KeyStore(tmp_path / "elsewhere").create(BOILER).certificate
    store.trust(pinned)
    key = ec.generate_private_key(ec.SECP256R1())
    other = KeyStore(tmp_path / "another").issue(BOILER, key.public_key())
    store.remember(other)
    assert store.certificate(BOILER) == pinned


def test_what_is_typed_is_protected_for_who_has_a_key_here(store: KeyStore, tmp_path: Path) -> None:
    """R3428-11.1, R3428-11.6"""
    board = boiler(store)
    own = store.own(DESK)
    assert own is not None
    with inbox(tmp_path, "--interactive") as (tool, _), Peer(BOILER.encode()) as peer:
        tool.type(f"sip:boiler@127.0.0.1:{peer.port} status")
        request = peer.answer(200)
        assert smime.is_protected(request.get(b"content-type") or b"") and request.get(b"date")
        reader = Reader([board], [own.certificate])
        opened = reader.open(mime.ENCRYPTED, request.body)
        verdict = reader.judge(opened, DESK, 1)
        assert verdict is not None and verdict.is_good and b"status" in opened.body
        store.set_policy("*", "require", None)
        tool.type(f"sip:eve@127.0.0.1:{peer.port} status")
        assert "there is no key of sip:eve@" in tool.wait_for(event="warning")["text"]


def test_a_question_and_its_answer_are_protected(store: KeyStore) -> None:
    """R8591-7: what somebody else, or another time, has to say is no answer"""
    board = boiler(store)
    store.set_policy(BOILER, None, "require")
    reader = Reader([board], [store.certificate(DESK)])
    nobody = Peer(b"sip:127.0.0.1"), Peer(b"sip:boiler@example.com")  # at the same address, by names of no policy
    with Peer(BOILER.encode()) as peer, Tool("ask", f"{BOILER}:{peer.port}", "status", "--from", DESK) as tool:
        question = peer.answer(200)
        opened = reader.open(question.get(b"content-type"), question.body)
        verdict = reader.judge(opened, DESK, int(time.time()))
        assert (opened.encrypted, verdict.state) == (True, "good") and b"status" in opened.body
        own = board, store.certificate(DESK), False
        old = build_cpim(BOILER.encode(), DESK.encode(), b"20 C", unix=int(time.time()) - 900)
        for status, content in (
            (403, (b"text/plain", b"19 C")),
            (493, Writer(None, store.certificate(DESK), False).protect(b"text/plain", b"18 C")),
            (493, Writer(*own).protect(CPIM, old)),
            (200, hot(board, store, text=b"81 C")),
        ):
            for other in nobody if status == 403 else ():
                with other:
                    assert other.ask(peer.from_port, *content).status == 403
            assert peer.ask(peer.from_port, *content).status == status
        answer = tool.wait_for(event="answer")
        assert (answer["body"], answer["signature"]["state"], answer["encrypted"]) == ("81 C", "good", True)
        assert tool.wait() == 0


def test_a_notification_that_is_protected_is_read(store: KeyStore) -> None:
    """R8591-7: send --wait hears of what became of a message that left protected"""
    board = boiler(store)
    reader = Reader([board], [store.certificate(DESK)])
    words = "send", f"{BOILER}:{{port}}", "hot", "--from", DESK, "--wait", "20"
    with Peer(BOILER.encode()) as peer, Tool(*(word.format(port=peer.port) for word in words)) as tool:
        message = peer.answer(202)
        inside = parse_cpim(reader.open(message.get(b"content-type"), message.body).body)
        told = build_notification(inside, b"delivered", BOILER.encode(), DESK.encode(), b"own", int(time.time()))
        told = Writer(board, store.certificate(DESK), False).protect(CPIM, told)
        assert peer.ask(peer.from_port, *told).status == 200
        assert tool.wait_for(event="delivered")["notification"] == "delivered"


def test_a_493_to_a_question_says_what_it_may_mean(store: KeyStore) -> None:
    boiler(store)
    with Peer(BOILER.encode()) as peer:
        asking = Running("ask", f"{BOILER}:{peer.port}", "status", "--from", DESK)
        try:
            peer.answer(493)
            asking.wait()
        finally:
            asking.end()
    assert b"sipmote keys trust FILE" in asking.errors


def test_nothing_is_encrypted_to_a_certificate_that_has_ended(
    store: KeyStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store.trust(issue(tmp_path, "alice", "sip:alice@127.0.0.1", days=(-9, -1)).certificate)
    assert main(["send", "sip:alice@127.0.0.1:9", "hot", "--from", DESK]) == 2
    assert "the certificate of sip:alice@127.0.0.1:9 ended at " in capsys.readouterr().err


def test_a_text_that_is_too_long_protected_names_what_takes_less(
    store: KeyStore, capsys: pytest.CaptureFixture[str]
) -> None:
    boiler(store)
    assert main(["send", f"{BOILER}:5999", "x" * 600, "--from", DESK]) == 2
    said = capsys.readouterr().err
    assert "over the budget" in said and "fewer encrypted alone" in said and "fewer with a key that both share" in said


def test_what_was_signed_for_somebody_else_is_marked(store: KeyStore, tmp_path: Path) -> None:
    """R8591-7, R0-P12: eve, who got it, encrypts it to us, and says in the request that we are she"""
    board = boiler(store)
    content = build_cpim(BOILER.encode(), b"sip:eve@127.0.0.1", b"open", unix=int(time.time()))
    sealed = Writer(board, store.certificate(DESK), False).protect(CPIM, content)
    with inbox(tmp_path) as (tool, port), Peer(BOILER.encode()) as peer:
        for to in (b"sip:eve@127.0.0.1", DESK.encode()):
            assert peer.ask(port, *sealed, to=to).status == 200
            line = tool.wait_for(event="message", to=to.decode())
            assert line["for_others"] is True, to
