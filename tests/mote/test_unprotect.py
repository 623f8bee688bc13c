"""R8591-2, R3428-11.1: commands that come signed, encrypted or both, opened by a virtual board's own arithmetic."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7Options, PKCS7SignatureBuilder

from sipmote.agent.cms.mime import entity
from sipmote.agent.cpim.imdn_reply import build_notification
from sipmote.agent.cpim.reader import parse_cpim
from sipmote.agent.cpim.writer import build_cpim
from sipmote.smime.keys import Identity
from sipmote.smime.writer import Writer
from tests.host_tools.virtual import started
from tests.mote.board_keys import NAME, SHARED, Person, person, with_a_name_in_front, write_keys
from tests.sip_peer import Peer
from tests.tools import Tool

BOARD = b"sip:boiler@127.0.0.1"
DESK = b"sip:desk@127.0.0.1"
CPIM = b"message/cpim"
PROGRAM = """
from mote import Mote

mote = Mote()
runs = 0


@mote.every(3600)
def begin():
    mote.alert("begun")


@mote.command("count")
def count(message):
    global runs
    runs += 1
    return "%d by %s" % (runs, message.user)


mote.run()
"""
board_key = person(BOARD.decode())
desk_key = person(DESK.decode())
eve_key = person("sip:eve@127.0.0.1")


def inside(text: bytes = b"count", ahead: int = 0, sender: bytes = DESK, to: bytes = BOARD, **more: Any) -> bytes:
    """Return a message/cpim with a command, dated so many seconds ahead."""
    return build_cpim(sender, to, text, unix=int(time.time()) + ahead, **more)


def protect(how: str, body: bytes, signer: Person = desk_key, kind: bytes = CPIM) -> tuple[bytes, bytes]:
    """Return content type and body, protected as the setting protect names it."""
    if how == "shared":
        return Writer(None, (NAME, SHARED), False).protect(kind, body)
    identity = Identity(signer.key, signer.certificate) if "sign" in how else None
    return Writer(identity, board_key.certificate if "encrypt" in how else None, False).protect(kind, body)


class Bench:
    """A virtual board that has keys, and a desk that commands it."""

    def __init__(self, desk: Peer, monitor: Tool) -> None:
        self.desk = desk
        self.monitor = monitor
        self.begun = desk.answer(200)
        assert b"begun" in self.begun.body
        self.port = desk.from_port

    def status(self, content_type: bytes, body: bytes) -> int:
        return self.desk.ask(self.port, content_type, body, to=BOARD).status

    def runs(self, content_type: bytes, body: bytes) -> str:
        """Send a command that is taken; returns the answer to it."""
        assert self.status(content_type, body) == 200, self.monitor.transcript()
        return self.desk.answer(200).body.decode()

    def ignored(self, reason: str) -> None:
        """Wait for the record of a message that was ignored for a reason that begins so."""
        self.monitor.wait_for(name="message_ignored", fields=lambda fields: fields["reason"].startswith(reason))


@contextmanager
def bench(
    folder: Path,
    heap: str = "128k",
    known: Sequence[dict[str, Any]] = (),
    options: Sequence[str] = (),
    program: str = PROGRAM,
    **settings: Any,
) -> Iterator[Bench]:
    """Start a board. known: more of mote.keys.peers(). options: of `sipmote board start`."""
    write_keys(folder / "flash", board_key, desk_key, shared="sip:desk@127.0.0.1", more=known)
    with Peer(DESK) as desk:
        config = {"aor": BOARD.decode(), "to": f"{DESK.decode()}:{desk.port};transport=udp", "bind": "127.0.0.1:0"}
        with started(folder / "flash", program, {**config, **settings}, heap, *options) as (_, monitor):
            yield Bench(desk, monitor)


@pytest.mark.parametrize(("bits", "heap"), [("32", "192k"), ("64", "384k")])
def test_a_command_in_each_form_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bits: str, heap: str) -> None:
    """R8591-2, R8591-5: by its own arithmetic, on both widths"""
    monkeypatch.setenv("VIRTUAL", bits)
    with bench(tmp_path, heap, protect="sign") as board:
        for number, how in enumerate(("sign", "sign+encrypt", "shared"), 1):
            assert board.status(*protect(how, inside(ahead=number))) == 200, how
            reply = board.desk.answer(200)  # signed, too
            assert b"%d by sip:desk@127.0.0.1" % number in reply.body and b"pkcs7-mime" in reply.data, how


def test_what_is_signed_runs_once_whatever_stands_around_it(tmp_path: Path) -> None:
    """R3428-11.7, R0-P12: sent again under another Call-ID, and encrypted anew"""
    with bench(tmp_path, require="signed") as board:
        signed = protect("sign", inside())
        assert board.runs(*signed) == "1 by sip:desk@127.0.0.1"
        assert board.status(*signed) == 200
        again = Writer(None, board_key.certificate, False).protect(*signed)
        assert board.status(*again) == 200
        assert board.runs(*protect("sign", inside(ahead=1))) == "2 by sip:desk@127.0.0.1"
        assert board.status(*protect("sign", inside(ahead=-3))) == 400  # older than what was taken
        board.ignored("Incorrect Date or Time")


@pytest.mark.parametrize(
    ("status", "how", "signer", "words", "content"),
    [
        (403, "sign", eve_key, "unknown signer", {}),
        (493, "sign+encrypt", eve_key, "unknown signer", {}),
        (403, "sign", desk_key, "it is from", {"sender": b"sip:eve@127.0.0.1"}),
        (403, "sign", desk_key, "it is to", {"to": b"sip:kettle@127.0.0.1"}),
        (493, "shared", desk_key, "a command must be signed", {}),
        (400, "sign", desk_key, "Incorrect Date or Time", {"ahead": -900}),
        (400, "sign", desk_key, "Incorrect Date or Time", {"ahead": 900}),
    ],
)
def test_what_may_not_command_is_refused_and_told(
    tmp_path: Path, status: int, how: str, signer: Person, words: str, content: dict[str, Any]
) -> None:
    """R3428-11.7, R8591-7, R8591-8"""
    with bench(tmp_path, require="signed") as board:
        assert board.status(*protect(how, inside(**content), signer)) == status
        board.ignored(words)
        assert board.runs(*protect("sign", inside(ahead=5))) == "1 by sip:desk@127.0.0.1"


def test_a_command_in_clear_is_refused_where_it_has_to_be_signed(tmp_path: Path) -> None:
    with bench(tmp_path, require="signed") as board:
        assert board.status(b"text/plain", b"count") == 403
        board.ignored("a command must be signed")


def test_commanders_sign_or_show_a_password(tmp_path: Path) -> None:
    """R8591-7, R3261-8.2-2: who signs is asked for none, and who only encrypts has to show his"""
    with bench(tmp_path, "384k", commanders={"desk": "0" * 64}, protect="sign", allow=[]) as board:
        assert board.status(b"text/plain", b"count") == 401
        assert board.status(*protect("sign", inside())) == 200
        assert b"1 by sip:desk@127.0.0.1" in board.desk.answer(200).body
        assert board.status(*protect("encrypt", inside(ahead=1))) == 493
        board.ignored("a signature or a password was expected")
        assert board.status(*protect("sign", inside(ahead=2, sender=b"sip:eve@127.0.0.1"), eve_key)) == 403


def test_who_signs_and_may_not_command_still_tells_what_became_of_an_alert(tmp_path: Path) -> None:
    """R8591-7: a notification is no command"""
    with bench(tmp_path, "384k", require="signed", notify=600, allow=[]) as board:
        asked = parse_cpim(board.begun.body)
        told = build_notification(asked, b"delivered", DESK, BOARD, b"own", int(time.time()))
        assert board.status(*protect("sign", told)) == 200
        board.monitor.wait_for(name="notification")
        assert board.status(*protect("sign", inside(ahead=1))) == 403


def test_an_algorithm_that_a_board_can_not_check_is_named(tmp_path: Path) -> None:
    """R8591-7: nobody has changed anything"""
    builder = (
        PKCS7SignatureBuilder()
        .set_data(entity(CPIM, inside()))
        .add_signer(desk_key.certificate, desk_key.key, hashes.SHA384())
    )
    signed = builder.sign(Encoding.DER, [PKCS7Options.Binary, PKCS7Options.NoCerts])
    with bench(tmp_path, require="signed") as board:
        assert board.status(b"application/pkcs7-mime", signed) == 403
        board.ignored("sip:desk@127.0.0.1 signs with an algorithm")


def test_a_changed_octet_runs_nothing(tmp_path: Path) -> None:
    """R0-P12: whatever is wrong inside has one answer"""
    with bench(tmp_path, require="signed+encrypted") as board:
        content_type, body = protect("sign+encrypt", inside())
        for at in (-1, -20, len(body) // 2):
            changed = bytearray(body)
            changed[at] ^= 1
            assert board.status(content_type, bytes(changed)) in (493, 480)
        assert board.runs(*protect("sign+encrypt", inside(ahead=1))) == "1 by sip:desk@127.0.0.1"


def borrowed(content: bytes) -> tuple[bytes, bytes]:
    """Return content encrypted by somebody who knows the name of a shared key, but not the key."""
    content_type, body = Writer(None, board_key.certificate, False).protect(CPIM, content)
    return content_type, with_a_name_in_front(body, NAME)


def test_a_shared_key_counts_only_where_it_opens_the_message(tmp_path: Path) -> None:
    """R8591-7: its name travels in clear, so anybody can write it in front of a key of his own"""
    with bench(tmp_path, require="shared") as board:
        assert board.status(*borrowed(inside())) == 493
        board.ignored("a command must be shared")
        assert board.runs(*protect("shared", inside(ahead=1))) == "1 by sip:desk@127.0.0.1"


def test_nobody_is_named_by_a_shared_key_that_he_only_names(tmp_path: Path) -> None:
    """R8591-7: it is taken as if it were in clear, where no setting asks for more"""
    with bench(tmp_path, protect="sign") as board:
        assert board.status(*borrowed(inside())) == 200
        assert b"1 by None" in board.desk.answer(200).body
