"""R8591-7: keys of AES that two share (KEKRecipientInfo), and what they say of who has written a message."""

import pytest

from sipmote.agent.cpim.writer import build_cpim
from sipmote.agent.errors import ParseError
from sipmote.smime.keys import Identity
from sipmote.smime.reader import Reader
from sipmote.smime.writer import Writer
from tests.mote.board_keys import person, with_a_name_in_front

_BOARD, _DESK = "sip:boiler@example.org", "sip:desk@example.org"
_NAME, _KEY = b"\x01\x02\x03\x04", bytes(range(16))


def _reader(keys: dict[bytes, bytes]) -> Reader:
    return Reader([], [], lambda name: (_BOARD, keys[name]) if name in keys else None)


def test_who_shares_a_key_reads_what_was_encrypted_with_it():
    opened = _reader({_NAME: _KEY}).open(*Writer(None, (_NAME, _KEY), False).protect(b"text/plain", b"water at 3 m"))
    assert opened.encrypted and opened.authenticated and not opened.signatures
    assert opened.body == b"water at 3 m"


@pytest.mark.parametrize("keys", [{}, {_NAME: bytes(16)}, {b"other": _KEY}])
def test_all_others_get_the_same_493(keys):
    with pytest.raises(ParseError) as refused:
        _reader(keys).open(*Writer(None, (_NAME, _KEY), False).protect(b"text/plain", b"water"))
    assert refused.value.status == 493


def test_each_changed_octet_and_each_cut_of_the_envelope_is_refused_or_changes_nothing():
    kind, body = Writer(None, (_NAME, _KEY), False).protect(b"text/plain", b"water")
    reader = _reader({_NAME: _KEY})
    changed = [body[:at] + bytes((body[at] ^ 1,)) + body[at + 1 :] for at in range(len(body))]
    for one in [*changed, *(body[:at] for at in range(len(body)))]:
        try:
            assert reader.open(kind, one).body == b"water"
        except ParseError as error:
            assert error.status in (400, 415, 493)


def _judged(content_type: bytes, body: bytes, author: str = _BOARD, unix: int | None = 1):
    reader = _reader({_NAME: _KEY})
    return reader.judge(reader.open(content_type, body), author, unix)


def _cpim(text: bytes = b"water", sender: str = _BOARD) -> bytes:
    return build_cpim(sender.encode(), _DESK.encode(), text, unix=1)


def _shared(body: bytes, content_type: bytes = b"message/cpim") -> tuple[bytes, bytes]:
    return Writer(None, (_NAME, _KEY), False).protect(content_type, body)


def test_what_a_shared_key_has_opened_is_by_who_shares_it():
    verdict = _judged(*_shared(_cpim()))
    assert (verdict.state, verdict.signer, verdict.is_good) == ("shared", _BOARD, True)
    assert verdict.digest == _judged(*_shared(_cpim())).digest != _judged(*_shared(_cpim(b"fire"))).digest
    assert _judged(*_shared(_cpim()), unix=None).state == "undated"


def test_what_we_could_have_written_ourselves_says_nothing_of_its_author():
    """R0-P12: a message of ours to him that somebody sends back to us, in his name"""
    mirrored = _judged(*_shared(_cpim(sender=_DESK)), author=_DESK)
    assert (mirrored.state, mirrored.is_good, mirrored.digest) == ("mismatch", False, None)
    assert _judged(*_shared(b"water", b"text/plain")) is None


def test_a_shared_keys_name_alone_says_nothing():
    """R0-P12: it travels in clear; here it stands in front of a key that a stranger has made for our certificate"""
    desk = person(_DESK)
    body = Writer(None, desk.certificate, False).protect(b"message/cpim", _cpim())[1]
    reader = Reader([Identity(desk.key, desk.certificate)], [], lambda name: (_BOARD, _KEY))
    opened = reader.open(b"application/pkcs7-mime", with_a_name_in_front(body, _NAME))
    assert opened.encrypted and reader.judge(opened, _BOARD, 1) is None
