"""What becomes of a binding while it holds, and how it ends: a NAT in the way, Service-Route, unregistering."""

from agent.clock import later, until
from agent.events import Transmit
from agent.message import Message
from agent.registration import Registered, RegistrationLost
from agent.user_agent import UserAgent
from tests.helpers import MESSAGE, NOW, Settled, answer, board, changed, deliver, only
from tests.registrar import (
    CONTACT,
    OK,
    REGISTRAR,
    STREAM,
    events_until,
    on_a_stream,
    registered,
    registering,
    replied,
    steady,
)

CHALLENGE = b'WWW-Authenticate: Digest realm="r", nonce="n", algorithm=SHA-256, qop="auth"\r\n'


def seen_as(transmit, parameters, fields=OK, status_line=b"200 OK"):
    """Return the answer of a registrar that saw the request come from elsewhere: parameters replace rport."""
    return changed(answer(transmit.data, status_line, fields), b";rport", parameters)


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
    renewal = Message(only(ua.settled(ua.registration.wake(later(NOW, 300000)), later(NOW, 300000))).data)
    assert renewal.get(b"contact") == b"<sip:boiler@198.51.100.1:40000>"


def test_our_contacts_are_ours_whatever_users_and_hosts_say():
    """R3261-8.2-6: the one that a NAT has given us and those before it; servers change parameters"""
    ua, transmit = registering(users=(b"staff",), hosts=(b"example.org",))
    transmit = only(ua.receive(seen_as(transmit, b";received=198.51.100.1;rport=40000"), REGISTRAR, NOW))
    for number, (uri, status) in enumerate(
        (
            (b"sip:boiler@198.51.100.1:40000", 200),
            (b"sip:boiler@192.0.2.7:5060", 200),
            (b"sip:boiler@192.0.2.7", 200),
            (b"sip:%62oiler@192.0.2.7;transport=udp;ob", 200),
            (b"sip:staff@EXAMPLE.org", 200),
            (b"sip:boiler@example.org", 404),
            (b"sip:staff@192.0.2.7", 404),
            (b"sip:Boiler@192.0.2.7", 404),
            (b"sip:boiler@198.51.100.1", 404),
            (b"sip:192.0.2.7", 404),
        )
    ):
        data = changed(MESSAGE, b"MESSAGE sip:desk@example.org", b"MESSAGE " + uri, b"z9hG4bK", b"z9hG4bK%d" % number)
        data = changed(data, b"Call-ID: ", b"Call-ID: %d" % number)
        assert deliver(ua, data)[0] == status, uri
        options = changed(data, b"MESSAGE ", b"OPTIONS ", b"1 MESSAGE", b"1 OPTIONS")
        assert deliver(ua, options)[0] == status, uri


def test_what_others_make_of_our_contact_is_ours_too():
    """R3261-8.2-6: the only contact in a 200; of several it isn't known which is meant for us"""
    other = b"Contact: <sip:boiler@198.51.100.1:40000;ob>;expires=600\r\n"
    for fields, status in (
        (other, 200),
        (other + b"Contact: <sip:phone@203.0.113.1>;expires=600\r\n", 404),
        (b"Contact: <tel:+4930123>\r\n", 404),
        (b"Contact: nonsense\r\n", 404),
        (b"", 404),
    ):
        ua, transmit = registering(hosts=(b"example.org",))
        ua.receive(answer(transmit.data, b"200 OK", fields), REGISTRAR, NOW)
        uri = b"MESSAGE sip:boiler@198.51.100.1:40000"
        assert deliver(ua, changed(MESSAGE, b"MESSAGE sip:desk@example.org", uri))[0] == status, fields


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
        b";received=198.51.100.1;rport=65536",
        b";received=198.51.100.1;rport=0",
        b";received=198.51.100.1>;rport=5070",
    ):
        ua, transmit = registering()
        assert only(ua.receive(seen_as(transmit, parameters), REGISTRAR, NOW)) == Registered(3600)
    ua, transmit = registering(contact=b"sip:boiler@192.0.2.7")  # is port 5060
    fields = b"Contact: <sip:boiler@192.0.2.7>\r\n"
    assert only(ua.receive(seen_as(transmit, b";rport=5060", fields), REGISTRAR, NOW)) == Registered(3600)
    transmit = only(ua.unregister(NOW))
    assert only(ua.receive(seen_as(transmit, b";rport=5070"), REGISTRAR, NOW)) == Registered(0)


def test_where_outbound_is_in_use_the_contact_stays():
    """R3581-1: RFC 5626 section 6, a registrar that reaches us on our flow says so in Require"""
    for require in (b"outbound", b"Outbound", b"path, outbound", b"path\r\nRequire: outbound"):
        ua, transmit = registering(instance=b"urn:uuid:00000000-0000-1000-8000-000000000001")
        fields = OK + b"Require: %s\r\n" % require
        response = seen_as(transmit, b";received=198.51.100.1;rport=40000", fields)
        assert only(ua.receive(response, REGISTRAR, NOW)) == Registered(3600), require
    ua, transmit = registering()
    response = seen_as(transmit, b";received=198.51.100.1;rport=40000", OK + b"Require: path\r\n")
    assert b";expires=0" in only(ua.receive(response, REGISTRAR, NOW)).data


def test_an_address_may_come_with_or_without_brackets():
    """R3261-19-5: in Contact it has them"""
    for received in (b"2001:DB8::7", b"[2001:db8::7]"):
        ua, transmit = registering()
        transmit = only(ua.receive(seen_as(transmit, b";received=%s;rport=40000" % received), REGISTRAR, NOW))
        assert Message(transmit.data).get(b"contact").startswith(b"<sip:boiler@[2001:db8::7]:40000>, ")
        moved = b"Contact: <sip:boiler@[2001:db8::7]:40000>;expires=60\r\n"
        events = ua.receive(seen_as(transmit, b";received=%s;rport=40000" % received, moved), REGISTRAR, NOW)
        assert only(events) == Registered(60)


def test_an_address_that_begins_with_colons_has_its_brackets_too():
    """R3261-19-5"""
    ua, transmit = registering()
    transmit = only(ua.receive(seen_as(transmit, b";received=::1;rport=40000"), REGISTRAR, NOW))
    assert Message(transmit.data).get(b"contact").startswith(b"<sip:boiler@[::1]:40000>, ")


def test_a_nat_that_changes_its_mind_each_time_moves_us_once_a_renewal():
    ua, transmit = registering()
    transmit = only(ua.receive(seen_as(transmit, b";received=198.51.100.1;rport=40000"), REGISTRAR, NOW))
    moved = b"Contact: <sip:boiler@198.51.100.1:40000>;expires=60\r\n"
    events = ua.receive(seen_as(transmit, b";received=198.51.100.1;rport=40001", moved), REGISTRAR, NOW)
    assert only(events) == Registered(60)
    now = later(NOW, 30000)
    transmit = only(ua.settled(ua.registration.wake(now), now))
    transmit = only(ua.receive(seen_as(transmit, b";received=198.51.100.1;rport=40002", moved), REGISTRAR, now))
    assert b"<sip:boiler@198.51.100.1:40002>, <sip:boiler@198.51.100.1:40000>;expires=0" in transmit.data


def test_a_refusal_moves_nobody():
    ua, transmit = registering()
    refusal = seen_as(transmit, b";received=198.51.100.1;rport=40000", b"", b"403 Forbidden")
    assert only(ua.receive(refusal, REGISTRAR, NOW)) == RegistrationLost(403, 30, b"Forbidden")
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
        (b'Service-Route: <sip:p4;lr>;a="x\ny"\r\n', []),  # a line's end that would be sent on
        (b"Service-Route: <sip:p6;lr>\r\n", [b"<sip:p6;lr>"]),
        (b"", []),
    ):
        transmit = only(ua.settled(ua.registration.start(now), now))
        assert Message(transmit.data).get(b"route") is None
        assert replied(ua, transmit, b"200 OK", OK + fields, now) == [Registered(3600)]
        call_id = ua.new_call_id()
        flow = (b"TLS", b"192.0.2.1", 5061)
        message = Message(only(ua.send(call_id, b"sip:%s@example.com" % call_id, b"hot", now, flow=flow)).data)
        assert message.all(b"route") == route


def test_the_first_hop_is_the_topmost_route_unless_another_was_chosen():
    """R3261-8.1-1, R3428-3.3, R3428-5.2: a flow or a proxy goes before it; an im: target needs nothing else"""
    route = b"Service-Route: <sip:p1.example.org:5070;lr;transport=tcp>\r\n"
    first = (b"TCP", b"p1.example.org", 5070)
    ua = registered(60, route)
    assert only(ua.send(b"c1", b"sip:desk@example.com", b"hot", NOW)).flow == first
    assert ua.uac.route.first_hop == (first, b"sip:p1.example.org:5070;lr;transport=tcp")  # what is looked up
    transmit = only(ua.send(b"c2", b"im:desk@example.com", b"hot", NOW))
    message = Message(transmit.data)
    assert (transmit.flow, message.uri) == (first, b"im:desk@example.com")
    assert message.get(b"route") == b"<sip:p1.example.org:5070;lr;transport=tcp>"
    transmit = only(ua.send(b"c3", b"sip:lamp@example.com", b"hot", NOW, flow=REGISTRAR))
    assert transmit.flow == REGISTRAR and Message(transmit.data).get(b"route") is not None
    ua = on_a_stream(60, b"Service-Route: <sip:p1.example.org;lr;transport=ws>\r\n")  # what the proxy does with it
    transmit = only(ua.send(b"c4", b"sip:desk@example.com", b"hot", NOW))
    assert transmit.flow == STREAM and Message(transmit.data).get(b"route") == b"<sip:p1.example.org;lr;transport=ws>"


def test_a_first_hop_that_cannot_be_reached_is_no_route():
    """R3261-8.1-1: nobody would act on it"""
    ua = registered(60, b"Service-Route: <sip:p1.example.org;lr;transport=ws>\r\n")
    transmit = only(ua.send(b"c1", b"sip:desk@example.com", b"hot", NOW))
    assert transmit.flow[1] == b"example.com" and Message(transmit.data).get(b"route") is None


def test_a_strict_router_is_the_request_uri_and_the_target_ends_the_route():
    """R3261-8.1-1, R3428-5.5: To is whom it is for; an im: URI stays out of Route, so it goes as to a proxy"""
    ua = registered(60, b"Service-Route: <sip:p1.example.org>, <sip:p2.example.org;lr>\r\n")
    transmit = only(ua.send(b"c1", b"sip:desk@example.com;x=y", b"hot", NOW))
    assert transmit.flow == (b"UDP", b"p1.example.org", 5060)
    message = Message(transmit.data)
    assert (message.uri, message.get(b"to")) == (b"sip:p1.example.org", b"<sip:desk@example.com>")
    assert message.get(b"route") == b"<sip:p2.example.org;lr>, <sip:desk@example.com;x=y>"
    assert list(ua.send(b"c2", b"sip:desk@example.com", b"hot", NOW)) == []  # R3428-8.4: pending is the target
    transmit = only(replied(ua, transmit, b"302 Moved", b"Contact: <sip:desk@example.net>\r\n")[:1])
    message = Message(transmit.data)
    assert (transmit.flow[1], message.uri) == (b"p1.example.org", b"sip:p1.example.org")
    assert message.get(b"route") == b"<sip:p2.example.org;lr>, <sip:desk@example.net>"
    transmit = only(ua.send(b"c3", b"im:desk@example.com", b"hot", NOW))
    message = Message(transmit.data)
    assert (transmit.flow[1], message.uri) == (b"p1.example.org", b"im:desk@example.com")
    assert message.get(b"route") is None
    ua = registered(60, b"Service-Route: <sip:p1.example.org>\r\n")
    message = Message(only(ua.send(b"c1", b"sip:desk@example.com", b"hot", NOW)).data)
    assert message.all(b"route") == [b"<sip:desk@example.com>"]


def test_a_redirect_keeps_to_the_route_and_a_register_is_led_by_none():
    """R3261-8.1-12, R3261-8.1-1: its Contact is the new Request-URI, or the registrar"""
    ua = registered(60, b"Service-Route: <sip:p1.example.org;lr>\r\n")
    transmit = only(ua.send(b"c1", b"sip:desk@example.com", b"hot", NOW))
    transmit = only(replied(ua, transmit, b"302 Moved", b"Contact: <sip:desk@example.net>\r\n"))
    message = Message(transmit.data)
    assert (transmit.flow[1], message.uri) == (b"p1.example.org", b"sip:desk@example.net")
    assert message.get(b"route") == b"<sip:p1.example.org;lr>"
    transmit = only(
        replied(
            ua, only(ua.settled(ua.registration.start(NOW), NOW)), b"302 Moved", b"Contact: <sip:reg.example.net>\r\n"
        )
    )
    message = Message(transmit.data)
    assert (transmit.flow[1], message.uri, message.get(b"route")) == (b"reg.example.net", b"sip:reg.example.net", None)


def test_a_first_hop_without_tcp_is_sent_to_over_udp():
    """R3261-18-2: as a target is, where our preference alone led to TCP; never what a caller chose for an im: URI"""
    ua = Settled(b"sip:boiler@example.org", b"192.0.2.7:5060", steady(), transport=b"TCP")
    granted = b"Contact: <sip:boiler@192.0.2.7:5060;transport=tcp>\r\nService-Route: <sip:192.0.2.3;lr>\r\n"
    replied(ua, only(ua.register(NOW)), b"200 OK", granted)
    for target in (b"sip:desk@example.com", b"im:desk@example.com"):
        transmit = only(ua.send(target, target, b"hot", NOW))
        assert transmit.flow == (b"TCP", b"192.0.2.3", 5060)
        assert only(ua.failed(transmit.flow, NOW)).flow == (b"UDP", b"192.0.2.3", 5060)
    ua = board()
    flow = only(ua.send(b"c1", b"im:desk@192.0.2.3", b"hot", NOW, flow=STREAM)).flow
    assert only(ua.failed(flow, NOW)).status == 503


def test_a_route_ends_with_the_binding_however_that_ends():
    for status_line in (b"200 OK", b"500 No"):
        ua = registered(60, b"Service-Route: <sip:p1.example.org;lr>\r\n")
        transmit = only(ua.unregister(NOW))
        assert replied(ua, transmit, status_line) == [Registered(0)]
        assert Message(only(ua.send(b"c1", b"sip:desk@example.com", b"hot", NOW)).data).get(b"route") is None


def test_unregistering_asks_for_no_seconds_and_ends_all():
    """RFC 3261 section 10.2.2: no renewal, no ping, whatever the answer is"""
    for status_line, fields in (
        (b"200 OK", b""),
        (b"200 OK", OK),
        (b"403 No", b""),
        (b"423 No", b"Min-Expires: 9\r\n"),
    ):
        ua = registered()
        transmit = only(ua.unregister(NOW))
        message = Message(transmit.data)
        assert (message.get(b"expires"), message.get(b"contact")) == (b"0", CONTACT)
        assert replied(ua, transmit, status_line, fields) == [Registered(0)]
        assert not ua.registration.bound
        assert ua.wait_ms(NOW) is None


def test_unregistering_is_challenged_like_registering():
    """R3261-22-2: and a server that is gone is no reason to wait for more than a timeout"""
    ua = registered()
    ua.uac.settings["credentials"] = ((b"", b"boiler", b"secret"),)
    transmit = only(replied(ua, only(ua.unregister(NOW)), b"401 Unauthorized", CHALLENGE))
    assert Message(transmit.data).get(b"expires") == b"0"
    log = events_until(ua, 100000)
    assert log[-1] == (32000, Registered(0)) and len(log) == 11


def test_unregistering_while_a_register_is_on_its_way_follows_it():
    """What the first one binds is taken away by a second one; there is one Registered(0)"""
    for status_line, fields in ((b"200 OK", OK), (b"500 No", b""), (b"423 No", b"Min-Expires: 7200\r\n")):
        ua, transmit = registering()
        assert list(ua.unregister(NOW)) == []
        transmit = only(replied(ua, transmit, status_line, fields))
        message = Message(transmit.data)
        assert (message.get(b"expires"), message.get(b"cseq")) == (b"0", b"2 REGISTER")
        assert list(ua.unregister(NOW)) == []
        assert replied(ua, transmit, b"200 OK") == [Registered(0)]
        assert ua.wait_ms(NOW) is None


def test_one_may_register_again_after_unregistering():
    ua = registered()
    replied(ua, only(ua.unregister(NOW)), b"200 OK")
    transmit = only(ua.register(NOW))
    assert Message(transmit.data).get(b"expires") == b"3600"
    assert replied(ua, transmit, b"200 OK", OK) == [Registered(3600)]
    assert until(later(NOW, ua.wait_ms(NOW)), NOW) == 25000


def test_an_address_seen_on_a_stream_is_one_for_streams():
    """a registrar that failed over UDP was reached over TCP: nobody finds that port over UDP"""
    ua = UserAgent(b"sip:boiler@example.org", b"192.0.2.7:5060", steady())
    place = only(ua.register(NOW)).uri
    first = only(ua.resolved(place, [REGISTRAR, STREAM], NOW))
    second = only(ua.failed(first.flow, NOW))
    assert second.flow == STREAM
    assert only(ua.receive(seen_as(second, b";received=192.0.2.9;rport=40000"), STREAM, NOW)).uri == place
    third = only(ua.resolved(place, ua.live_first([REGISTRAR, STREAM], NOW), NOW))
    moved = b"<sip:boiler@192.0.2.9:40000;transport=tcp>, %s;expires=0" % CONTACT
    assert (third.flow, Message(third.data).get(b"contact")) == (STREAM, moved)


def test_the_port_that_a_stream_left_from_is_no_contact():
    """R0-P16, RFC 3261 section 18.1.1: new connections come where we listen; behind a NAT, and where we don't, it is
    all there is"""
    for sent_by, seen, moves in (
        (b"192.0.2.7:5060", b"192.0.2.7", False),
        (b"192.0.2.7", b"192.0.2.7", True),
        (b"[2001:db8::7]:5060", b"2001:db8::7", False),
        (b"[2001:db8::7]", b"[2001:db8::7]", True),
        (b"192.0.2.7:5060", b"198.51.100.1", True),
    ):
        ua = Settled(b"sip:boiler@example.org", sent_by, steady(), proxy=b"sip:192.0.2.1;transport=tcp")
        transmit = only(ua.register(NOW))
        event = only(ua.receive(seen_as(transmit, b";received=%s;rport=40000" % seen), STREAM, NOW))
        assert (type(event) is Transmit) == moves, (sent_by, seen)


def test_the_address_that_the_registrar_saw_is_read_however_it_is_written():
    """R3581-1"""
    for written in (b";Received=198.51.100.1;RPort=40000", b" ; rport = 40000 ;received= 198.51.100.1"):
        ua, transmit = registering()
        transmit = only(ua.receive(seen_as(transmit, written), REGISTRAR, NOW))
        assert Message(transmit.data).get(b"contact").startswith(b"<sip:boiler@198.51.100.1:40000>")


def test_a_contact_that_moves_keeps_its_other_parameters():
    ua, transmit = registering(contact=b"sip:boiler@192.0.2.7;ob;transport=udp")
    transmit = only(ua.receive(seen_as(transmit, b";received=198.51.100.1;rport=40000"), REGISTRAR, NOW))
    assert Message(transmit.data).get(b"contact").startswith(b"<sip:boiler@198.51.100.1:40000;ob>, ")
