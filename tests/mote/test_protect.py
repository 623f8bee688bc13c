"""R3428-11.1, R3428-11.2, R3428-11.4, R3428-11.6: what a board sends signed and encrypted, opened by others."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sipmote.agent.cms.smime import Opened
from sipmote.agent.cpim.reader import Cpim, parse_cpim
from sipmote.agent.message import Message
from sipmote.board.protecting import room
from sipmote.smime.keys import Identity
from sipmote.smime.reader import Reader, Verdict
from tests.host_tools.virtual import started, virtual_board
from tests.mote.board_keys import NAME, SHARED, person, write_keys
from tests.sip_peer import Peer
from tests.tools import Tool

BOARD, DESK = "sip:boiler@127.0.0.1", "sip:desk@127.0.0.1"
PROGRAM = """
from mote import Mote
mote = Mote()
@mote.every(3600)
async def boiler():
    for text, more in %r:
        try:
            print("alert:", await mote.alert(text, **more))
        except Exception as error:
            print("raised:", error)
@mote.command("ping")
def ping(message):
    return "pong" * len(message.words)
mote.run()
"""


@contextmanager
def board(
    folder: Path, peer: Peer, *texts: Any, known: bool = True, own: bool = True, **settings: Any
) -> Iterator[Tool]:
    """A virtual board with keys that sends these texts, or pairs of a text and its options; its monitor."""
    config = config_of(peer.port, **{"outbox": False, **settings})
    peers = [person(DESK)] if known else []
    write_keys(folder / "flash", person(BOARD) if own else None, *peers, shared=DESK if known else None)
    pairs = [(text, {}) if isinstance(text, str) else text for text in texts]
    with started(folder / "flash", PROGRAM % (pairs,), config, "192k") as (_, monitor):
        yield monitor


def config_of(port: int, **settings: Any) -> dict[str, Any]:
    return {"aor": BOARD, "to": f"{DESK}:{port}", "bind": "127.0.0.1:0", **settings}


def openssl(folder: Path, *arguments: str, body: bytes) -> bytes:
    """Give a body to `openssl cms`; returns what it prints."""
    (folder / "body").write_bytes(body)
    command = ["openssl", "cms", *arguments, "-inform", "DER", "-in", str(folder / "body"), "-binary"]
    done = subprocess.run(command, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def verifies(folder: Path) -> tuple[str, ...]:
    """Return how `openssl cms` is told to believe the board."""
    _, trusted = person(BOARD).save(folder)
    return "-verify", "-certfile", str(trusted), "-CAfile", str(trusted), "-purpose", "any"


def content(entity: bytes) -> bytes:
    return entity.partition(b"\r\n\r\n")[2]


def read(request: Message) -> tuple[Cpim, Opened, Verdict | None]:
    """Open a request as the inbox does, with the key of the desk; returns also what is said of its signature."""
    desk = person(DESK)
    reader = Reader([Identity(desk.key, desk.certificate)], [person(BOARD).certificate])
    opened = reader.open(request.get(b"content-type") or b"", request.body)
    cpim = parse_cpim(opened.body)
    return cpim, opened, reader.judge(opened, BOARD, cpim.unix())


def test_an_alert_is_signed_and_encrypted_for_openssl_and_for_our_inbox(tmp_path: Path) -> None:
    with Peer() as peer, board(tmp_path, peer, "Boiler at 85 C", protect="sign+encrypt") as monitor:
        request = peer.answer(200)
        monitor.wait_for(event="console", text="alert: delivered")
    desk, _ = person(DESK).save(tmp_path)
    assert request.get(b"content-type") == b"application/pkcs7-mime;smime-type=authEnveloped-data"
    signed = openssl(tmp_path, "-decrypt", "-inkey", str(desk), "-recip", str(desk), body=request.body)
    assert signed.startswith(b"Content-Type: application/pkcs7-mime;smime-type=signed-data\r\n")
    cpim = parse_cpim(content(openssl(tmp_path, *verifies(tmp_path), body=content(signed))))
    assert (cpim.body, cpim.address(b"From"), cpim.address(b"To")) == (b"Boiler at 85 C", BOARD.encode(), DESK.encode())
    assert request.get(b"date") is not None
    cpim, opened, verdict = read(request)
    assert (cpim.body, opened.encrypted, opened.authenticated) == (b"Boiler at 85 C", True, True)
    assert verdict is not None and (verdict.state, verdict.signer) == ("good", BOARD)


def test_an_alert_may_be_signed_alone_or_encrypted_alone(tmp_path: Path) -> None:
    with Peer() as peer, board(tmp_path / "signed", peer, "hot", protect="sign", known=False):
        request = peer.answer(200)
    cpim, opened, verdict = read(request)
    assert request.get(b"content-type") == b"application/pkcs7-mime;smime-type=signed-data"
    assert verdict is not None and (cpim.body, opened.encrypted, verdict.state) == (b"hot", False, "good")
    assert parse_cpim(content(openssl(tmp_path, *verifies(tmp_path), body=request.body))).body == b"hot"
    with Peer() as peer, board(tmp_path / "encrypted", peer, "hot", protect="encrypt", own=False):
        request = peer.answer(200)
    cpim, opened, verdict = read(request)
    assert (cpim.body, opened.authenticated, verdict) == (b"hot", True, None)
    desk, _ = person(DESK).save(tmp_path)
    decrypts = ("-decrypt", "-inkey", str(desk), "-recip", str(desk))
    assert parse_cpim(content(openssl(tmp_path, *decrypts, body=request.body))).body == b"hot"


def test_a_key_that_was_shared_before_is_enough(tmp_path: Path) -> None:
    with Peer() as peer, board(tmp_path, peer, "hot", protect="shared", own=False):
        request = peer.answer(200)
    secret = ("-decrypt", "-secretkey", SHARED.hex(), "-secretkeyid", NAME.hex())
    assert parse_cpim(content(openssl(tmp_path, *secret, body=request.body))).body == b"hot"


def test_our_inbox_tells_who_has_signed(tmp_path: Path) -> None:
    key, _ = person(DESK).save(tmp_path)
    _, trusted = person(BOARD).save(tmp_path)
    with Tool(
        "inbox",
        "--json",
        "--bind",
        "udp:127.0.0.1:0",
        "--db",
        ":memory:",
        "--smime-key",
        str(key),
        "--smime-trust",
        str(trusted),
    ) as inbox:
        port = inbox.wait_for(event="ready")["bind"][0].rpartition(":")[2]
        keys = person(BOARD), person(DESK)
        write_keys(tmp_path / "flash", *keys)
        config = {"aor": BOARD, "to": f"{DESK}:{port}", "bind": "127.0.0.1:0", "protect": "sign+encrypt"}
        with started(tmp_path / "flash", PROGRAM % ([("hot", {})],), config, "192k"):
            line = inbox.wait_for(event="message", body="hot")
    assert (line["signature"], line["encrypted"]) == ({"state": "good", "signer": BOARD}, True)


def test_the_first_signed_message_that_is_taken_shows_the_certificate(tmp_path: Path) -> None:
    """R8591-7: who has it gets it no more, after a restart neither; where it doesn't fit it waits for a shorter text"""
    texts = "x" * 300, "refused", "taken", "later"
    with Peer() as peer:
        with board(tmp_path, peer, *texts, protect="sign"):
            shown = [person(BOARD).der in peer.answer(status).body for status in (200, 603, 200, 200)]
        assert shown == [False, True, True, False]
        with virtual_board(tmp_path / "flash", "192k"):
            assert [person(BOARD).der in peer.answer(200).body for _ in texts] == [False] * 4


def test_each_attempt_and_each_repetition_has_the_same_octets(tmp_path: Path) -> None:
    with Peer() as peer, board(tmp_path, peer, "hot", protect="sign+encrypt"):
        first, _ = peer.receive()
        again = peer.answer(503)
        following = peer.answer(200)
    assert again.data == first.data
    assert (following.get(b"call-id"), following.body) == (first.get(b"call-id"), first.body)
    assert following.get(b"cseq") != first.get(b"cseq") or following.data != first.data


def test_what_was_signed_before_a_power_cut_is_signed_again(tmp_path: Path) -> None:
    """The receiver knows it by the digest of what is signed: what is encrypted differs"""
    settings = {"protect": "sign+encrypt", "outbox": True}
    with Peer() as peer:
        with board(tmp_path, peer, "hot", **settings):
            first = peer.answer(100)
        with virtual_board(tmp_path / "flash", "192k"):  # where it was raised once more, as another alert
            second = peer.answer(200)
    one, other = read(first)[2], read(second)[2]
    assert one is not None and other is not None
    assert (one.state, one.digest, second.get(b"call-id")) == ("good", other.digest, first.get(b"call-id"))


def test_what_asks_for_a_notification_asks_inside(tmp_path: Path) -> None:
    with Peer() as peer, board(tmp_path, peer, "hot", protect="encrypt", notify=60, outbox=True) as monitor:
        request = peer.answer(200)
        monitor.wait_for(event="console", text="alert: delivered")
    cpim = read(request)[0]
    assert cpim.body == b"hot"
    assert b"imdn.Disposition-Notification" in read(request)[1].body


def test_who_has_no_key_gets_nothing_and_the_log_says_what_to_do(tmp_path: Path) -> None:
    with Peer() as peer, board(tmp_path, peer, "hot", protect="sign+encrypt", known=False) as monitor:
        fields = monitor.wait_for(event="log", name="not_protected", level="error")["fields"]
        assert fields["to"] == f"{DESK}:{peer.port}"
        assert "sipmote keys trust FILE, then sipmote provision --protect sign+encrypt" in fields["reason"]
        monitor.wait_for(event="console", text="alert: refused")
        assert peer.silent()


def test_who_has_no_key_gets_it_in_clear_where_that_is_allowed(tmp_path: Path) -> None:
    with Peer() as peer, board(tmp_path, peer, "hot", protect="encrypt", known=False, clear=True) as monitor:
        assert peer.answer(200).body == b"hot"
        fields = monitor.wait_for(event="log", name="sent_in_clear", level="warning")["fields"]
        assert fields == {"to": f"{DESK}:{peer.port}"}


def test_a_board_without_a_key_of_its_own_says_so(tmp_path: Path) -> None:
    """Also one that had a key, and has shown its certificate"""
    (tmp_path / "flash" / "smime").mkdir(parents=True)
    (tmp_path / "flash" / "smime" / "shown").write_text("80 sip:other@127.0.0.1\n")
    with Peer() as peer, board(tmp_path, peer, "hot", protect="sign", own=False) as monitor:
        fields = monitor.wait_for(event="log", name="not_protected")["fields"]
        assert "no key of its own" in fields["reason"]


def test_who_refuses_what_is_protected_gets_it_in_clear_where_that_is_allowed(tmp_path: Path) -> None:
    texts = "hot", "hotter"
    with Peer() as peer, board(tmp_path, peer, *texts, protect="encrypt", clear=True, outbox=True) as monitor:
        peer.answer(415)
        request = peer.answer(200)
        assert (request.get(b"content-type"), request.body) == (b"text/plain", b"hot")
        monitor.wait_for(event="log", name="sent_in_clear")
        assert peer.answer(200).body == b"hotter"  # without a protected one before it
        monitor.wait_for(event="log", name="sent_in_clear")


def test_who_refuses_what_is_protected_gets_nothing_otherwise(tmp_path: Path) -> None:
    with Peer() as peer, board(tmp_path, peer, "hot", protect="encrypt", outbox=True) as monitor:
        peer.answer(493)
        fields = monitor.wait_for(event="log", name="not_protected")["fields"]
        assert fields["reason"].startswith("493") and "sipmote provision --protect encrypt" in fields["reason"]
        monitor.wait_for(event="console", text="alert: refused")
        assert peer.silent()


@pytest.mark.parametrize("flip", [lambda octet: 0, lambda octet: octet ^ 1])
def test_a_damaged_table_signs_nothing_and_is_told(tmp_path: Path, flip: Callable[[int], int]) -> None:
    """R8591-7: a wrong signature beside a right one of the same would tell the key; all zeros, and off the curve"""
    write_keys(tmp_path / "flash", person(BOARD))
    path = tmp_path / "flash/smime/g"
    path.write_bytes(bytes(map(flip, path.read_bytes())))
    with Peer() as peer:
        config = config_of(peer.port, protect="sign", outbox=False)
        with started(tmp_path / "flash", PROGRAM % ([("hot", {})],), config, "192k") as (_, monitor):
            fields = monitor.wait_for(event="log", name="not_protected")["fields"]
            assert fields["reason"] == "a table in /smime is damaged: run sipmote provision --protect again"
            assert peer.silent()


def test_a_text_that_does_not_fit_names_the_setting_with_which_it_would(tmp_path: Path) -> None:
    with Peer() as peer, board(tmp_path, peer, "x" * 500, protect="sign+encrypt") as monitor:
        line = monitor.wait_for(event="console", text=lambda text: text.startswith("raised: "))["text"]
        assert line.startswith("raised: the text of 500 octets is ")
        assert "protect=sign+encrypt takes room" in line and "octets more with shared" in line


def test_a_short_text_that_leaves_no_room_for_a_password_names_the_setting(tmp_path: Path) -> None:
    """The answer to a challenge has to fit, too"""
    settings = {"protect": "sign+encrypt", "password": "wonder", "budget": "refuse"}
    with Peer() as peer, board(tmp_path, peer, "x" * 80, **settings) as monitor:
        line = monitor.wait_for(event="console", text=lambda text: text.startswith("raised: "))["text"]
        assert "over its budget of 1300; protect=sign+encrypt takes room" in line


def test_a_long_text_is_cut_to_what_fits_protected(tmp_path: Path) -> None:
    with Peer() as peer, board(tmp_path, peer, "x" * 800, protect="sign+encrypt", budget="truncate"):
        request = peer.answer(200)
    text = read(request)[0].body
    assert 1285 <= len(request.data) <= 1300 and text.startswith(b"xxx")
    config = {"aor": BOARD, "to": f"{DESK}:{peer.port}"}  # provision tells how much fits, with the longest address
    told = room(config, "sign+encrypt", person(BOARD).certificate, [(config["to"], person(DESK).certificate)])
    assert len(text) - 20 <= told <= len(text)


def test_an_answer_to_a_command_is_protected_too(tmp_path: Path) -> None:
    with Peer(DESK.encode()) as peer, board(tmp_path, peer, "hot", protect="sign+encrypt", allow=[DESK]) as monitor:
        peer.answer(200)
        assert peer.ask(peer.from_port, b"text/plain", b"ping", to=BOARD.encode()).status == 200
        request = peer.answer(200)
        assert (read(request)[0].body, read(request)[1].encrypted) == (b"pong", True)
        monitor.wait_for(event="log", name="command")
        assert peer.ask(peer.from_port, b"text/plain", b"ping" + b" on" * 200, to=BOARD.encode()).status == 200
        told = read(peer.answer(200))[0].body  # without the settings that leave more room: that wouldn't fit
        assert told.startswith(b"failed: the text of 804 octets is ") and told.endswith(b"split or truncate")
        monitor.wait_for(name="reply_failed", fields=lambda fields: "octets more with shared" in fields["error"])


def test_a_firmware_that_can_not_encrypt_is_told_of(tmp_path: Path) -> None:
    lacking = "import sys\nsys.modules['cryptolib'] = type('Nothing', (), {})()\n"
    with Peer() as peer:
        write_keys(tmp_path / "flash", person(BOARD), person(DESK))
        config = config_of(peer.port, protect="sign+encrypt", outbox=False)
        with started(tmp_path / "flash", lacking + PROGRAM % ([("hot", {})],), config, "192k") as (_, monitor):
            fields = monitor.wait_for(event="log", name="not_protected")["fields"]
            assert "cryptolib" in fields["reason"] and "protect=sign" in fields["reason"]


def test_a_board_that_knows_no_time_signs_without_one(tmp_path: Path) -> None:
    write_keys(tmp_path / "flash", person(BOARD), person(DESK))
    with Peer() as peer:
        config = config_of(peer.port, protect="sign+encrypt", outbox=False)
        with started(tmp_path / "flash", PROGRAM % ([("hot", {})],), config, "192k", "--no-clock"):
            request = peer.answer(200)
    verdict = read(request)[2]
    assert verdict is not None and (verdict.state, request.get(b"date")) == ("undated", None)
