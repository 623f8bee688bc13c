"""What becomes of a binding while it holds: a NAT in the way, pings, flows that die, Service-Route, the end."""

from agent.clock import later, until
from agent.events import Transmit
from agent.message import Message
from agent.registration import Registered, RegistrationLost
from tests.helpers import NOW, answer, board, changed, only
from tests.registrar import CONTACT, OK, REGISTRAR, registered, registering, replied, steady

PING = b"\r\n\r\n"
PONG = b"\r\n"
STREAM = (b"TCP", b"192.0.2.1", 5060)
CHALLENGE = b'WWW-Authenticate: Digest realm="r", nonce="n", algorithm=SHA-256, qop="auth"\r\n'


def seen_as(transmit, parameters, fields=OK, status_line=b"200 OK"):
    """Return the answer of a registrar that saw the request come from elsewhere: parameters replace rport."""
    return changed(answer(transmit.data, status_line, fields), b";rport", parameters)


def on_a_stream(seconds=3600, fields=b"", octet=0):
    """Return a user agent that is registered over STREAM."""
    ua = board(steady(octet), proxy=b"sip:192.0.2.1;transport=tcp")
    transmit = only(ua.register(NOW))
    contact = Message(transmit.data).get(b"contact")
    granted = b"Contact: %s;expires=%d\r\n" % (contact, seconds)
    assert replied(ua, transmit, b"200 OK", granted + fields) == [Registered(seconds)]
    return ua


def events_until(ua, ms, take=None, start=0):
    """Wake ua whenever it wants until ms after NOW; return (ms, event) pairs. take: is called with each event."""
    log = []
    at = start
    rounds = 0
    while True:
        wait = ua.wait_ms(later(NOW, at))
        if wait is None or at + wait > ms:
            return log
        at += wait
        rounds += 1
        assert rounds < 2000, "it wants to be woken again and again"
        for event in ua.wake(later(NOW, at)):
            log.append((at, event))
            if take is not None:
                take(event, later(NOW, at))


def test_the_address_that_the_registrar_saw_becomes_the_contact():
    """R3581-1: at once, the old contact is taken away in the same request"""
    ua, transmit = registering()
    transmit = only(ua.receive(seen_as(transmit, b";received=198.51.100.1;rport=40000"), REGISTRAR, NOW))
    message = Message(transmit.data)
    assert message.get(b"contact") == b"<sip:boiler@198.51.100.1:40000>, %s;expires=0" % CONTACT
    assert (message.get(b"cseq"), message.get(b"expires")) == (b"2 REGISTER", b"3600")
    moved = b"Contact: <sip:boiler@198.51.100.1:40000>;expires=600\r\n"
    assert only(ua.receive(seen_as(transmit, b";received=198.51.100.1;rport=40000", moved), REGISTRAR, NOW)) == (
        Registered(600)
    )
    renewal = Message(only(ua.registration.wake(later(NOW, 300000))).data)
    assert renewal.get(b"contact") == b"<sip:boiler@198.51.100.1:40000>"


def test_where_nothing_is_in_the_way_the_contact_stays():
    """R3581-1, R3261-19-5: the same address and port, or a registrar that doesn't say"""
    for parameters in (
        b";received=192.0.2.7;rport=5060",
        b";rport=5060",
        b";rport",
        b"",
        b";received=198.51.100.1",
        b";received=198.51.100.1;rport=port",
        b";received=198.51.100.1;rport=123456",
    ):
        ua, transmit = registering()
        assert only(ua.receive(seen_as(transmit, parameters), REGISTRAR, NOW)) == Registered(3600)


def test_an_address_may_come_with_or_without_brackets():
    """R3261-19-5: in Contact it has them"""
    for received in (b"2001:DB8::7", b"[2001:db8::7]"):
        ua, transmit = registering()
        transmit = only(ua.receive(seen_as(transmit, b";received=%s;rport=40000" % received), REGISTRAR, NOW))
        assert Message(transmit.data).get(b"contact").startswith(b"<sip:boiler@[2001:db8::7]:40000>, ")
        moved = b"Contact: <sip:boiler@[2001:db8::7]:40000>;expires=60\r\n"
        events = ua.receive(seen_as(transmit, b";received=%s;rport=40000" % received, moved), REGISTRAR, NOW)
        assert only(events) == Registered(60)


def test_a_nat_that_changes_its_mind_each_time_moves_us_once_a_renewal():
    ua, transmit = registering()
    transmit = only(ua.receive(seen_as(transmit, b";received=198.51.100.1;rport=40000"), REGISTRAR, NOW))
    moved = b"Contact: <sip:boiler@198.51.100.1:40000>;expires=60\r\n"
    events = ua.receive(seen_as(transmit, b";received=198.51.100.1;rport=40001", moved), REGISTRAR, NOW)
    assert only(events) == Registered(60)
    now = later(NOW, 30000)
    transmit = only(ua.registration.wake(now))
    transmit = only(ua.receive(seen_as(transmit, b";received=198.51.100.1;rport=40002", moved), REGISTRAR, now))
    assert b"<sip:boiler@198.51.100.1:40002>, <sip:boiler@198.51.100.1:40000>;expires=0" in transmit.data


def test_a_refusal_moves_nobody():
    ua, transmit = registering()
    refusal = seen_as(transmit, b";received=198.51.100.1;rport=40000", b"", b"403 Forbidden")
    assert only(ua.receive(refusal, REGISTRAR, NOW)) == RegistrationLost(403, 30)
    renewal = Message(only(ua.wake(later(NOW, 30000))).data)
    assert renewal.get(b"contact") == CONTACT


def test_messages_carry_the_service_route_in_its_order():
    """R3261-8.1-1, R3428-5.5: RFC 3608; the Request-URI stays the target; a new answer replaces it, no route is none"""
    ua = registered(
        60, b"Service-Route: <sip:p1.example.org;lr>, <sip:p2.example.org;lr>\r\nService-Route: <sip:p3;lr>\r\n"
    )
    message = Message(only(ua.send(b"c1", b"sip:desk@example.com", b"hot", NOW)).data)
    assert message.all(b"route") == [b"<sip:p1.example.org;lr>, <sip:p2.example.org;lr>, <sip:p3;lr>"]
    assert message.uri == b"sip:desk@example.com"
    now = later(NOW, 30000)
    for fields, route in (
        (b"Service-Route: <sips:p4;lr>\r\n", [b"<sips:p4;lr>"]),
        (b"Service-Route: <im:p5@example.org>\r\n", []),
        (b"Service-Route: <sip:p4;lr>, <im:p5@example.org>\r\n", []),
        (b"Service-Route: <sip:p4;lr>,,\r\n", []),
        (b"Service-Route: <sip:p4;lr\r\n", []),
        (b"Service-Route: <sip:p6;lr>\r\n", [b"<sip:p6;lr>"]),
        (b"", []),
    ):
        transmit = only(ua.registration.start(now))
        assert Message(transmit.data).get(b"route") is None
        assert replied(ua, transmit, b"200 OK", OK + fields, now) == [Registered(3600)]
        call_id = ua.new_call_id()
        message = Message(only(ua.send(call_id, b"sip:%s@example.com" % call_id, b"hot", now)).data)
        assert message.all(b"route") == route


def test_a_route_ends_with_the_binding_however_that_ends():
    for status_line in (b"200 OK", b"500 No"):
        ua = registered(60, b"Service-Route: <sip:p1.example.org;lr>\r\n")
        transmit = only(ua.registration.stop(NOW))
        assert replied(ua, transmit, status_line) == [Registered(0)]
        assert Message(only(ua.send(b"c1", b"sip:desk@example.com", b"hot", NOW)).data).get(b"route") is None


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
    assert log == [(190000, Transmit(PING, STREAM)), (200000, RegistrationLost(503, 30))]
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
    assert log[3:] == [(14000, RegistrationLost(503, 30))]


def test_what_one_server_answered_is_not_expected_of_the_next():
    """RFC 5626 section 4.4.1: after a loss the new flow has to show that it pongs"""
    ua = on_a_stream()
    ua.receive(PONG, STREAM, NOW)
    assert RegistrationLost(503, 30) in list(ua.failed(STREAM, NOW))
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
    assert list(ua.failed((b"TCP", b"192.0.2.1", 5060, "a shell's own item"), NOW)) == [RegistrationLost(503, 30)]
    assert list(ua.failed(STREAM, NOW)) == []
    assert events_until(ua, 29999) == []
    assert Message(only(ua.wake(later(NOW, 30000))).data).get(b"cseq") == b"2 REGISTER"


def test_a_flow_that_cannot_be_opened_is_one_loss():
    """R3261-8.1-9: as if by a 503"""
    ua = board(steady(), proxy=b"sip:192.0.2.1;transport=tcp")
    ua.register(NOW)
    assert list(ua.failed(STREAM, NOW)) == [RegistrationLost(503, 30)]


def test_while_a_renewal_is_on_its_way_nothing_is_due_again_and_again():
    """A pause that ends before the renewal does leaves no deadline behind: a shell would spin on it"""
    ua = on_a_stream(195, octet=255)
    ua.receive(PONG, STREAM, NOW)
    log = events_until(ua, 129000)
    assert (log[0], log[1][0]) == ((95000, Transmit(PING, STREAM)), 97000)
    assert Message(log[1][1].data).get(b"cseq") == b"2 REGISTER"
    assert log[2:] == [(105000, RegistrationLost(503, 16)), (129000, RegistrationLost(408, 31))]


def test_unregistering_asks_for_no_seconds_and_ends_all():
    """RFC 3261 section 10.2.2: no renewal, no ping, whatever the answer is"""
    for status_line, fields in (
        (b"200 OK", b""),
        (b"200 OK", OK),
        (b"403 No", b""),
        (b"423 No", b"Min-Expires: 9\r\n"),
    ):
        ua = registered()
        transmit = only(ua.registration.stop(NOW))
        message = Message(transmit.data)
        assert (message.get(b"expires"), message.get(b"contact")) == (b"0", CONTACT)
        assert replied(ua, transmit, status_line, fields) == [Registered(0)]
        assert not ua.registration.bound
        assert ua.wait_ms(NOW) is None


def test_unregistering_is_challenged_like_registering():
    """R3261-22-2: and a server that is gone is no reason to wait for more than a timeout"""
    ua = registered()
    ua.credentials = ((b"", b"boiler", b"secret"),)
    transmit = only(replied(ua, only(ua.registration.stop(NOW)), b"401 Unauthorized", CHALLENGE))
    assert Message(transmit.data).get(b"expires") == b"0"
    log = events_until(ua, 100000)
    assert log[-1] == (32000, Registered(0)) and len(log) == 11


def test_unregistering_while_a_register_is_on_its_way_follows_it():
    """What the first one binds is taken away by a second one; there is one Registered(0)"""
    for status_line, fields in ((b"200 OK", OK), (b"500 No", b""), (b"423 No", b"Min-Expires: 7200\r\n")):
        ua, transmit = registering()
        assert list(ua.registration.stop(NOW)) == []
        transmit = only(replied(ua, transmit, status_line, fields))
        message = Message(transmit.data)
        assert (message.get(b"expires"), message.get(b"cseq")) == (b"0", b"2 REGISTER")
        assert list(ua.registration.stop(NOW)) == []
        assert replied(ua, transmit, b"200 OK") == [Registered(0)]
        assert ua.wait_ms(NOW) is None


def test_one_may_register_again_after_unregistering():
    ua = registered()
    replied(ua, only(ua.registration.stop(NOW)), b"200 OK")
    transmit = only(ua.register(NOW))
    assert Message(transmit.data).get(b"expires") == b"3600"
    assert replied(ua, transmit, b"200 OK", OK) == [Registered(3600)]
    assert until(later(NOW, ua.wait_ms(NOW)), NOW) == 25000
