"""Requests that are taken, and the responses to them: RFC 3428 section 7, RFC 3261 sections 8.2.6, 17.2 and 18."""

from agent.clock import later
from agent.errors import UsageError
from agent.events import Transmit
from agent.message import Message
from agent.qualities import LEARNED, NTP, RTC
from agent.uas import MessageReceived
from tests.helpers import (
    MESSAGE,
    NOW,
    TCP,
    UDP,
    changed,
    deliver,
    desk,
    only,
    raises,
    sent,
    with_body,
    with_field,
    without,
)

NEVER_IN_2XX = (
    b"contact",
    b"content-type",
    b"accept",
    b"accept-encoding",
    b"accept-language",
    b"record-route",
    b"require",
    b"supported",
)
OTHER = changed(MESSAGE, b"776sgdkse", b"other", b"asd88asd77a", b"other")


def test_line_ends_before_a_request_are_no_part_of_it():
    """R3261-18-11: RFC 3261 section 7.5; a repetition may come without them"""
    ua = desk()
    assert deliver(ua, b"\r\n\r\n" + MESSAGE)[0] == 200
    assert len(ua.receive(MESSAGE, UDP, NOW)) == 1
    assert ua.receive(b"\r\n", UDP, NOW) == ua.receive(b"\0", UDP, NOW) == ()


def test_a_message_is_taken_and_answered_at_once():
    """R3428-7.1, R3428-7.2, R3428-7.8, R3428-3.2: the event has what the application needs"""
    ua = desk()
    event = only(ua.receive(MESSAGE, UDP, NOW))
    assert type(event) is MessageReceived
    assert (event.sender, event.call_id) == (b"sip:boiler@example.org", b"asd88asd77a@1.2.3.4")
    assert (event.message.uri, event.message.body) == (b"sip:desk@example.org", b"Watson, come here.")
    assert (event.flow, event.date, event.expired, event.stale) == (UDP, None, False, False)
    assert only(ua.respond(event, 200, NOW)) == Transmit(
        b"SIP/2.0 200 OK\r\n"
        b"Via: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bK776sgdkse\r\n"
        b"From: <sip:boiler@example.org>;tag=49583\r\n"
        b"To: <sip:desk@example.org>;tag=00000001\r\n"
        b"Call-ID: asd88asd77a@1.2.3.4\r\n"
        b"CSeq: 1 MESSAGE\r\n"
        b"Content-Length: 0\r\n"
        b"\r\n",
        UDP,
    )


def test_a_2xx_has_no_body_no_contact_and_no_accept():
    """R3428-7.4, R3428-7.5, R3428-7.6, R3428-T1.2, R3428-T1.5, R3428-T1.8, R3428-T1.22, R3261-8.2-10: 200 and 202"""
    for status, reason in ((200, b"OK"), (202, b"Accepted"), (299, b"")):
        ua = desk()
        ua.clock.set(1289690940, NTP, NOW)
        event = only(ua.receive(with_field(b"Contact: <sip:x@192.0.2.1>\r\nAccept: */*"), UDP, NOW))
        response = sent(ua.respond(event, status, NOW))
        assert (response.status, response.reason) == (status, reason)
        for name in NEVER_IN_2XX:
            assert response.get(name) is None
        assert response.get(b"content-length") == b"0"
        assert response.body == b""


def test_an_application_may_say_why_in_its_own_words():
    """R3428-11.7, R8591-8: one status has more than one meaning"""
    for status, reason, said in (
        (400, b"", b"Bad Request"),
        (400, b"Incorrect Date or Time", b"Incorrect Date or Time"),
        (493, b"", b"Undecipherable"),
    ):
        ua = desk()
        response = sent(ua.respond(only(ua.receive(MESSAGE, UDP, NOW)), status, NOW, reason))
        assert (response.status, response.reason) == (status, said)


def test_each_status_has_the_phrase_of_its_rfc():
    """RFC 3261 section 21, RFC 3428 section 7; one that nobody knows has none."""
    for status, phrase in (
        (200, b"OK"),
        (202, b"Accepted"),
        (400, b"Bad Request"),
        (403, b"Forbidden"),
        (404, b"Not Found"),
        (405, b"Method Not Allowed"),
        (415, b"Unsupported Media Type"),
        (416, b"Unsupported URI Scheme"),
        (420, b"Bad Extension"),
        (480, b"Temporarily Unavailable"),
        (481, b"Call/Transaction Does Not Exist"),
        (482, b"Loop Detected"),
        (483, b"Too Many Hops"),
        (493, b"Undecipherable"),
        (499, b""),
        (501, b"Not Implemented"),
        (503, b"Service Unavailable"),
        (603, b"Decline"),
    ):
        ua = desk()
        response = sent(ua.respond(only(ua.receive(MESSAGE, UDP, NOW)), status, NOW))
        assert (response.status, response.reason) == (status, phrase)


def test_no_response_has_an_alert_info_or_a_contact():
    """R3428-T1.11, R3428-T1.21, R3428-4.5: whatever the status"""
    for status in (200, 202, 302, 400, 403, 404, 415, 480, 486, 500, 503, 600, 603):
        ua = desk()
        response = sent(ua.respond(only(ua.receive(MESSAGE, UDP, NOW)), status, NOW))
        assert response.status == status
        assert response.get(b"contact") is None and response.get(b"alert-info") is None


def test_the_application_sends_no_provisional_and_no_408():
    """R4320-1, R4320-5: refused to the caller"""
    ua = desk()
    event = only(ua.receive(MESSAGE, UDP, NOW))
    for status in (100, 180, 183, 199, 408, 700, 0):
        raises(UsageError, ua.respond, event, status, NOW)
    assert sent(ua.respond(event, 200, NOW)).status == 200


def test_a_response_copies_what_it_has_to():
    """R3261-8.2-12, R3428-T1.18, R3428-T1.30, R3428-T1.34, R3428-T2.16, R3428-T2.20, R3261-17.2-5: all octets"""
    data = changed(
        MESSAGE,
        b";branch=z9hG4bK776sgdkse\r\n",
        b";branch=Z9HG4bK776SGDkse;x=Y\r\nv: SIP/2.0/TCP a.example.org;branch=1,SIP/2.0/UDP b\r\nVIA:SIP/2.0/TLS c\r\n",
        b"From: <sip:boiler@example.org>;tag=49583",
        b'f: "A, \\"B\\"" <sip:boiler@example.org;x=y>;Tag=49583;z',
        b"Call-ID: asd88asd77a@1.2.3.4",
        b'i: a"b<c>@[d]',
        b"CSeq: 1 MESSAGE",
        b"CSeq:  0001\t MESSAGE",
    )
    ua = desk()
    response = sent(ua.respond(only(ua.receive(data, UDP, NOW)), 200, NOW))
    assert response.all(b"via") == [
        b"SIP/2.0/UDP 192.0.2.1:5062;branch=Z9HG4bK776SGDkse;x=Y",
        b"SIP/2.0/TCP a.example.org;branch=1",
        b"SIP/2.0/UDP b",
        b"SIP/2.0/TLS c",
    ]
    assert response.get(b"from") == b'"A, \\"B\\"" <sip:boiler@example.org;x=y>;Tag=49583;z'
    assert response.get(b"to") == b"<sip:desk@example.org>;tag=00000001"
    assert response.get(b"call-id") == b'a"b<c>@[d]'
    assert response.get(b"cseq").split() == [b"0001", b"MESSAGE"]


def test_the_top_via_says_where_the_request_came_from():
    """R3261-18-5, R3581-2, R3581-4, R3261-19-5: received and rport are never the peer's word"""
    for via, flow, expected in (
        (b"192.0.2.1:5062;branch=z9hG4bK1", UDP, b"192.0.2.1:5062;branch=z9hG4bK1"),
        (b"192.0.2.1;branch=z9hG4bK1;rport", UDP, b"192.0.2.1;branch=z9hG4bK1;received=192.0.2.1;rport=5062"),
        (b"b.example.org;branch=z9hG4bK1", UDP, b"b.example.org;branch=z9hG4bK1;received=192.0.2.1"),
        (b"10.0.0.1:5060;rport;branch=z9hG4bK1", UDP, b"10.0.0.1:5060;branch=z9hG4bK1;received=192.0.2.1;rport=5062"),
        (b"10.0.0.1;received=6.6.6.6;branch=z9hG4bK1", UDP, b"10.0.0.1;branch=z9hG4bK1;received=192.0.2.1"),
        (b"192.0.2.1;received=6.6.6.6;branch=z9hG4bK1", UDP, b"192.0.2.1;branch=z9hG4bK1"),
        (b"10.0.0.1;rport=99;branch=z9hG4bK1", UDP, b"10.0.0.1;branch=z9hG4bK1;received=192.0.2.1;rport=5062"),
        (b"[2001:DB8::1];branch=z9hG4bK1", (b"UDP", b"2001:db8::1", 5060), b"[2001:DB8::1];branch=z9hG4bK1"),
        (
            b"[2001:db8::2];rport;branch=z9hG4bK1",
            (b"UDP", b"2001:db8::1", 5),
            b"[2001:db8::2];branch=z9hG4bK1;received=2001:db8::1;rport=5",
        ),
    ):
        ua = desk()
        event = only(ua.receive(changed(MESSAGE, b"192.0.2.1:5062;branch=z9hG4bK776sgdkse", via), flow, NOW))
        assert sent(ua.respond(event, 200, NOW)).get(b"via") == b"SIP/2.0/UDP " + expected


def test_a_response_goes_back_to_where_the_request_came_from():
    """R3261-18-6, R3261-18-7, R3581-3: to Via's port, the source's with rport, or the connection; maddr never"""
    for via, flow, port in (
        (b"10.0.0.1:5070;branch=z9hG4bK1", UDP, 5070),
        (b"10.0.0.1;branch=z9hG4bK1", UDP, 5060),
        (b"10.0.0.1:5070;branch=z9hG4bK1;rport", UDP, 5062),
        (b"10.0.0.1:5070;branch=z9hG4bK1;maddr=198.51.100.1", UDP, 5070),
        (b"10.0.0.1:5070;branch=z9hG4bK1", (b"TCP", b"192.0.2.1", 49152), 49152),
    ):
        ua = desk()
        flow = (flow[0], flow[1], flow[2], "a shell's own item")
        event = only(ua.receive(changed(MESSAGE, b"192.0.2.1:5062;branch=z9hG4bK776sgdkse", via), flow, NOW))
        assert only(ua.respond(event, 200, NOW)).flow == (flow[0], b"192.0.2.1", port, "a shell's own item")


def test_a_response_is_dated_by_a_good_clock_alone():
    """R3428-T1.31, R3428-11.11: a clock that was learned from others does not teach others"""
    time = b"Sat, 13 Nov 2010 23:29:00 GMT"
    for quality, date in ((None, None), (LEARNED, None), (RTC, time), (NTP, time)):
        ua = desk()
        if quality is not None:
            ua.clock.set(1289690940, quality, NOW)
        assert sent(ua.respond(only(ua.receive(MESSAGE, UDP, NOW)), 200, NOW)).get(b"date") == date
    for status, date in ((202, time), (299, time), (300, None), (404, None), (603, None)):  # a 2xx teaches
        ua = desk()
        ua.clock.set(1289690940, NTP, NOW)
        assert sent(ua.respond(only(ua.receive(MESSAGE, UDP, NOW)), status, NOW)).get(b"date") == date


def test_a_repetition_gets_the_same_octets_and_the_application_nothing():
    """R3261-17.2-1, R3261-17.2-3: silence before there is an answer, then the answer, for 32 s"""
    ua = desk()
    event = only(ua.receive(MESSAGE, UDP, NOW))
    assert list(ua.receive(MESSAGE, UDP, later(NOW, 500))) == []
    response = only(ua.respond(event, 200, later(NOW, 700)))
    assert list(ua.respond(event, 480, later(NOW, 800))) == []
    for ms in (1500, 3500, 32699):
        assert only(ua.receive(MESSAGE, UDP, later(NOW, ms))) == response
    assert ua.wait_ms(later(NOW, 700)) == 32000
    assert ua.wake(later(NOW, 32700)) == []
    assert ua.wait_ms(later(NOW, 32700)) is None


def test_on_a_stream_nothing_is_kept_after_the_answer():
    """R3261-17.2-3: Timer J is zero"""
    ua = desk()
    ua.respond(only(ua.receive(MESSAGE, TCP, NOW)), 200, NOW)
    assert ua.wait_ms(NOW) is None


def test_a_slow_application_lets_a_100_go_out_at_three_and_a_half_seconds():
    """R4320-2, R4320-3, R4320-4, R3261-17.2-2, R3261-8.2-13, R3428-T2.15: once, with the Timestamp"""
    for flow in (UDP, TCP):
        ua = desk()
        event = only(ua.receive(with_field(b"Timestamp: 54"), flow, NOW))
        assert ua.wait_ms(NOW) == 3500
        assert ua.wake(later(NOW, 3499)) == []
        trying = only(ua.wake(later(NOW, 3500)))
        response = Message(trying.data)
        assert response.status == 100
        assert response.get(b"timestamp").split()[0] == b"54"
        assert response.get(b"via") is not None and response.get(b"cseq") == b"1 MESSAGE"
        assert ua.wake(later(NOW, 3600)) == []
        assert only(ua.receive(with_field(b"Timestamp: 54"), flow, later(NOW, 4000))) == trying
        assert sent(ua.respond(event, 200, later(NOW, 5000))).status == 200


def test_an_application_that_never_answers_leaves_no_408_and_no_state():
    """R4320-5: the transaction ends when its client has given up"""
    ua = desk()
    event = only(ua.receive(MESSAGE, UDP, NOW))
    assert len(ua.wake(later(NOW, 3500))) == 1
    assert ua.wait_ms(later(NOW, 3500)) == 28500
    assert ua.wake(later(NOW, 32000)) == []
    assert ua.wait_ms(later(NOW, 32000)) is None
    assert list(ua.respond(event, 200, later(NOW, 32001))) == []


def test_requests_are_the_same_by_branch_sent_by_and_method():
    """R3261-17.2-4, R3261-17.2-5: the branch in any case; another host, port or method is another transaction"""
    for change, same in (
        ((b"z9hG4bK776sgdkse", b"Z9HG4BK776SGDKSE"), True),
        ((b"Max-Forwards: 70", b"Max-Forwards: 69"), True),
        ((b"192.0.2.1:5062", b"192.0.2.1:5063"), False),
        ((b"192.0.2.1:5062", b"192.0.2.2:5062"), False),
        ((b"776sgdkse", b"776sgdksf"), False),
        ((b"1 MESSAGE", b"1 OPTIONS", b"MESSAGE sip", b"OPTIONS sip"), False),
    ):
        ua = desk()
        ua.receive(MESSAGE, UDP, NOW)
        assert (list(ua.receive(changed(MESSAGE, *change), UDP, NOW)) == []) == same


def test_requests_of_rfc_2543_are_the_same_by_their_fields():
    """R3261-17.2-4: Request-URI, tags, Call-ID, CSeq and top Via, where the branch has no cookie"""
    for old in (changed(MESSAGE, b"z9hG4bK776sgdkse", b"1"), changed(MESSAGE, b";branch=z9hG4bK776sgdkse", b"")):
        for change, same in (
            ((b"Max-Forwards: 70", b"Max-Forwards: 69"), True),
            ((b"1 MESSAGE", b"2 MESSAGE"), False),
            ((b"asd88asd77a", b"other"), False),
            ((b"tag=49583", b"tag=1"), False),
            ((b"192.0.2.1:5062", b"192.0.2.1:5063"), False),
        ):
            ua = desk()
            ua.receive(old, UDP, NOW)
            assert (list(ua.receive(changed(old, *change), UDP, NOW)) == []) == same


def test_what_makes_no_sense_in_a_message_is_ignored():
    """R3428-T1.1, R3428-T1.20, R3428-T2.5, R3428-T2.6, R3428-3.5, R3261-7.7, R3261-8.2-17, R3261-8.2-18, R3261-7.10"""
    for line in (
        b"Accept: text/html",
        b"Contact: <sip:x@192.0.2.1>, nonsense <",
        b"Alert-Info: <http://x>",
        b"Record-Route: <sip:192.0.2.8;lr>",
        b"Proxy-Require: foo",
        b"Route: <im:x@y>",
        b"Route: <<<",
        b"X-Unknown: \xff\x00",
        b"Supported: 100rel, path",
        b"MIME-Version: 1.0",
        b"Expires: soon",
        b"Expires: 4294967296",
        b"Date: yesterday",
        b"Subject:",
        b"Timestamp: never",
        b"Content-Language: xx",
        b"Content-Encoding: identity",
        b"Authorization: Digest nonsense",
    ):
        status, received = deliver(desk(), with_field(line))
        assert status == 200 and received is not None
        assert received.expired is False or received.expired is None
    for old, new in (
        (b"Forwards: 70", b"Forwards: 0"),
        (b"Forwards: 70", b"Forwards: x"),
        (b"1 MES", b"4294967295 MES"),
    ):
        assert deliver(desk(), changed(MESSAGE, old, new))[0] == 200
    assert deliver(desk(), without(b"Max-Forwards"))[0] == 200


def test_optional_fields_are_taken():
    """R3428-T1.12, R3428-T1.17, R3428-T1.19, R3428-T1.25, R3428-T1.26, R3428-T1.27, R3428-T1.35, R3428-T1.37"""
    for line in (
        b"Allow: MESSAGE, INVITE",
        b'Authorization: Digest username="a", realm="b", nonce="c", uri="d", response="e"',
        b"Call-Info: <http://example.org/>;purpose=icon",
        b"Content-Disposition: render",
        b"Content-Encoding: identity",
        b"Content-Language: fi",
        b"In-Reply-To: a@b",
        b"Organization: Boilers Ltd",
    ):
        assert deliver(desk(), with_field(line))[0] == 200


def test_more_optional_fields_are_taken():
    """R3428-T2.1, R3428-T2.4, R3428-T2.7, R3428-T2.12, R3428-T2.14, R3428-T2.18: ours to see in the event"""
    for line in (
        b"Priority: emergency",
        b'Proxy-Authorization: Digest username="a", realm="b", nonce="c", uri="d", response="e"',
        b"Reply-To: <sip:a@b>",
        b"Route: <sip:192.0.2.9;lr>",
        b"Subject: heat",
        b"User-Agent: boiler/1",
    ):
        status, received = deliver(desk(), with_field(line))
        assert status == 200
        name, value = line.split(b": ", 1)
        assert received.message.get(name.lower()) == value


def test_the_text_is_as_long_as_content_length_says():
    """R3261-18-9, R3261-7.11: octets beyond it are ignored; without it the datagram's end counts; no body is no harm"""
    for data, body in (
        (MESSAGE + b"\r\n", b"Watson, come here."),
        (without(b"Content-Length"), b"Watson, come here."),
        (with_body(b"\xc3\xa4\x00"), b"\xc3\xa4\x00"),
        (with_body(b""), b""),
        (without(b"Content-Type", with_body(b"")), b""),
        (with_body(b"x" * 9000), b"x" * 9000),
    ):
        status, received = deliver(desk(), data)
        assert status == 200
        assert received.message.body == body


def test_each_fork_is_answered_alike():
    """R3428-6.2: the other branch of a message is another transaction for another agent"""
    one, other = desk(), desk()
    assert deliver(one, MESSAGE)[0] == 200
    assert deliver(other, changed(MESSAGE, b"776sgdkse", b"fork2"))[0] == 200


def test_the_oldest_answered_transaction_makes_room_and_no_unanswered_one_does():
    """R3261-18-13: keep is the bound"""
    ua = desk(keep=2)
    first = only(ua.receive(MESSAGE, UDP, NOW))
    response = only(ua.respond(first, 200, NOW))
    for i in range(10):
        data = changed(MESSAGE, b"776sgdkse", b"%d" % i, b"asd88", b"%d" % i)
        deliver(ua, data)
    assert only(ua.receive(MESSAGE, UDP, NOW)) != response  # forgotten by now, so it is new
    waiting = desk(keep=2)
    waiting.receive(MESSAGE, UDP, NOW)
    waiting.receive(OTHER, UDP, NOW)
    third = changed(MESSAGE, b"776sgdkse", b"third", b"asd88", b"third")
    assert type(only(waiting.receive(third, UDP, NOW))) is not MessageReceived
    assert list(waiting.receive(MESSAGE, UDP, NOW)) == []


def test_leading_zeros_are_legal_in_lengths_and_durations():
    ua = desk()
    data = with_field(b"Expires: 00000000600", changed(MESSAGE, b"Content-Length: 18", b"Content-Length: 0000000018"))
    event = only(ua.receive(data, UDP, NOW))
    assert (event.message.body, event.message.length, event.expired) == (b"Watson, come here.", 18, False)
    assert deliver(desk(), changed(data, b"0000000018", b"000018446744073709551616"))[0] == 400
