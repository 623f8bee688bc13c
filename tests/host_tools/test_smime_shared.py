"""Keys of AES that two hosts share (KEKRecipientInfo)."""

import pytest

from sipmote.agent.errors import ParseError
from sipmote.smime.reader import Reader
from sipmote.smime.writer import Writer

_NAME, _KEY = b"\x01\x02\x03\x04", bytes(range(16))


def _reader(keys: dict[bytes, bytes]) -> Reader:
    return Reader([], [], keys.get)


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
