"""What Date and Expires say of a message that comes: RFC 3428 sections 7 and 11."""

from agent.clock import later
from agent.message import Message
from agent.qualities import LEARNED, NTP
from agent.uas.freshness import expiry
from tests.helpers import MESSAGE, NOW, UDP, desk, only, sent, with_field

UNIX = 1289690940
DATE = b"Date: Sat, 13 Nov 2010 23:29:00 GMT"


def received(fields, unix, quality=NTP):
    """Return (date, expired, stale) of a message with these fields that comes at unix, None for no clock."""
    ua = desk()
    if unix is not None:
        ua.clock.set(unix, quality, NOW)
    event = only(ua.receive(with_field(fields), UDP, NOW))
    assert sent(ua.respond(event, 200, NOW)).status == 200
    return event.date, event.expired, event.stale


def test_without_expires_a_message_never_expires():
    """R3428-7.10: however old its Date is"""
    for unix in (UNIX, UNIX + 10**6, None):
        assert received(DATE, unix)[1] is False
    assert received(b"X: y", UNIX)[1] is False


def test_with_expires_and_date_it_expires_that_long_after_its_date():
    """R3428-7.11, R3428-7.13, R3428-7.14, R3261-7.10: the event says so, the answer is 200 all the same"""
    for seconds, unix, expired in (
        (60, UNIX, False),
        (60, UNIX + 60, False),
        (60, UNIX + 61, True),
        (60, UNIX - 1000, False),
        (0, UNIX + 1, True),
        (4294967295, UNIX + 1000000, False),
    ):
        assert received(b"Expires: %d\r\n%s" % (seconds, DATE), unix)[1] is expired


def test_with_expires_and_no_date_it_expires_that_long_after_it_came():
    """R3428-7.12: not on arrival; the second at which it will"""
    assert received(b"Expires: 10", UNIX)[1] is False
    message = Message(with_field(b"Expires: 10"))
    assert expiry(message, UNIX) == UNIX + 10
    assert expiry(message, None) is None
    assert expiry(Message(with_field(b"Expires: 10\r\n" + DATE)), UNIX + 500) == UNIX + 10
    assert expiry(Message(MESSAGE), UNIX) is None


def test_an_expires_that_cannot_be_read_makes_nothing_expire():
    """R3261-7.10: RFC 4475 section 3.1.2.4"""
    for value in (b"soon", b"-1", b"", b"99999999999999999999999", b"4294967296"):
        assert received(b"Expires: %s\r\n%s" % (value, DATE), UNIX + 10**6)[1] is False


def test_a_date_minutes_off_our_clock_is_marked_stale():
    """R3428-11.7, R3428-11.9, R3428-11.10: past or future; unsigned, it is taken and left to the application"""
    for unix, stale in (
        (UNIX, False),
        (UNIX + 300, False),
        (UNIX - 300, False),
        (UNIX + 301, True),
        (UNIX - 301, True),
    ):
        for quality in (LEARNED, NTP):
            assert received(DATE, unix, quality) == (UNIX, False, stale)


def test_without_a_clock_nobody_can_say():
    """R3428-11.11: None is neither yes nor no"""
    assert received(DATE, None) == (UNIX, False, None)
    assert received(b"Expires: 10\r\n" + DATE, None) == (UNIX, None, None)


def test_without_a_date_nothing_is_stale():
    for unix in (UNIX, None):
        assert received(b"X: y", unix) == (None, False, False)
        assert received(b"Date: yesterday", unix) == (None, False, False)


def test_the_clock_counts_on_while_a_message_is_on_its_way():
    """R3428-7.11: the time of arrival counts, across the wrap of the ticks"""
    ua = desk()
    ua.clock.set(UNIX, NTP, NOW)
    event = only(ua.receive(with_field(b"Expires: 60\r\n" + DATE), UDP, later(NOW, 62000)))
    assert event.expired is True
