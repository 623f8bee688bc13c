"""How a binding is kept: pings and their answers, flows that die, and the next one (RFC 5626)."""

from agent.clock import later
from agent.events import Outcome, Transmit
from agent.message import Message
from agent.notices import Resolve
from agent.registration import FlowLost, Registered, RegistrationLost
from tests.helpers import NOW, board, only
from tests.registrar import (
    OK,
    PING,
    REGISTRAR,
    STREAM,
    events_until,
    on_a_stream,
    registered,
    replied,
    steady,
)

PONG = b"\r\n"


def test_a_flow_is_kept_open_with_pings():
    """R3261-18-11: every 25 s on UDP, every 95 s on a stream"""
    for ua, flow, times in (
        (registered(), REGISTRAR, [25000, 50000, 75000, 100000, 125000, 150000, 175000, 200000]),
        (on_a_stream(), STREAM, [95000, 190000]),
    ):
        log = events_until(ua, 200000)
        assert log == [(ms, Transmit(PING, flow)) for ms in times]


def test_the_registrar_may_set_the_pace_of_pings():
    """RFC 5626 section 4.4: 80 to 100 % of its Flow-Timer; a value that makes no sense is left out"""
    for value, octet, first in (
        (b"120", 0, 96000),
        (b"120", 20, 120000),
        (b"10", 0, 8000),
        (b"1", 0, 800),
        (b"0", 0, 25000),
        (b"3600", 0, 25000),
        (b"often", 0, 25000),
    ):
        ua = registered(3600, b"Flow-Timer: %s\r\n" % value, octet)
        assert ua.wait_ms(NOW) == first
        assert only(ua.wake(later(NOW, first))) == Transmit(PING, REGISTRAR)


def test_pings_keep_to_the_pace_whatever_chance_says():
    """RFC 5626 section 4.4: from 80 to 100 % of the Flow-Timer"""
    for octet in (0, 1, 20, 21, 41, 42, 128, 255):
        assert 96000 <= registered(3600, b"Flow-Timer: 120\r\n", octet).wait_ms(NOW) <= 120000


def test_nothing_is_done_a_millisecond_too_early():
    for ua, ms in ((registered(), 25000), (on_a_stream(), 95000)):
        assert list(ua.wake(later(NOW, ms - 1))) == []
        assert len(ua.wake(later(NOW, ms))) == 1
    ua.receive(PONG, STREAM, later(NOW, 95000))
    assert only(ua.wake(later(NOW, 190000))) == Transmit(PING, STREAM)
    assert list(ua.wake(later(NOW, 199999))) == []
    assert FlowLost(STREAM) in ua.wake(later(NOW, 200000))


def test_a_ping_that_comes_late_is_one_ping():
    ua = registered()
    assert only(ua.wake(later(NOW, 500000))) == Transmit(PING, REGISTRAR)
    assert ua.wait_ms(later(NOW, 500000)) == 25000


def test_a_server_that_has_ponged_and_no_longer_does_is_gone():
    """RFC 5626 section 4.4.1: ten seconds after a ping; before its first pong nothing is expected of it"""
    ua = on_a_stream()
    assert events_until(ua, 94999) == []
    assert only(ua.wake(later(NOW, 95000))) == Transmit(PING, STREAM)
    assert list(ua.receive(PONG, STREAM, later(NOW, 95100))) == []
    log = events_until(ua, 205000, start=95100)
    assert log == [
        (190000, Transmit(PING, STREAM)),
        (200000, FlowLost(STREAM)),
        (200000, RegistrationLost(503, 30, b"")),
    ]
    assert not ua.registration.bound


def test_a_pong_in_time_is_all_that_is_needed():
    ua = on_a_stream()

    def pong(event, now):
        if type(event) is Transmit and event.data == PING:
            ua.receive(PONG, STREAM, later(now, 9999))

    assert [ms for ms, _ in events_until(ua, 1000000, pong)] == [95000 * i for i in range(1, 11)]
    assert ua.registration.bound


def test_a_pong_on_another_flow_is_none_of_ours():
    for flow in ((b"TCP", b"192.0.2.2", 5060), (b"TCP", b"192.0.2.1", 5061), (b"TLS", b"192.0.2.1", 5060)):
        ua = on_a_stream()
        ua.receive(PONG, flow, NOW)
        assert [ms for ms, event in events_until(ua, 200000) if type(event) is not Transmit] == []


def test_pings_faster_than_pongs_may_be_slow_find_a_dead_server_too():
    """RFC 5626 section 4.4.1: the ten seconds count from the ping that is unanswered longest"""
    ua = on_a_stream(3600, b"Flow-Timer: 5\r\n")
    ua.receive(PONG, STREAM, NOW)
    log = events_until(ua, 14000)
    assert log[:3] == [(ms, Transmit(PING, STREAM)) for ms in (4000, 8000, 12000)]
    assert log[3:] == [(14000, FlowLost(STREAM)), (14000, RegistrationLost(503, 30, b""))]


def test_what_one_server_answered_is_not_expected_of_the_next():
    """RFC 5626 section 4.4.1: after a loss the new flow has to show that it pongs"""
    ua = on_a_stream()
    ua.receive(PONG, STREAM, NOW)
    assert RegistrationLost(503, 30, b"") in list(ua.failed(STREAM, NOW))
    now = later(NOW, 30000)
    transmit = only(ua.wake(now))
    contact = Message(transmit.data).get(b"contact")
    assert replied(ua, transmit, b"200 OK", b"Contact: %s\r\n" % contact, now) == [Registered(3600)]
    log = events_until(ua, 400000, start=30000)
    assert [event for _, event in log] == [Transmit(PING, STREAM)] * 3


def test_a_flow_that_fails_takes_the_binding_with_it():
    """R3261-17.1-7: and only then"""
    ua = on_a_stream()
    for other in ((b"TCP", b"192.0.2.2", 5060), (b"UDP", b"192.0.2.1", 5060)):
        assert list(ua.failed(other, NOW)) == []
    assert list(ua.failed((b"TCP", b"192.0.2.1", 5060, "a shell's own item"), NOW)) == [RegistrationLost(503, 30, b"")]
    assert list(ua.failed(STREAM, NOW)) == []
    assert events_until(ua, 29999) == []
    assert Message(only(ua.wake(later(NOW, 30000))).data).get(b"cseq") == b"2 REGISTER"


def test_a_flow_that_cannot_be_opened_is_one_loss():
    """R3261-8.1-9: as if by a 503"""
    ua = board(steady(), proxy=b"sip:192.0.2.1;transport=tcp")
    ua.register(NOW)
    assert list(ua.failed(STREAM, NOW)) == [RegistrationLost(503, 30, b"")]


def test_while_a_renewal_is_on_its_way_nothing_is_due_again_and_again():
    """A pause that ends before the renewal does leaves no deadline behind: a shell would spin on it"""
    ua = board(steady(255))
    place = (b"UDP", b"192.0.2.1", 5060)
    assert ua.more().register(NOW) == [Resolve(b"sip:example.org")]
    transmit = only(ua.resolved(b"sip:example.org", [place], NOW))
    assert replied(ua, transmit, b"200 OK", OK) == [Registered(3600)]
    now = later(NOW, 2400000)
    assert only(ua.settled(ua.registration.wake(now), now)).flow == place
    elsewhere, lost = ua.failed(place, now)
    assert (elsewhere.flow, lost) == (REGISTRAR, RegistrationLost(503, 16, b""))
    log = [pair for pair in events_until(ua, 2432000, start=2400000) if type(pair[1]) is not Transmit]
    assert log == [(2432000, RegistrationLost(408, 31, b""))]


def test_what_is_on_its_way_on_a_flow_that_falls_silent_ends_with_it():
    """R3261-8.1-9: the renewal and a message, each once"""
    ua = on_a_stream(195)
    ua.receive(PONG, STREAM, NOW)
    log = events_until(ua, 104000)
    assert Message(log[1][1].data).get(b"cseq") == b"2 REGISTER"
    ua.send(b"c1", b"sip:desk@example.com", b"hot", later(NOW, 104000))
    first, *others = events_until(ua, 134999, start=104000)
    assert first == (105000, FlowLost(STREAM))
    assert len(others) == 2  # in whatever order a board's dict has them
    assert (105000, RegistrationLost(503, 30, b"")) in others
    assert (105000, Outcome(b"c1", "failed", 503, b"No answer to pings", None)) in others


def test_a_renewal_that_is_answered_is_as_good_as_a_pong():
    ua = on_a_stream(192)
    ua.receive(PONG, STREAM, NOW)
    assert only(ua.wake(later(NOW, 95000))) == Transmit(PING, STREAM)
    now = later(NOW, 96000)
    renewal = only(ua.wake(now))
    contact = Message(renewal.data).get(b"contact")
    assert replied(ua, renewal, b"200 OK", b"Contact: %s\r\n" % contact, now) == [Registered(3600)]
    assert events_until(ua, 191000, start=96000) == [(191000, Transmit(PING, STREAM))]
    assert ua.registration.bound


def test_a_binding_that_is_lost_is_neither_pinged_for_nor_lost_again():
    ua = registered()
    assert list(ua.failed(REGISTRAR, NOW)) == [RegistrationLost(503, 30, b"")]
    assert events_until(ua, 29999) == []
    ua = on_a_stream()
    ua.receive(PONG, STREAM, NOW)
    assert only(ua.wake(later(NOW, 95000))) == Transmit(PING, STREAM)
    assert list(ua.failed(STREAM, later(NOW, 100000))) == [RegistrationLost(503, 30, b"")]
    assert events_until(ua, 129999, start=100000) == []


def test_no_pong_is_expected_of_a_datagram():
    ua = registered()
    ua.receive(PONG, REGISTRAR, NOW)
    assert [event for _, event in events_until(ua, 60000)] == [Transmit(PING, REGISTRAR)] * 2


def at_a_place(place):
    """Return a user agent that is registered at a flow that its shell has found for the registrar's name."""
    ua = board(steady())
    assert ua.more().register(NOW, b"sip:example.org;transport=tcp") == [Resolve(b"sip:example.org;transport=tcp")]
    transmit = only(ua.resolved(b"sip:example.org;transport=tcp", [place], NOW))
    contact = Message(transmit.data).get(b"contact")
    assert replied(ua, transmit, b"200 OK", b"Contact: %s\r\n" % contact) == [Registered(3600)]
    return ua


def test_a_flow_is_known_by_its_first_three_items():
    """R3261-17.1-7: its pongs and its end count, whether a shell's own items come with them or not"""
    more = (b"TCP", b"192.0.2.1", 5060, "a shell's own item")
    for place, named in ((more, more[:3]), (more[:3], more)):
        assert list(at_a_place(place).failed(named, NOW)) == [RegistrationLost(503, 30, b"")]
        ua = at_a_place(place)
        assert only(ua.wake(later(NOW, 95000))) == Transmit(PING, place)
        ua.receive(PONG, named, later(NOW, 95000))
        assert only(ua.wake(later(NOW, 190000))) == Transmit(PING, place)
        assert FlowLost(place) in ua.wake(later(NOW, 200000))


def test_a_renewal_begins_where_the_binding_is_unless_the_name_leads_there():
    """R3261-8.1-9: then there is one place to try, and the name is looked up at once"""
    now = later(NOW, 2400000)
    place = (b"TCP", b"192.0.2.1", 5060)
    assert only(at_a_place(place).registration.wake(now)).flow == place
    ua = at_a_place((b"TCP", b"example.org", 5060, "a shell's own item"))
    assert ua.registration.wake(now) == [Resolve(b"sip:example.org;transport=tcp")]


def test_a_binding_is_kept_at_the_server_that_granted_it():
    """R3261-8.1-9: of the places that a name has led to; where it was, and then the name again"""
    ua = board(steady())
    places = [(b"UDP", b"192.0.2.1", 5060), (b"UDP", b"192.0.2.2", 5060)]
    assert ua.more().register(NOW) == [Resolve(b"sip:example.org")]
    transmit = only(ua.resolved(b"sip:example.org", places, NOW))
    assert transmit.flow == places[0]
    transmit = only(ua.failed(places[0], NOW))
    assert transmit.flow == places[1]
    assert replied(ua, transmit, b"200 OK", OK) == [Registered(3600)]
    assert only(ua.wake(later(NOW, 25000))) == Transmit(PING, places[1])
    assert list(ua.failed(places[0], later(NOW, 25000))) == []
    now = later(NOW, 2400000)
    renewal = only(ua.settled(ua.registration.wake(now), now))
    assert renewal.flow == places[1]
    again = [event for event in ua.failed(places[1], now) if type(event) is Transmit]
    assert only(again).flow == REGISTRAR
