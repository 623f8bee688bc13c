"""A binding at a registrar, RFC 3261 section 10: asked for, renewed, refused, moved and taken away."""

from agent.clock import later
from agent.errors import UsageError
from agent.events import Outcome, Transmit
from agent.message import Message
from agent.registration import Registered, RegistrationLost
from tests.helpers import NOW, Settled, answer, board, changed, only, raises, sent
from tests.registrar import CONTACT, OK, REGISTRAR, registered, registering, replied, steady


def test_a_register_is_written_field_by_field():
    """R3261-8.1-6, R3261-8.1-7, R3261-8.1-8, R3581-1: To and From are ours, the Request-URI has no user"""
    ua, transmit = registering()
    assert transmit == Transmit(
        b"REGISTER sip:example.org SIP/2.0\r\n"
        b"Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK0000000000000003;rport\r\n"
        b"Max-Forwards: 70\r\n"
        b"From: <sip:boiler@example.org>;tag=00000002\r\n"
        b"To: <sip:boiler@example.org>\r\n"
        b"Call-ID: 00000000000000000001\r\n"
        b"CSeq: 1 REGISTER\r\n"
        b"Contact: <sip:boiler@192.0.2.7:5060>\r\n"
        b"Expires: 3600\r\n"
        b"Allow: MESSAGE, OPTIONS\r\n"
        b"Supported: path, outbound\r\n"
        b"Content-Length: 0\r\n"
        b"\r\n",
        REGISTRAR,
    )
    assert not ua.registration.bound


def test_registrar_contact_and_instance_may_be_given():
    urn = b"urn:uuid:00000000-0000-1000-8000-000A95A0E128"
    _, transmit = registering(
        registrar=b"sip:192.0.2.1:5070;transport=tcp", contact=b"sip:b@h.example;x=1", instance=urn
    )
    assert transmit.flow == (b"TCP", b"192.0.2.1", 5070)
    message = Message(transmit.data)
    assert message.uri == b"sip:192.0.2.1:5070;transport=tcp"
    assert message.get(b"contact") == b'<sip:b@h.example;x=1>;+sip.instance="<%s>";reg-id=1' % urn


def test_a_contact_names_the_transport_that_the_registrar_is_asked_over():
    for proxy, flow, contact in (
        (b"sip:192.0.2.1;transport=tcp", (b"TCP", b"192.0.2.1", 5060), b";transport=tcp"),
        (b"sips:192.0.2.1", (b"TLS", b"192.0.2.1", 5061), b";transport=tls"),
        (b"sip:192.0.2.1", (b"UDP", b"192.0.2.1", 5060), b""),
    ):
        transmit = only(board(proxy=proxy).register(NOW))
        assert transmit.flow == flow
        message = Message(transmit.data)
        assert message.uri == b"sip:example.org"
        assert message.get(b"contact") == b"<sip:boiler@192.0.2.7:5060%s>" % contact
    ua = Settled(b"sips:boiler@example.org", b"192.0.2.7:5061", steady())
    transmit = only(ua.register(NOW))
    assert transmit.flow == (b"TLS", b"example.org", 5061)
    assert Message(transmit.data).get(b"contact") == b"<sips:boiler@192.0.2.7:5061>"


def test_a_port_of_our_own_address_is_that_of_the_registrar():
    ua = Settled(b"sip:boiler@example.org:5070", b"192.0.2.7:5060", steady())
    transmit = only(ua.register(NOW))
    assert transmit.flow == (b"UDP", b"example.org", 5070)
    message = Message(transmit.data)
    assert (message.uri, message.get(b"contact")) == (b"sip:example.org:5070", CONTACT)


def test_a_registrar_or_contact_that_is_no_uri_is_the_callers_error():
    for options in ({"registrar": b"example.org"}, {"registrar": b"tel:1"}, {"contact": b"boiler"}):
        ua = board()
        raises(UsageError, lambda ua=ua, options=options: ua.register(NOW, **options))
        assert ua.registration is None and ua.wait_ms(NOW) is None


def test_it_is_one_transaction_like_any_other():
    """R3261-17.1-1, R3261-17.1-3, R3261-8.1-9: eleven times the same octets, and a timeout is a 408"""
    ua, transmit = registering()
    times = []
    ms = 0
    while ms < 32000:
        ms += ua.wait_ms(later(NOW, ms))
        events = list(ua.wake(later(NOW, ms)))
        if ms < 32000:
            assert events == [transmit]
            times.append(ms)
    assert times == [500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500]
    assert events == [RegistrationLost(408, 30, b"")]


def test_a_challenge_is_answered_and_only_the_end_is_told():
    """R3261-22-2, R3261-8.1-5: next CSeq, same Call-ID, tag and Contact, new branch"""
    ua, first = registering()
    ua.uac.settings["credentials"] = ((b"example.org", b"boiler", b"secret"),)
    challenge = b'WWW-Authenticate: Digest realm="example.org", nonce="n1", algorithm=SHA-256, qop="auth"\r\n'
    second = only(replied(ua, first, b"401 Unauthorized", challenge))
    one, other = Message(first.data), Message(second.data)
    for name in (b"call-id", b"from", b"to", b"contact", b"expires"):
        assert one.get(name) == other.get(name)
    assert one.get(b"via") != other.get(b"via")
    assert other.get(b"cseq") == b"2 REGISTER"
    credentials = other.get(b"authorization")
    assert credentials.startswith(b'Digest username="boiler", realm="example.org", nonce="n1", uri="sip:example.org"')
    assert replied(ua, second, b"200 OK", OK) == [Registered(3600)]
    renewal = only([event for event in ua.wake(later(NOW, 2400000)) if type(event) is Transmit])
    message = Message(renewal.data)
    assert message.get(b"cseq") == b"3 REGISTER" and message.get(b"call-id") == one.get(b"call-id")
    assert b"nc=00000002" in message.get(b"authorization")  # the nonce serves again


def test_a_nonce_is_counted_whatever_the_method():
    """R0-P16, RFC 7616 section 3.4: a server that gives one nonce to all requests takes each count once"""
    ua, first = registering()
    ua.uac.settings["credentials"] = ((b"example.org", b"boiler", b"secret"),)
    challenge = b'WWW-Authenticate: Digest realm="example.org", nonce="n1", algorithm=SHA-256, qop="auth"\r\n'
    second = only(replied(ua, first, b"401 Unauthorized", challenge))
    assert replied(ua, second, b"200 OK", OK) == [Registered(3600)]
    plain = only(ua.send(b"c", b"sip:desk@example.org", b"hi", NOW))
    third = only(replied(ua, plain, b"401 Unauthorized", challenge))
    renewal = only([event for event in ua.wake(later(NOW, 2400000)) if type(event) is Transmit])
    counts = [Message(one.data).get(b"authorization")[-8:] for one in (second, third, renewal)]
    assert counts == [b"00000001", b"00000002", b"00000003"]


def test_a_password_that_is_wrong_is_a_loss():
    """R3428-11.2: one attempt, then the pause"""
    for credentials, requests in (((), 1), (((b"", b"boiler", b"wrong"),), 2)):
        ua, transmit = registering()
        ua.uac.settings["credentials"] = credentials
        count = 0
        while type(transmit) is Transmit:
            count += 1
            assert count < 5
            challenge = b'WWW-Authenticate: Digest realm="r", nonce="%d", algorithm=SHA-256, qop="auth"\r\n' % count
            transmit = only(replied(ua, transmit, b"401 Unauthorized", challenge))
        assert (transmit, count) == (RegistrationLost(401, 30, b"Unauthorized"), requests)


def test_the_registrar_says_for_how_long():
    """RFC 3261 section 10.2.4: in our Contact among others, else in Expires, else it is what we asked for"""
    for fields, seconds in (
        (b"Contact: %s;expires=120\r\n" % CONTACT, 120),
        (b"Contact: %s;expires=120\r\nExpires: 60\r\n" % CONTACT, 120),
        (b"Contact: %s\r\nExpires: 60\r\n" % CONTACT, 60),
        (b"m: %s\r\n" % CONTACT, 3600),
        (b"Contact: %s;expires=soon\r\n" % CONTACT, 3600),
        (b'Contact: "a, b" <sip:boiler@192.0.2.8>;expires=9, %s;q=0.5;expires=99\r\n' % CONTACT, 99),
        (b"Contact: <sip:boiler@192.0.2.8:5060>;expires=9\r\nContact: %s;expires=99\r\n" % CONTACT, 99),
        (b"Contact: <tel:1>, sip:boiler@192.0.2.7:5060;expires=99\r\n", 99),
        (b'Contact: %s;expires=99, "x <sip:y>\r\n' % CONTACT, 99),  # what others have bound is their affair
        (b"Contact: <sip:%62oiler@192.0.2.7:5060;ob>;expires=99\r\n", 99),  # equal by section 19.1.4
    ):
        ua, transmit = registering()
        assert replied(ua, transmit, b"200 OK", fields) == [Registered(seconds)]
        assert ua.registration.bound


def test_every_2xx_is_a_binding_and_nothing_else_is():
    """R3261-8.1-10: an unknown one is as a 200, and its Contact leads nowhere"""
    for line in (b"200 OK", b"202 Accepted", b"299 "):
        ua, transmit = registering()
        assert replied(ua, transmit, line, OK) == [Registered(3600)]
    for line in (b"300 Which", b"399 ", b"400 Bad", b"600 No"):
        ua, transmit = registering()
        assert replied(ua, transmit, line) == [RegistrationLost(int(line[:3]), 30, line[4:])]


def test_a_200_is_a_binding_though_it_does_not_list_our_contact():
    """R0-P16: routers and servers rewrite or forget it. The seconds are those of Expires, else of the only Contact,
    else what we asked for"""
    for fields, seconds in (
        (b"", 3600),
        (b"Expires: 0090\r\n", 90),
        (b"Contact: <sip:boiler@10.9.8.7:40000>;expires=60\r\n", 60),
        (b'Contact: "x" <sip:boiler@192.0.2.7>; EXPIRES = "60"\r\n', 60),  # no port isn't 5060, section 19.1.4
        (b"Contact: <sip:boiler@10.9.8.7>;expires=60\r\nExpires: 90\r\n", 90),
        (b"Contact: <sip:a@10.9.8.7>;expires=60, <sip:b@10.9.8.7>;expires=70\r\n", 3600),
        (b"Contact: *\r\n", 3600),
        (b"Contact: <sip:boiler@192.0.2.7:5060\r\n", 3600),
    ):
        ua, transmit = registering()
        assert replied(ua, transmit, b"200 OK", fields) == [Registered(seconds)], fields
        assert ua.registration.bound


def test_a_200_that_grants_no_time_is_no_binding():
    lost = RegistrationLost(200, 30, b"it grants no time")
    for fields in (
        b"Contact: %s;expires=0\r\n" % CONTACT,
        b"Contact: <sip:boiler@192.0.2.8:5060>;expires=0\r\n",
        b"Expires: 0\r\n",
    ):
        ua, transmit = registering()
        assert replied(ua, transmit, b"200 OK", fields) == [lost]
        assert not ua.registration.bound
    ua, transmit = registering(expires=1)
    assert replied(ua, transmit, b"200 OK", b"Contact: %s;expires=0\r\n" % CONTACT) == [lost]


def test_what_a_registrar_says_of_a_refusal_is_told():
    """R0-P16: reason phrase and the text of a Warning (RFC 3261 section 20.43)"""
    for fields, reason in (
        (b"", b"Forbidden"),
        (b'Warning: 399 example.org "too many phones"\r\n', b"Forbidden: too many phones"),
        (b"Warning: 399 example.org\r\n", b"Forbidden"),
    ):
        ua, transmit = registering()
        assert replied(ua, transmit, b"403 Forbidden", fields) == [RegistrationLost(403, 30, reason)]


def test_outbound_is_left_out_for_good_where_it_is_refused():
    """R0-P16, RFC 5626 section 4.2.1: after a 439, or a 420 that lists it, one more REGISTER without it, at once"""
    for line, fields, left in (
        (b"439 First Hop Lacks Outbound Support", b"", b"path"),
        (b"420 Bad Extension", b"Unsupported: gruu, OUTBOUND\r\n", b"path"),
        (b"420 Bad Extension", b"", b"path"),
        (b"420 Bad Extension", b"Unsupported: outbound\r\nUnsupported: path\r\n", b""),
    ):
        ua, transmit = registering(instance=b"urn:uuid:1")
        assert b"reg-id=1" in transmit.data and b"Supported: path, outbound\r\n" in transmit.data
        transmit = only(replied(ua, transmit, line, fields))
        assert b"reg-id" not in transmit.data and b"sip.instance" not in transmit.data
        assert Message(transmit.data).get(b"supported") == left
        assert replied(ua, transmit, line, fields) == [RegistrationLost(int(line[:3]), 30, line[4:])]
        transmit = only(ua.wake(later(NOW, 30000)))
        assert b"reg-id" not in transmit.data
        assert replied(ua, transmit, b"200 OK", OK) == [Registered(3600)]
    ua, transmit = registering(instance=b"urn:uuid:1")
    gruu = b"Unsupported: gruu\r\n"
    assert replied(ua, transmit, b"420 Bad Extension", gruu) == [RegistrationLost(420, 30, b"Bad Extension")]


def test_an_interval_too_brief_is_asked_for_again_with_what_is_long_enough():
    """RFC 3261 section 10.2.8: at once, with the next CSeq, where Min-Expires is more than we asked for"""
    ua, transmit = registering(expires=60)
    transmit = only(replied(ua, transmit, b"423 Interval Too Brief", b"Min-Expires: 300\r\n"))
    message = Message(transmit.data)
    assert (message.get(b"expires"), message.get(b"cseq")) == (b"300", b"2 REGISTER")
    assert replied(ua, transmit, b"200 OK", b"Contact: %s\r\n" % CONTACT) == [Registered(300)]
    transmit = only(ua.settled(ua.registration.start(NOW), NOW))
    assert Message(transmit.data).get(b"expires") == b"300"
    assert replied(ua, transmit, b"500 No") == [RegistrationLost(500, 30, b"No")]
    assert Message(only(ua.wake(later(NOW, 30000))).data).get(b"expires") == b"60"  # the next one may be less strict
    for fields in (b"", b"Min-Expires: 60\r\n", b"Min-Expires: 30\r\n", b"Min-Expires: -1\r\n"):
        ua, transmit = registering(expires=60)
        assert replied(ua, transmit, b"423 Interval Too Brief", fields) == [
            RegistrationLost(423, 30, b"Interval Too Brief")
        ]


def test_min_expires_counts_in_a_423_alone():
    """RFC 3261 section 10.3: elsewhere it asks for nothing"""
    for line in (b"400 Bad", b"403 No", b"500 Oh"):
        ua, transmit = registering()
        assert replied(ua, transmit, line, b"Min-Expires: 7200\r\n") == [RegistrationLost(int(line[:3]), 30, line[4:])]


def test_a_registrar_that_asks_for_more_each_time_is_followed_once_for_each_renewal():
    more = b"423 Interval Too Brief"
    ua, transmit = registering(expires=60)
    transmit = only(replied(ua, transmit, more, b"Min-Expires: 300\r\n"))
    assert replied(ua, transmit, more, b"Min-Expires: 301\r\n") == [RegistrationLost(423, 30, b"Interval Too Brief")]
    transmit = only(replied(ua, only(ua.wake(later(NOW, 30000))), more, b"Min-Expires: 301\r\n"))
    assert replied(ua, transmit, b"200 OK", b"Contact: %s\r\n" % CONTACT) == [Registered(301)]
    transmit = only(replied(ua, only(ua.settled(ua.registration.start(NOW), NOW)), more, b"Min-Expires: 400\r\n"))
    assert Message(transmit.data).get(b"expires") == b"400"


def test_a_binding_is_renewed_in_time():
    """Half-way, or twenty minutes before its end when it is long; once a day at least"""
    for seconds, renew_s in (
        (1, 1),
        (2, 1),
        (60, 30),
        (1800, 900),
        (2400, 1200),
        (2401, 1201),
        (3600, 2400),
        (4294967295, 86400),
    ):
        ua = registered(seconds)
        at = later(NOW, renew_s * 1000)
        assert [event for event in ua.wake(later(at, -1)) if b"REGISTER" in event.data] == []
        renewal = Message(only(ua.settled(ua.registration.wake(at), at)).data)
        assert (renewal.get(b"cseq"), renewal.get(b"expires")) == (b"2 REGISTER", b"3600")
        assert ua.registration.bound  # the old binding holds while the new one is asked for


def test_a_renewal_is_told_and_the_next_one_follows():
    """R3261-8.1-3, R3261-8.1-5: same Call-ID, CSeq one up each time, a tag of its own"""
    ua = registered(60)
    call_ids, tags = [], []
    for i in range(1, 5):
        now = later(NOW, 30000 * i)
        events = [event for event in ua.wake(later(now, -1)) if b"REGISTER" in event.data]
        assert events == []
        transmit = only(ua.wake(now))
        message = Message(transmit.data)
        assert message.get(b"cseq") == b"%d REGISTER" % (i + 1)
        call_ids.append(message.get(b"call-id"))
        tags.append(message.get(b"from"))
        assert replied(ua, transmit, b"200 OK", b"Contact: %s;expires=60\r\n" % CONTACT, now) == [Registered(60)]
    assert len(set(call_ids)) == 1 and len(set(tags)) == 4


def test_the_more_attempts_fail_the_longer_the_pause():
    """RFC 5626 section 4.5: 30 s, doubled each time up to half an hour; between half of it and all by chance"""
    for octet, pauses in (
        (0, (30, 60, 120, 240, 480, 960, 1800, 1800, 1800)),
        (255, (16, 31, 61, 121, 241, 482, 904, 904, 904)),
    ):
        ua, transmit = registering(octet)
        now = NOW
        for pause_s in pauses:
            assert replied(ua, transmit, b"500 Server Internal Error", now=now) == [
                RegistrationLost(500, pause_s, b"Server Internal Error")
            ]
            assert ua.wait_ms(now) == pause_s * 1000
            assert list(ua.wake(later(now, pause_s * 1000 - 1))) == []
            now = later(now, pause_s * 1000)
            transmit = only(ua.wake(now))
        assert replied(ua, transmit, b"200 OK", OK, now) == [Registered(3600)]
        transmit = only(ua.settled(ua.registration.wake(later(now, 2400000)), later(now, 2400000)))
        assert replied(ua, transmit, b"500 No", now=now) == [RegistrationLost(500, pauses[0], b"No")]  # it counts anew


def test_retry_after_makes_a_pause_longer_never_shorter():
    """R3428-T2.10: an hour at most; what can't be read is left out"""
    for value, pause_s in (
        (b"120", 120),
        (b"120;duration=3600", 120),
        (b"120 (maintenance)", 120),
        (b"5", 30),
        (b"0", 30),
        (b"99999999", 3600),
        (b"soon", 30),
        (b"-1", 30),
    ):
        for status in (480, 503, 600):
            ua, transmit = registering()
            events = replied(ua, transmit, b"%d Later" % status, b"Retry-After: %s\r\n" % value)
            assert events == [RegistrationLost(status, pause_s, b"Later")]
            assert ua.wait_ms(NOW) == pause_s * 1000


def test_a_stray_answer_changes_nothing():
    """R3261-17.1-6, R3261-17.1-4: another branch, another method, the same once more"""
    ua, transmit = registering()
    good = answer(transmit.data, b"200 OK", OK)
    for bad in (changed(good, b"0000000000000003", b"0000000000000004"), changed(good, b"1 REGISTER", b"1 MESSAGE")):
        ua.receive(bad, REGISTRAR, NOW)
        assert not ua.registration.bound
    assert only(ua.receive(good, REGISTRAR, NOW)) == Registered(3600)
    assert Registered(3600) not in list(ua.receive(good, REGISTRAR, NOW))


def test_whoever_we_speak_for_later_the_binding_stays_whose_it_was():
    ua = registered(60)
    ua.uac.aor = b"sip:lamp@example.org"
    assert ua.wait_ms(later(NOW, 40000)) == 0  # overdue
    message = Message(only(ua.settled(ua.registration.wake(later(NOW, 40000)), later(NOW, 40000))).data)
    assert message.get(b"to") == b"<sip:boiler@example.org>"
    assert message.get(b"from").startswith(b"<sip:boiler@example.org>;")


def test_messages_go_on_meanwhile():
    """R3428-8.4: a REGISTER to a host and a MESSAGE to it don't wait for each other"""
    ua, transmit = registering()
    message = only(ua.send(b"c1", b"sip:example.org", b"hot", NOW))
    assert sent([message]).method == b"MESSAGE"
    assert replied(ua, message, b"200 OK") == [Outcome(b"c1", "delivered", 200, b"OK", None)]
    assert replied(ua, transmit, b"200 OK", OK) == [Registered(3600)]
    message = sent(ua.send(b"c2", b"sip:example.org", b"hot", NOW))
    assert message.get(b"contact") is None and message.get(b"supported") is None


def test_seconds_granted_are_read_however_the_parameter_is_written():
    for written in (
        b";Expires=60",
        b"; expires=60",
        b";expires = 60",
        b';methods="A, B";expires=60',
        b";q=1;expires=60",
    ):
        ua, transmit = registering()
        fields = b"Contact: %s%s\r\n" % (CONTACT, written)
        assert replied(ua, transmit, b"200 OK", fields) == [Registered(60)], written
