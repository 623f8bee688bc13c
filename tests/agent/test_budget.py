from agent.budget import POLICIES, fit
from agent.errors import UsageError
from tests.helpers import raises


def test_a_text_that_fits_stays_as_it_is():
    """R3428-8.2: with each policy, up to the last octet"""
    for policy in POLICIES:
        assert fit(b"", 10, policy) == [b""]
        assert fit(b"0123456789", 10, policy) == [b"0123456789"]


def test_refusing_says_by_how_much():
    """R3428-8.2: a text over the budget is not sent"""
    for policy in ("refuse", "compact"):
        text = str(raises(UsageError, fit, b"0123456789a", 10, policy))
        assert text.find("11 octets") >= 0 and text.find(" 1 over") >= 0


def test_truncating_keeps_the_beginning_and_marks_the_end():
    assert fit(b"0123456789a", 10, "truncate") == [b"0123456\xe2\x80\xa6"]
    assert fit(b"\xc3\xa4" * 6, 10, "truncate") == [b"\xc3\xa4" * 3 + b"\xe2\x80\xa6"]
    raises(UsageError, fit, b"0123", 3, "truncate")


def test_splitting_numbers_the_parts():
    assert fit(b"0123456789abcde", 14, "split") == [b"(1/2) 01234567", b"(2/2) 89abcde"]
    parts = fit(b"x" * 100, 14, "split")
    assert len(parts) == 17
    assert parts[0] == b"(1/17) xxxxxx" and parts[16] == b"(17/17) xxxx"


def text_of(parts):
    return b"".join([part[part.find(b") ") + 2 :] for part in parts])


def test_splitting_loses_nothing_and_cuts_no_character():
    """R3428-8.2: whatever the text and the room, the parts are in order, small enough and whole"""
    characters = (b"a", b"\xc3\xa4", b"\xe2\x82\xac", b"\xf0\x9f\x94\xa5", b" ", b"\n")
    for seed in range(1, 8):
        text = b"".join([characters[(i * i * seed + i) % 6] for i in range(40 * seed)])
        for room in (12, 13, 14, 15, 40, 100):
            if len(text) > 99 * (room - 8 - 3):
                continue
            parts = fit(text, room, "split")
            assert len(parts) == 1 or text_of(parts) == text
            for i in range(len(parts)):
                assert len(parts[i]) <= room
                assert len(parts) == 1 or parts[i].startswith(b"(%d/%d) " % (i + 1, len(parts)))
                parts[i].decode()  # each part is UTF-8


def test_octets_that_are_no_utf8_are_cut_anyhow():
    text = b"\x80" * 50
    assert text_of(fit(text, 20, "split")) == text
    assert len(fit(text, 20, "truncate")[0]) <= 20


def test_a_text_of_more_than_99_parts_is_refused():
    fit(b"x" * (99 * 12), 20, "split")
    raises(UsageError, fit, b"x" * (99 * 12 + 1), 20, "split")
    raises(UsageError, fit, b"x" * 50, 8, "split")
