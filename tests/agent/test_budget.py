from agent.budget import POLICIES
from agent.cutting import fit
from agent.errors import UsageError
from agent.qualities import NTP
from tests.helpers import NOW, board, only, raises

DESK = b"sip:desk@example.org"


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


def test_splitting_cuts_at_a_blank_where_there_is_one():
    """R3428-8.2: behind the last one that a part has room for; a word that is longer than a part is cut"""
    for text, pieces in (
        (b"one two three four", [b"one two ", b"three ", b"four"]),
        (b"one twoo three four", [b"one twoo", b" three ", b"four"]),
        (b"a bcdefghijklmnopq", [b"a ", b"bcdefghi", b"jklmnopq"]),
        (b"one\ttwo\nthree four", [b"one\ttwo\n", b"three ", b"four"]),
        (b"abcdefghijklmnop", [b"abcdefgh", b"ijklmnop"]),
        (b"              xy", [b"        ", b"      xy"]),
    ):
        parts = [b"(%d/%d) %s" % (i + 1, len(pieces), pieces[i]) for i in range(len(pieces))]
        assert fit(text, 14, "split") == parts, text


def test_an_accent_stays_with_its_letter():
    """R3428-8.2: cut neither by split nor by truncate, unless nothing but accents is left"""
    text = b"xe\xcc\x81\xcc\xa7e\xcd\xaf" * 4
    for part in fit(text, 14, "split"):
        assert part[part.find(b") ") + 2 :][:1] in b"xe"
    assert text_of(fit(text, 14, "split")) == text
    assert fit(b"abe\xcc\x81fgh", 7, "truncate") == [b"ab\xe2\x80\xa6"]
    assert fit(b"abe\xcd\xb0fgh", 7, "truncate") == [b"abe\xe2\x80\xa6"]  # a letter of its own
    assert text_of(fit(b"\xcc\x81" * 20, 14, "split")) == b"\xcc\x81" * 20


def test_what_belongs_together_can_be_told():
    """R3428-8.2: by who knows all scripts: here, b belongs to what stands before it"""

    def joins(body, at):
        return body[at : at + 1] == b"b"

    parts = fit(b"abcabcabcabcabcabcab", 14, "split", joins)
    assert [part[6:] for part in parts] == [b"abcabcab", b"cabcabc", b"abcab"]
    assert fit(b"abcabc abcab", 10, "truncate", joins) == [b"abcabc \xe2\x80\xa6"]
    assert fit(b"abcab", 4, "truncate", joins) == [b"a\xe2\x80\xa6"]


def test_octets_that_are_no_utf8_are_cut_anyhow():
    text = b"\x80" * 50
    assert text_of(fit(text, 20, "split")) == text
    assert len(fit(text, 20, "truncate")[0]) <= 20


def test_a_text_of_more_than_99_parts_is_refused():
    fit(b"x" * (99 * 12), 20, "split")
    raises(UsageError, fit, b"x" * (99 * 12 + 1), 20, "split")
    raises(UsageError, fit, b"x" * 50, 8, "split")


def test_the_numbers_of_the_parts_have_room_whatever_their_digits():
    """R3428-8.2: nine parts and ten; a part has room for any character"""
    for size in range(60, 100):
        parts = fit(b"x" * size, 14, "split")
        assert max([len(part) for part in parts]) <= 14
        assert text_of(parts) == b"x" * size
        assert parts[0].startswith(b"(1/%d) " % len(parts))
    assert len(fit(b"x" * 72, 14, "split")) == 9
    assert len(fit(b"x" * 73, 14, "split")) == 13
    raises(UsageError, fit, b"x" * 20, 9, "split")
    assert len(fit(b"x" * 20, 10, "split")) == 5


def room(compact, around=0, subject=None):
    """Return the octets that a text may have in a request of 1300, beside so many put around it."""
    message = only(board().send(b"0" * 20, DESK, b"x" * 100, NOW, compact=compact, subject=subject)).data
    octets = 1300 + 100 - len(message)
    return octets - (octets > 999) - around  # the fourth digit of Content-Length


def test_a_text_that_has_room_leaves_the_names_long():
    """R3428-8.2: whatever the policy, to the last octet"""
    for policy in POLICIES:
        for size in (0, 1, room(False)):
            assert board().fit(DESK, b"x" * size, policy) == ([b"x" * size], False)
    assert len(only(board().send(b"0" * 20, DESK, b"x" * room(False), NOW)).data) == 1300


def test_a_subject_takes_its_room():
    """R3428-8.2: to the last octet, where Content-Length has three digits, too"""
    for size in range(1, 200, 7):
        text = b"x" * room(False, 0, b"s" * size)
        assert board().fit(DESK, text, "refuse", subject=b"s" * size) == ([text], False)
        raises(UsageError, lambda text=text, size=size: board().fit(DESK, text + b"x", "refuse", subject=b"s" * size))


def test_what_may_still_come_has_its_room():
    """R3428-8.2: a Date that becomes known, the answer to a challenge: what fits is sent, one octet more is not"""
    for expires, credentials in ((60, ()), (None, ((b"", b"boiler", b"secret"),)), (60, ((b"", b"b", b"s"),))):
        ua = board()
        if credentials:
            ua.uac.settings["credentials"] = credentials
        bodies, compact = ua.fit(DESK, b"x" * 2000, "truncate", expires=expires)
        raises(
            UsageError,
            lambda ua=ua, body=bodies[0], compact=compact, expires=expires: ua.send(
                b"0" * 20, DESK, body + b"x", NOW, compact=compact, expires=expires
            ),
        )
        assert len(ua.send(b"0" * 20, DESK, bodies[0], NOW, compact=compact, expires=expires)) == 1


def test_a_date_that_becomes_known_takes_the_room_that_was_kept_for_it():
    """R3428-8.2: to the last octet"""
    ua = board()
    (text,), compact = ua.fit(DESK, b"x" * 2000, "truncate", expires=60, subject=b"heat")
    ua.clock.set(1289690940, NTP, NOW)
    assert len(only(ua.send(b"0" * 20, DESK, text, NOW, compact=compact, expires=60, subject=b"heat")).data) == 1300


def test_names_are_shortened_before_a_text_is():
    """R3428-8.2: by each policy but refuse, again to the last octet"""
    raises(UsageError, board().fit, DESK, b"x" * (room(False) + 1), "refuse")
    for size in (room(False) + 1, room(True)):
        for policy in POLICIES[1:]:
            assert board().fit(DESK, b"x" * size, policy) == ([b"x" * size], True)
    assert len(only(board().send(b"0" * 20, DESK, b"x" * room(True), NOW, compact=True)).data) == 1300
    size = room(True) + 1
    text = str(raises(UsageError, board().fit, DESK, b"x" * size, "compact"))
    assert text.find(" 1 over") >= 0
    assert board().fit(DESK, b"x" * size, "truncate") == ([b"x" * (size - 4) + b"\xe2\x80\xa6"], True)
    assert board().fit(DESK, b"x" * size, "split") == ([b"(1/2) " + b"x" * (size - 7), b"(2/2) " + b"x" * 7], True)


def test_what_will_be_put_around_a_text_is_room_that_it_does_not_have():
    """R3428-8.2: the wrapping of message/cpim, for one"""
    size = room(False, 200)
    assert board().fit(DESK, b"x" * size, "refuse", reserve=200) == ([b"x" * size], False)
    raises(UsageError, lambda: board().fit(DESK, b"x" * (size + 1), "refuse", reserve=200))
