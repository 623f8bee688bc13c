"""Where a UAS answers to, and whether: RFC 3261 sections 8.2, 17.2.3 and 18.2."""

from agent.clock import later
from agent.events import Transmit
from agent.notices import Dropped
from agent.uas import MessageReceived
from tests.helpers import MESSAGE, NOW, TCP, UDP, changed, deliver, desk, only, sent, with_field

_VIA = b"SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bK776sgdkse"


def test_a_request_without_a_readable_topmost_via_gets_no_answer():
    """R3261-8.2-1: whatever else is right or wrong with it"""
    for via in (
        b"",
        b",",
        b", " + _VIA,
        b"SIP/2.0/UDP",
        b"SIP/2.0/UDP ;branch=z9hG4bK1",
        b"SIP/2.0/UDP [::1;branch=z9hG4bK1",
        b"SIP/2.0/UDP 192.0.2.1:port",
        b"192.0.2.1;branch=z9hG4bK1",
        b"\r\nVia: " + _VIA,
    ):
        for data in (MESSAGE, changed(MESSAGE, b"1 MESSAGE", b"x MESSAGE")):
            assert [type(event) for event in desk().receive(changed(data, _VIA, via), UDP, NOW)] == [Dropped], via


def test_what_is_wrong_behind_the_address_of_the_topmost_via_is_a_400():
    """R3261-8.2-1: parameters, the next Via, or another version"""
    for via in (_VIA + b";;", _VIA + b", ,", _VIA + b",", _VIA + b';x="', b"SIP/3.0/UDP 192.0.2.1", _VIA + b"\r\nv:"):
        assert deliver(desk(strict=True), changed(MESSAGE, _VIA, via)) == (400, None), via
    assert deliver(desk(), changed(MESSAGE, _VIA, _VIA + b", what others wrote"))[0] == 200


def test_each_copy_is_answered_where_it_came_from_with_the_same_octets():
    """R3261-17.2-3, R3261-17.2-4, R3261-18-7, R3581-3: its source is no part of what makes it a copy"""
    plain, symmetric = MESSAGE, changed(MESSAGE, b"192.0.2.1:5062;", b"192.0.2.1:5062;rport;")
    for data, source, answered in (
        (plain, (b"UDP", b"198.51.100.1", 40000), (b"UDP", b"198.51.100.1", 5062)),
        (symmetric, (b"UDP", b"198.51.100.1", 40000), (b"UDP", b"198.51.100.1", 40000)),
        (changed(plain, b"192.0.2.1:5062;", b"192.0.2.1:5062;maddr=203.0.113.9;"), UDP, UDP),
        (plain, TCP, TCP),
        (plain, (b"UDP", b"192.0.2.1", 5062, "socket"), (b"UDP", b"192.0.2.1", 5062, "socket")),
    ):
        ua = desk()
        first = only(ua.respond(only(ua.receive(data, UDP, NOW)), 200, NOW))
        assert first.flow == UDP
        for now in (NOW, later(NOW, 31999)):
            assert only(ua.receive(data, source, now)) == Transmit(first.data, answered)
            assert only(ua.receive(data, UDP, now)) == first


def test_a_copy_from_elsewhere_does_not_take_the_answer_away():
    """R3261-17.2-1, R4320-4: before the answer it changes nothing, and the 100 goes to the first one, too"""
    ua = desk()
    event = only(ua.receive(MESSAGE, UDP, NOW))
    for source in ((b"UDP", b"203.0.113.9", 5062), TCP):
        assert list(ua.receive(MESSAGE, source, NOW)) == []
    assert only(ua.wake(later(NOW, 3500))).flow == UDP
    assert only(ua.respond(event, 200, later(NOW, 4000))).flow == UDP


def test_a_100_tells_how_long_it_took():
    """R3261-8.2-13: in seconds, behind the time that the client wrote and in place of a delay of its own"""
    for value, ms, expected in (
        (b"54", 3500, b"54 3.500"),
        (b"54", 3999, b"54 3.999"),
        (b"54.25", 3507, b"54.25 3.507"),
        (b"54\t0.1", 4000, b"54 4.000"),
        (b"54 0.1", 12034, b"54 12.034"),
        (b"", 3500, None),
        (b"5" * 256, 3500, b"5" * 256 + b" 3.500"),
        (b"5" * 257, 3500, None),
    ):
        ua = desk()
        only(ua.receive(with_field(b"Timestamp: " + value), UDP, NOW))
        assert sent(ua.wake(later(NOW, ms))).get(b"timestamp") == expected


def test_an_answer_is_no_more_than_a_small_multiple_of_what_came():
    """R3261-18-15, R3261-18-13, R0-P8: and who sends very much to copy back gets that and 513"""
    for data in (
        b"A b SIP/2.0\r\nv:x\r\nf:\r\nt:\r\ni:\r\nCSeq:\r\n\r\n",
        b"A b SIP/2.0\r\nv:SIP/2.0/UDP a;rport\r\nf:x:y\r\nt:x:y\r\ni:1\r\nCSeq:1 A\r\n\r\n",
        with_field(b"Require: " + b"x" * 3000),
        with_field(b"Via: SIP/2.0/UDP " + b"a" * 6000),
    ):
        for event in desk().receive(data, UDP, NOW):
            if type(event) is MessageReceived or type(event) is Dropped:
                continue
            assert len(event.data) <= 6 * len(data)
    bad = changed(MESSAGE, b"1 MESSAGE", b"x MESSAGE")
    for data in (MESSAGE, bad):
        assert deliver(desk(), with_field(b"Via: SIP/2.0/UDP " + b"a" * 9000, data)) == (513, None)
