"""S/MIME through the commands: who signs, who can read, and what a person is told when something is wrong."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from sipmote.__main__ import main
from sipmote.agent.cms import mime, smime
from sipmote.agent.cpim import imdn
from sipmote.agent.cpim.reader import parse_cpim
from sipmote.agent.cpim.writer import build_cpim
from sipmote.agent.date_reader import parse_date
from sipmote.agent.errors import ParseError
from sipmote.smime.reader import BAD, GOOD, MISMATCH, UNDATED, UNKNOWN, UNTRUSTED, Reader, Verdict
from sipmote.smime.writer import Writer
from tests.host_tools.certificates import AUTHORITY, FOR_AGREEMENT, Issued, issue
from tests.host_tools.envelopes import with_another_end
from tests.host_tools.peers import Running
from tests.sip_peer import Peer
from tests.tools import Line, Tool

ALICE = "sip:alice@example.org"
BODY = "heiß\nund nass"


class People:
    """alice signs, the desk reads, and others are not who they should be."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.alice = issue(folder, "alice", ALICE)
        self.desk = issue(folder, "desk", "sip:desk@127.0.0.1")
        self.mallory = issue(folder, "mallory", "sip:mallory@example.org")
        self.rsa = issue(folder, "rsa", ALICE, kind="rsa")


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    return People(tmp_path_factory.mktemp("smime"))


@pytest.fixture(scope="module")
def desk(people: People) -> Iterator[Tool]:
    with inbox(people) as tool:
        yield tool


def inbox(people: People, *options: str, database: str = ":memory:") -> Tool:
    trust = ["--smime-trust", people.alice.certificate_path, "--smime-trust", people.rsa.certificate_path]
    ours = ["--smime-key", people.desk.path, *trust]
    return Tool("inbox", "--bind", "udp:127.0.0.1:0", "--db", database, *ours, *options)


def port_of(tool: Tool) -> int:
    bind: str = tool.wait_for(event="ready")["bind"][0]
    return int(bind.rpartition(":")[2])


def send(tool: Tool, text: str, *options: str) -> tuple[int, Line, str]:
    """Send to an inbox; returns exit code, last line and what was said on stderr."""
    with Tool("send", f"sip:desk@127.0.0.1:{port_of(tool)}", text, *options) as sender:
        code = sender.wait()
        return code, sender.lines[-1] if sender.lines else {}, "\n".join(sender.complaints)


def dated(text: str, author: str = ALICE, age_s: int = 0) -> bytes:
    """Return a message/cpim of a while ago."""
    return build_cpim(author.encode(), b"sip:desk@127.0.0.1", text.encode(), unix=int(time.time()) - age_s)


def signed(signer: Issued, text: str = "hot", author: str = ALICE, age_s: int = 0, carried: bool = False) -> bytes:
    """Return a signed message/cpim."""
    return Writer(signer, None, carried).protect(imdn.CPIM, dated(text, author, age_s))[1]


def judged(
    body: bytes, *trusted: Issued, author: str = ALICE, unix: int | None = 1, beside: Issued | None = None
) -> Verdict:
    """Return what is said of a signed body; beside: whose certificate came with it, too."""
    reader = Reader([], [one.certificate for one in trusted])
    opened = reader.open(mime.SIGNED, body)
    if beside is not None:
        opened.certificates.append(beside.certificate.public_bytes(serialization.Encoding.DER))
    verdict = reader.judge(opened, author, unix)
    assert verdict is not None
    return verdict


# Both ends


def test_what_is_signed_or_encrypted_or_both_arrives_and_says_so(people: People, desk: Tool) -> None:
    """R3428-11.1, R3428-11.4, R3428-11.5, R8591-4, R8591-5, R8551-1: whatever the kind of key; lines end in CRLF"""
    good = {"state": "good", "signer": ALICE}
    cases = (
        (["--sign", people.alice.path], None, good),
        (["--sign", people.rsa.path], None, good),
        (["--encrypt-to", people.desk.certificate_path, "--from", ALICE], True, None),
        (["--sign", people.alice.path, "--encrypt-to", people.desk.certificate_path], True, good),
    )
    for number, (options, encrypted, signature) in enumerate(cases):
        text = f"{number} {BODY}"
        assert send(desk, text, *options)[0] == 0
        line = desk.wait_for(event="message", body=text.replace("\n", "\r\n"))
        assert (line.get("encrypted"), line.get("signature"), line["from"]) == (encrypted, signature, ALICE)
        assert line["content_type"] == "text/plain;charset=UTF-8"


def test_the_time_is_inside_what_is_signed_and_in_date(people: People) -> None:
    """R3428-11.6, R8591-3: and names, too; the certificate stays at home"""
    with Peer() as peer, Tool("send", f"sip:desk@127.0.0.1:{peer.port}", "hot", "--sign", people.alice.path) as sender:
        request = peer.answer(200)
        assert sender.wait() == 0
    assert request.get(b"content-type") == b"application/pkcs7-mime;smime-type=signed-data"
    opened = smime.open_body(mime.SIGNED, request.body, None)
    cpim = parse_cpim(opened.body)
    assert opened.content_type == imdn.CPIM and opened.certificates == []
    assert cpim.unix() == parse_date(request.get(b"date")) is not None
    assert (cpim.address(b"From"), cpim.address(b"To")) == (ALICE.encode(), b"sip:desk@127.0.0.1")


def test_what_is_encrypted_shows_in_no_part_of_the_request(people: People) -> None:
    """R3428-11.1, R8591-3, R8591-5: subject and signer are inside, too"""
    options = ["--sign", people.alice.path, "--encrypt-to", people.desk.certificate_path, "--subject", "boiler room"]
    with Peer() as peer, Tool("send", f"sip:desk@127.0.0.1:{peer.port}", "very hot", *options) as sender:
        request = peer.answer(200)
        assert sender.wait() == 0
    assert request.get(b"content-type") == b"application/pkcs7-mime;smime-type=authEnveloped-data"
    for word in (b"hot", b"boiler", b"signed-data", b"text/plain"):
        assert word not in request.data
    opened = Reader([people.desk], []).open(mime.ENCRYPTED, request.body)
    cpim = parse_cpim(opened.body)
    assert (cpim.body, cpim.get(b"Subject")) == (b"very hot", b"boiler room")


def test_what_can_not_be_decrypted_gets_493(people: People, desk: Tool) -> None:
    """R8591-8: and the sender is told what that means"""
    for_mallory = ["--encrypt-to", people.mallory.certificate_path]
    assert send(desk, "hot", *for_mallory)[1]["status"] == 493
    with Tool("inbox", "--bind", "udp:127.0.0.1:0", "--db", ":memory:", "--smime-trust", people.alice.path) as keyless:
        code, line, _ = send(keyless, "hot", "--encrypt-to", people.desk.certificate_path)
        assert (code, line["status"], line["reason"]) == (4, 493, "Undecipherable")
    command = [sys.executable, "-m", "sipmote", "send", f"sip:desk@127.0.0.1:{port_of(desk)}", "hot", *for_mallory]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert "493 Undecipherable (the key there is not" in done.stderr and done.stderr.count("\n") == 1


def test_who_refuses_smime_gets_nothing_in_its_place(people: People) -> None:
    """R3428-11.1: what was to be hidden is not sent in clear"""
    for option in (["--encrypt-to", people.desk.certificate_path], ["--sign", people.alice.path, "--notify"]):
        with Peer() as peer, Tool("send", f"sip:desk@127.0.0.1:{peer.port}", "hot", *option) as sender:
            peer.answer(415, b"Accept: text/plain\r\n")
            assert sender.wait() == 4
            assert peer.silent()


def test_an_inbox_without_keys_refuses_the_type() -> None:
    with Tool("inbox", "--bind", "udp:127.0.0.1:0", "--db", ":memory:") as tool, Peer() as peer:
        assert peer.ask(port_of(tool), mime.SIGNED, b"0").status == 415


def test_a_signed_message_of_another_time_gets_400(people: People, desk: Tool) -> None:
    """R3428-11.7: minutes old or ahead; the date that counts is the signed one, whatever Date says"""
    with Peer(ALICE.encode()) as peer:
        for age_s, status in ((0, 200), (240, 200), (-240, 200), (400, 400), (-400, 400)):
            response = peer.ask(port_of(desk), mime.SIGNED, signed(people.alice, f"age {age_s}", age_s=age_s))
            assert response.status == status
            if status == 400:
                assert response.reason == b"Incorrect Date or Time"
        old = b"Date: Sat, 13 Nov 2010 23:29:00 GMT\r\n"
        response = peer.ask(port_of(desk), mime.SIGNED, signed(people.alice, "old Date"), old)
        assert (response.status, response.reason) == (400, b"Incorrect Date or Time")
        assert peer.ask(port_of(desk), b"text/plain", b"unsigned", old).status == 200


def test_a_known_store_may_bring_signed_messages_late(people: People) -> None:
    """R3428-11.9: they are marked"""
    with inbox(people, "--smime-store", "127.0.0.1") as tool, Peer(ALICE.encode()) as peer:
        assert peer.ask(port_of(tool), mime.SIGNED, signed(people.alice, age_s=4000)).status == 200
        line = tool.wait_for(event="message")
        assert (line["stale"], line["signature"]["state"]) == (True, "good")


def test_a_signature_that_is_not_good_is_marked(people: People, desk: Tool) -> None:
    """R8591-7, R8591-8: the message arrives, what is wrong is said"""
    cases = (
        ("changed", signed(people.alice, "chinged").replace(b"chinged", b"changed"), "bad"),
        ("other", signed(people.alice, "other", "sip:mallory@example.org"), "mismatch"),
        ("stranger", signed(people.mallory, "stranger"), "unknown"),
        ("carried", signed(people.mallory, "carried", carried=True), "untrusted"),
    )
    with Peer(ALICE.encode()) as peer:
        for text, body, state in cases:
            assert peer.ask(port_of(desk), mime.SIGNED, body).status == 200
            signature = desk.wait_for(event="message", body=text)["signature"]
            assert signature["state"] == state and signature["reason"]


def test_people_see_a_good_signature_where_no_sender_can_write(people: People) -> None:
    """R8591-7, R8591-8: before the name; what is wrong with another one stands behind it"""
    arguments = ["--smime-trust", people.alice.certificate_path, "--smime-key", people.desk.path, "--db", ":memory:"]
    running = Running("inbox", "--bind", "udp:127.0.0.1:0", *arguments)
    try:
        port = int(running.line().partition(b"udp:127.0.0.1:")[2].partition(b";")[0])
        hidden = Writer(people.alice, people.desk.certificate, False).protect(imdn.CPIM, dated("both"))
        with Peer(ALICE.encode()) as peer:
            for body, begin in (
                ((mime.SIGNED, signed(people.alice, "good")), f"signed {ALICE} good"),
                (hidden, f"signed encrypted {ALICE} both"),
                ((mime.SIGNED, signed(people.mallory, "who?")), f"{ALICE} [signature unknown: its certificate is"),
            ):
                assert peer.ask(port, *body).status == 200
                assert running.line().decode()[len("12:34:56 ") :].startswith(begin)
    finally:
        running.end()


def test_who_requires_signatures_takes_nothing_else(people: People) -> None:
    """R8591-8: by policy"""
    with inbox(people, "--require-signed") as tool, Peer(ALICE.encode()) as peer:
        port = port_of(tool)
        assert peer.ask(port, b"text/plain", b"unsigned").status == 403
        assert peer.ask(port, mime.SIGNED, signed(people.mallory)).status == 403
        assert peer.ask(port, imdn.XML, b"<imdn/>").status == 400
        hidden = Writer(None, people.desk.certificate, False).protect(b"text/plain", b"unsigned")
        assert peer.ask(port, *hidden).status == 493
        assert peer.ask(port, mime.SIGNED, signed(people.alice, "fine")).status == 200
        tool.wait_for(event="message", body="fine")
        assert tool.wait_for(event="dropped")["count"] == 4


def test_content_of_a_type_that_is_not_taken_is_refused_inside_too(people: People, desk: Tool) -> None:
    with Peer(ALICE.encode()) as peer:
        for writer, status in (
            (Writer(people.alice, None, False), 415),
            (Writer(None, people.desk.certificate, False), 493),
        ):
            assert peer.ask(port_of(desk), *writer.protect(b"image/png", b"\x89")).status == status
        assert peer.ask(port_of(desk), mime.SIGNED, b"\x30\x80" * 3000).status == 400
        assert peer.ask(port_of(desk), mime.MULTIPART, b"\r\n--").status == 400


def test_signer_and_worth_are_stored_and_a_replay_is_a_duplicate(people: People, tmp_path: Path) -> None:
    """R8591-8, R3428-11.7: within the minutes that a signature lasts, and in whosever request"""
    database = str(tmp_path / "inbox.db")
    body = signed(people.alice)
    hidden = Writer(people.alice, people.desk.certificate, False).protect(b"text/plain", b"undated")
    with inbox(people, database=database) as tool, Peer(ALICE.encode()) as peer, Peer(b"sip:eve@127.0.0.1") as eve:
        for who in (peer, eve):
            assert who.ask(port_of(tool), mime.SIGNED, body).status == 200
        assert peer.ask(port_of(tool), *hidden).status == 200
        tool.wait_for(event="message", body="undated")
        assert [line["duplicate"] for line in tool.lines if line["event"] == "message"] == [False, True, False]
    rows = sqlite3.connect(database).execute("SELECT encrypted, signature, signer, body FROM message").fetchall()
    assert rows == [(0, "good", ALICE, b"hot"), (1, "undated", ALICE, b"undated")]


def test_a_signature_survives_a_store_and_its_gateway(people: People, desk: Tool) -> None:
    """R3428-11.12: a relay passes the octets on, in a request of its own"""
    target = f"sip:desk@127.0.0.1:{port_of(desk)}"
    with Tool("inbox", "--bind", "udp:127.0.0.1:0", "--db", ":memory:", "--relay-to", target) as relay:
        code, line, _ = send(relay, "by way of a store", "--sign", people.alice.path)
        assert (code, line["status"]) == (3, 202)
        arrived = desk.wait_for(event="message", body="by way of a store")
        assert arrived["signature"] == {"state": "good", "signer": ALICE}
        assert arrived["cpim"]["from"] == ALICE and arrived["call_id"] == line["call_id"]


def test_no_notification_of_what_came_encrypted_goes_out_in_clear(people: People) -> None:
    with inbox(people, "--imdn") as tool, Peer(ALICE.encode()) as peer:
        asking = build_cpim(ALICE.encode(), b"sip:desk@127.0.0.1", b"hot", extra=imdn.ask(b"id-1"))
        hidden = Writer(None, people.desk.certificate, False).protect(imdn.CPIM, asking)
        assert peer.ask(port_of(tool), *hidden).status == 200
        assert peer.ask(port_of(tool), imdn.CPIM, asking.replace(b"id-1", b"id-2")).status == 200
        assert b"id-2" in peer.answer(200).body


# The budget


def test_the_budget_counts_all_that_stands_around_the_text(people: People) -> None:
    """R8591-9, R3428-11.5: no request is longer than 1300 octets, and the text that just fits fills it"""
    sign, certificate = ["--sign", people.alice.path], ["--with-certificate"]
    encrypt = ["--encrypt-to", people.desk.certificate_path]
    with Peer() as peer:
        uri = f"sip:desk@127.0.0.1:{peer.port}"
        for options in (sign, encrypt, sign + encrypt, sign + certificate, [*sign, "--expires", "60"]):
            with Tool("send", uri, "x" * 1300, *options) as sender:
                assert sender.wait() == 2
                over = int(sender.complaints[0].split(" over the budget")[0].rpartition(" is ")[2])
            with Tool("send", uri, "x" * (1300 - over), *options) as sender:
                request = peer.answer(200)
                assert sender.wait() == 0
            assert 1280 <= len(request.data) <= 1300


def test_a_long_text_is_split_and_each_part_signed(people: People, desk: Tool) -> None:
    options = ["--sign", people.alice.path, "--encrypt-to", people.desk.certificate_path, "--budget", "split"]
    code, line, _ = send(desk, "y" * 600, *options)
    assert (code, line["event"]) == (0, "delivered")
    parts = [line for line in desk.lines if line["event"] == "message" and line["body"].endswith("yy")]
    assert len(parts) == line["parts"] > 1
    assert {one["body"].partition("/")[2].partition(")")[0] for one in parts} == {str(len(parts))}  # cut once
    assert {one["signature"]["state"] for one in parts} == {"good"}


# What certificates are worth


def test_each_state_has_its_cause(people: People, tmp_path: Path) -> None:
    """R8591-7: the URI in the certificate is compared as a person, whatever its scheme"""
    alice = people.alice
    several = issue(tmp_path, "several", "https://example.org", "im:alice@EXAMPLE.org", "sip:bob@example.org")
    nameless = issue(tmp_path, "nameless")
    old = issue(tmp_path, "old", ALICE, days=(-9, -2))
    agreeing = issue(tmp_path, "agreeing", ALICE, extensions=[FOR_AGREEMENT])
    for signer, trusted, author, unix, state in (
        (alice, alice, ALICE, 1, GOOD),
        (alice, alice, "sips:alice@example.org:5061;transport=tcp", 1, GOOD),
        (several, several, ALICE, 1, GOOD),
        (several, several, "sip:bob@example.org", 1, GOOD),
        (alice, alice, ALICE, None, UNDATED),
        (alice, alice, "sip:alice@example.com", 1, MISMATCH),
        (several, several, "https://example.org", 1, MISMATCH),
        (nameless, nameless, ALICE, 1, MISMATCH),
        (old, old, ALICE, 1, UNTRUSTED),
        (agreeing, agreeing, ALICE, 1, UNTRUSTED),
        (alice, people.mallory, ALICE, 1, UNKNOWN),
    ):
        assert judged(signed(signer), trusted, author=author, unix=unix).state == state, (state, author)
    assert judged(signed(alice).replace(b"hot", b"hat"), alice).state == BAD
    assert judged(with_another_end(signed(alice)), alice).state == BAD


def test_an_authority_vouches_for_what_it_has_issued_and_nobody_else_does(people: People, tmp_path: Path) -> None:
    """R8591-7, R8591-9: chains, sent along or known"""
    authority = issue(tmp_path, "authority", extensions=[AUTHORITY])
    between = issue(tmp_path, "between", by=authority, extensions=[AUTHORITY])
    alice = issue(tmp_path, "issued", ALICE, by=authority)
    late = issue(tmp_path, "late", ALICE, by=authority, days=(-9, -2))
    below = issue(tmp_path, "below", ALICE, by=between)
    forged = issue(tmp_path, "forged", ALICE, by=people.mallory)
    by_a_person = issue(tmp_path, "by-a-person", ALICE, by=alice)
    person = issue(tmp_path, "person", "sip:bob@example.org", extensions=[AUTHORITY])  # as openssl req -x509 makes it
    by_that_person = issue(tmp_path, "by-that-person", ALICE, by=person)
    for signer, trusted, carried, state in (
        (alice, [authority], True, GOOD),
        (alice, [authority, alice], False, GOOD),
        (alice, [authority], False, UNKNOWN),
        (below, [authority, between], True, GOOD),
        (below, [authority], True, UNTRUSTED),
        (late, [authority], True, UNTRUSTED),
        (forged, [authority], True, UNTRUSTED),
        (by_a_person, [authority, alice], True, UNTRUSTED),
        (by_that_person, [person], True, UNTRUSTED),
    ):
        assert judged(signed(signer, carried=carried), *trusted).state == state, (signer.path, state)
    idle = issue(tmp_path, "idle", by=authority, extensions=[AUTHORITY, FOR_AGREEMENT])
    by_idle = issue(tmp_path, "by-idle", ALICE, by=idle)
    for signer, beside, state in ((below, between, GOOD), (by_idle, idle, UNTRUSTED), (by_a_person, alice, UNTRUSTED)):
        assert judged(signed(signer, carried=True), authority, beside=beside).state == state, (signer.path, state)


def test_certificates_of_strangers_that_make_no_sense_vouch_for_nothing(people: People) -> None:
    body = signed(people.alice, carried=True)
    der = people.alice.certificate.public_bytes(serialization.Encoding.DER)
    curve = der.index(bytes.fromhex("2a8648ce3d030107"))  # another one than there is
    version = der.index(bytes.fromhex("a003020102"))
    for at, octet in ((curve + 7, b"\x09"), (version + 4, b"\x07")):
        assert judged(body.replace(der, der[:at] + octet + der[at + 1 :])).state == UNKNOWN
    at = body.index(der)
    for number in range(0, len(der), 3):
        changed = body[: at + number] + bytes([body[at + number] ^ 0x55]) + body[at + number + 1 :]
        try:
            assert judged(changed).state in (UNKNOWN, UNTRUSTED, BAD)
        except ParseError:
            continue


# What a person is told


def test_wrong_files_and_options_are_named_in_one_line(people: People, capsys: pytest.CaptureFixture[str]) -> None:
    folder = people.folder
    (folder / "empty").write_text("")
    secret = people.alice.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    )
    (folder / "locked.pem").write_bytes(secret)
    (folder / "strange.pem").write_bytes(Path(people.desk.path).read_bytes().partition(b"-----BEGIN CERT")[0])
    with (folder / "strange.pem").open("ab") as file:
        file.write(Path(people.alice.certificate_path).read_bytes())
    nameless = issue(folder, "without-uri")
    old = issue(folder, "past", ALICE, days=(-9, -2))
    for_agreement = issue(folder, "for-agreement", ALICE, extensions=[FOR_AGREEMENT])
    for_servers = issue(
        folder, "for-servers", ALICE, extensions=[x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])]
    )
    rsa = issue(folder, "for-agreement-rsa", ALICE, extensions=[FOR_AGREEMENT], kind="rsa")
    for command, options, words in (
        ("send", ["--sign", "/nowhere/x.pem"], "--sign /nowhere/x.pem: No such file"),
        ("send", ["--sign", people.alice.certificate_path], "a private key in PEM was expected"),
        ("send", ["--sign", str(folder / "empty")], "a private key in PEM was expected"),
        ("send", ["--sign", str(folder / "locked.pem")], "the key has a password"),
        ("send", ["--sign", str(folder / "strange.pem")], "no certificate in it belongs to its key"),
        ("send", ["--sign", nameless.path], "names no SIP URI"),
        ("send", ["--sign", people.alice.path, "--from", "sip:bob@example.org"], f"is for {ALICE}"),
        ("send", ["--encrypt-to", str(folder / "empty")], "a certificate in PEM was expected"),
        ("send", ["--encrypt-to", old.certificate_path], "expired at"),
        ("send", ["--sign", for_agreement.path], "is not for signing mail"),
        ("send", ["--sign", for_servers.path], "is not for signing mail"),
        ("send", ["--encrypt-to", rsa.certificate_path], "is not for encrypted mail"),
        ("send", ["--encrypt-to", for_servers.certificate_path], "is not for encrypted mail"),
        ("send", ["--with-certificate"], "Add --sign FILE"),
        ("inbox", ["--smime-key", people.alice.certificate_path], "--smime-key"),
        ("inbox", ["--smime-trust", str(folder / "empty")], "--smime-trust"),
        ("inbox", ["--require-signed"], "Add --smime-trust FILE"),
        ("inbox", ["--require-authenticated"], "add --smime-key FILE"),
        ("inbox", ["--smime-store", "relay.example.org"], "an IP address was expected"),
        ("inbox", ["--relay-to", "sip:x@127.0.0.1", "--smime-key", people.desk.path], "--relay-to passes messages on"),
    ):
        where = (
            ["sip:desk@127.0.0.1", "hot"] if command == "send" else ["--bind", "udp:127.0.0.1:0", "--db", ":memory:"]
        )
        assert main([command, *where, *options]) == 1, options
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and words in said, said
