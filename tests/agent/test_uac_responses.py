"""What becomes of a request: RFC 3428 sections 4 and 8, RFC 3261 sections 8.1.3, 17.1 and 18.1."""

from agent.clock import later
from agent.errors import UsageError
from agent.events import Outcome, Transmit
from agent.notices import Dropped, Provisional
from agent.qualities import LEARNED, NONE, NTP
from tests.helpers import NOW, UDP, answer, board, changed, only, raises, sent

DESK = b"sip:desk@example.org"
FLOW = (b"UDP", b"example.org", 5060)


def pending(**options):
    """Return a user agent that has just sent a MESSAGE, and the octets."""
    ua = board(**options)
    return ua, only(ua.send(b"1", DESK, b"x", NOW)).data


def outcome_of(status_line, fields=b""):
    ua, request = pending()
    event = only(ua.receive(answer(request, status_line, fields), FLOW, NOW))
    assert ua.wait_ms(NOW) is None
    return event


def test_each_class_of_final_response_has_its_own_outcome():
    """R3428-4.7, R3428-4.8, R3428-4.9, R3428-7.7, R3428-3.4, R3428-4.11, R3261-8.1-10: unknown members count as x00"""
    for line, name, status, reason in (
        (b"200 OK", "delivered", 200, b"OK"),
        (b"202 Accepted", "accepted", 202, b"Accepted"),
        (b"299 ", "delivered", 299, b""),
        (b"302 Moved", "failed", 302, b"Moved"),
        (b"400 Bad", "failed", 400, b"Bad"),
        (b"404 Not Found", "failed", 404, b"Not Found"),
        (b"499 ?", "failed", 499, b"?"),
        (b"500 Oh", "failed", 500, b"Oh"),
        (b"599 ?", "failed", 599, b"?"),
        (b"600 Busy", "refused", 600, b"Busy"),
        (b"603 \xc3\xa4", "refused", 603, b"\xc3\xa4"),
        (b"699 ?", "refused", 699, b"?"),
    ):
        assert outcome_of(line) == Outcome(b"1", name, status, reason, None)


def test_retry_after_comes_with_the_outcome():
    """R3428-T2.9, R3428-T2.10, R3428-T2.11: as the peer wrote it"""
    for line in (b"404 x", b"413 x", b"480 x", b"486 x", b"500 x", b"503 x", b"600 x", b"603 x"):
        assert outcome_of(line, b"Retry-After: 18 (gone)\r\n").retry_after == b"18 (gone)"


def test_fields_that_make_no_sense_in_a_response_are_ignored():
    """R3428-T1.16, R3428-T1.19, R3428-T1.32, R3428-T2.13, R3428-T2.21, R3428-3.5, R3428-4.4: no dialog"""
    fields = (
        b'Contact: <sip:x@192.0.2.1>\r\nRecord-Route: <sip:192.0.2.8>\r\nAuthentication-Info: nextnonce="1"\r\n'
        b'Call-Info: <http://x>\r\nError-Info: <sip:x>\r\nWarning: 399 x "y"\r\nAccept: <<\r\nServer: x\r\nX: \xff\r\n'
    )
    ua, request = pending()
    assert only(ua.receive(answer(request, b"200 OK", fields), FLOW, NOW)).name == "delivered"
    following = sent(ua.send(b"2", DESK, b"y", NOW))
    assert following.uri == DESK
    assert following.get(b"route") is None
    assert following.get(b"to") == b"<sip:desk@example.org>"


def test_a_challenge_that_we_cannot_answer_is_a_failure():
    """R3428-T2.2, R3428-T2.3, R3428-T2.22, R3428-T2.23: either field in either status, or none"""
    for line in (b"401 Unauthorized", b"407 Proxy Authentication Required"):
        for field in (b"", b'WWW-Authenticate: Digest realm="a", nonce="b"\r\n', b"Proxy-Authenticate: <<\r\n"):
            event = outcome_of(line, field)
            assert (event.name, event.status) == ("failed", int(line[:3]))


def test_a_repeated_final_response_is_absorbed():
    """R3261-17.1-4, R3428-6.3: three 200s make one event; so does a 500 after a 200"""
    ua, request = pending()
    assert type(only(ua.receive(answer(request, b"200 OK"), FLOW, NOW))) is Outcome
    for line in (b"200 OK", b"200 OK", b"500 Oh", b"100 Trying"):
        assert type(only(ua.receive(answer(request, line), FLOW, NOW))) is Dropped


def test_a_provisional_response_slows_the_repetitions_and_is_no_outcome():
    """R3261-17.1-2, R3428-8.7, R3261-8.1-10: 100, and any other as 183"""
    for line in (b"100 Trying", b"180 Ringing", b"199 ?"):
        ua, request = pending()
        assert ua.wake(later(NOW, 500)) != []
        told = only(ua.receive(answer(request, line, b"", b""), FLOW, later(NOW, 600)))
        assert told == Provisional(b"1", int(line[:3]), line[4:])
        times = []
        ms = 600
        while True:
            ms += ua.wait_ms(later(NOW, ms))
            events = ua.wake(later(NOW, ms))
            if type(events[0]) is not Transmit:
                break
            assert only(events).data == request
            times.append(ms)
        assert times == [1500, 5500, 9500, 13500, 17500, 21500, 25500, 29500]
        assert (ms, events) == (32000, [Outcome(b"1", "timeout", 408, b"Request Timeout", None)])


def test_no_answer_is_a_timeout_after_eleven_sendings():
    """R3261-17.1-1, R3261-17.1-3, R3261-8.1-9: at 32 s, as if by a 408; on a stream after the one"""
    for transport, count in ((b"UDP", 11), (b"TCP", 1)):
        ua, _ = pending(transport=transport)
        ms = 0
        log = []
        while ua.wait_ms(later(NOW, ms)) is not None:
            ms += ua.wait_ms(later(NOW, ms))
            log += ua.wake(later(NOW, ms))
        assert [type(event) for event in log[:-1]] == [Transmit] * (count - 1)
        assert log[-1] == Outcome(b"1", "timeout", 408, b"Request Timeout", None)
        assert ms == 32000


def test_a_timeout_where_nothing_else_is_known_loads_no_recovery():
    """R3261-17.1-1: an outage costs a board that sends to an address no memory"""
    ua = board()
    ua.send(b"1", b"sip:desk@192.0.2.9", b"x", NOW)
    assert only(ua.wake(later(NOW, 32000))) == Outcome(b"1", "timeout", 408, b"Request Timeout", None)
    assert ua.uac.recovery is None


def test_a_response_after_the_timeout_is_ignored():
    """R4320-6: its transaction is gone"""
    ua, request = pending()
    assert ua.wake(later(NOW, 32000))[-1].name == "timeout"
    assert type(only(ua.receive(answer(request, b"200 OK"), FLOW, later(NOW, 32001)))) is Dropped


def test_a_flow_that_failed_is_a_503():
    """R3261-17.1-7, R3261-8.1-9: for what is pending there and nothing else"""
    ua, _ = pending()
    assert list(ua.failed((b"UDP", b"example.org", 5061), NOW)) == []
    assert list(ua.failed((b"TCP", b"example.org", 5060), NOW)) == []
    assert only(ua.failed((b"UDP", b"example.org", 5060, "socket"), NOW)) == Outcome(
        b"1", "failed", 503, b"Transport Error", None
    )
    assert ua.wait_ms(NOW) is None


def test_a_response_is_for_the_request_of_its_branch_and_method():
    """R3261-17.1-6, R3261-8.1-11, R3261-18-8, R3261-18-9: anything else is dropped, and the request stays pending"""
    ua, request = pending()
    good = answer(request, b"200 OK")
    for data in (
        changed(good, b"branch=z9hG4bK0", b"branch=z9hG4bK1"),
        changed(good, b"branch=z9hG4bK", b"branch=0000000"),
        changed(good, b";branch=z9hG4bK", b";x=z9hG4bX"),
        changed(good, b"1 MESSAGE", b"1 REGISTER"),
        changed(good, b"1 MESSAGE", b"1 message"),
        changed(good, b"1 MESSAGE", b""),
        changed(good, b"192.0.2.7:5060", b"192.0.2.8:5060"),
        changed(good, b"192.0.2.7:5060", b"192.0.2.7:5061"),
        changed(good, b"\r\nfrom", b"\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nfrom"),
        changed(good, b";rport\r\n", b";rport, SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n"),
        changed(good, b"Via: ", b"X: "),
        changed(good, b"Length: 0", b"Length: 10"),
        changed(good, b"Length: 0", b"Length: x"),
        changed(good, b"200 OK", b"700 OK"),
        changed(good, b"SIP/2.0 200", b"SIP/3.0 200"),
        good[:-2],
    ):
        events = list(ua.receive(data, FLOW, NOW))
        assert [type(event) for event in events] == [Dropped], data
    assert ua.wait_ms(NOW) == 500
    assert only(ua.receive(good, FLOW, NOW)).name == "delivered"


def test_a_response_may_be_written_in_many_ways():
    """R3261-7.3, R3261-7.4, R3581-1, R3261-18-9: compact, folded, stamped, too long"""
    ua, request = pending()
    for old, new in (
        (b"Via: ", b"v:"),
        (b";branch=", b";received=198.51.100.7 ;rport=1024; branch="),
        (b";rport\r\n", b"\r\n"),
        (b"SIP/2.0/UDP 192", b"SIP/2.0/UDP\r\n 192"),
        (b"cseq: 1 MESSAGE", b"CSEQ: 0001\r\n\tMESSAGE"),
        (b"SIP/2.0 200", b"sip/2.0 200"),
        (b"Content-Length: 0\r\n\r\n", b"l: 0\r\n\r\nand more"),
        (b"Content-Length: 0\r\n", b""),
    ):
        ua, request = pending()
        assert only(ua.receive(changed(answer(request, b"200 OK"), old, new), UDP, NOW)).name == "delivered", new


def test_one_message_is_pending_for_a_uri_and_the_next_ones_wait_in_order():
    """R3428-8.4: until the final response or the timeout; another URI goes at once"""
    ua, request = pending()
    assert list(ua.send(b"2", b"sip:%64esk@EXAMPLE.org", b"y", NOW)) == []
    assert list(ua.send(b"3", DESK, b"z", NOW)) == []
    assert sent(ua.send(b"4", b"sip:lamp@example.org", b"x", NOW)).get(b"call-id") == b"4"
    assert sent(ua.send(b"5", b"sip:desk@example.org:5060", b"x", NOW)).get(b"call-id") == b"5"
    events = ua.receive(answer(request, b"200 OK"), FLOW, NOW)
    assert [event.call_id for event in events if type(event) is Outcome] == [b"1"]
    second = sent(events)
    assert (second.get(b"call-id"), second.body, second.get(b"cseq")) == (b"2", b"y", b"1 MESSAGE")
    events = ua.wake(later(NOW, 32000))
    outcomes = [event.call_id for event in events if type(event) is Outcome]
    assert sorted(outcomes) == [b"2", b"4", b"5"]
    assert sent(events).get(b"call-id") == b"3"


def test_what_waits_gets_its_whole_time():
    """R3428-8.4, R3261-17.1-3: Timer F runs from when it is sent, not from when it was queued"""
    ua, request = pending()
    ua.send(b"2", DESK, b"y", NOW)
    ua.receive(answer(request, b"486 Busy"), FLOW, later(NOW, 20000))
    assert [event for event in ua.wake(later(NOW, 32000)) if type(event) is Outcome] == []
    assert ua.wake(later(NOW, 52000))[-1] == Outcome(b"2", "timeout", 408, b"Request Timeout", None)


def test_a_flow_that_failed_ends_what_waits_for_it_too():
    """R3261-17.1-7: each with its own outcome"""
    ua, _ = pending()
    ua.send(b"2", DESK, b"y", NOW)
    ua.send(b"3", DESK, b"z", NOW)
    events = list(ua.failed(FLOW, NOW))
    assert sorted([event.call_id for event in events if type(event) is Outcome]) == [b"1", b"2", b"3"]
    assert [event for event in events if type(event) is Transmit] == []
    assert ua.wait_ms(NOW) is None


def test_what_waits_for_another_flow_goes_on_when_one_fails():
    """R3261-17.1-7, R3428-8.4: its turn has come"""
    other = (b"UDP", b"192.0.2.9", 5060)
    ua, _ = pending()
    ua.send(b"2", DESK, b"y", NOW, flow=other)
    events = list(ua.failed(FLOW, NOW))
    assert [event.call_id for event in events if type(event) is Outcome] == [b"1"]
    assert sent(events).get(b"call-id") == b"2"
    assert [event.flow for event in events if type(event) is Transmit] == [other]


def test_a_flow_is_known_by_its_first_three_items():
    """R3261-17.1-7: a shell may say less of what has failed than it said of where to send"""
    flow = (b"TLS", b"192.0.2.9", 5061, b"example.org")
    ua = board()
    for call_id in (b"1", b"2"):
        ua.send(call_id, DESK, b"x", NOW, flow=flow)
    events = list(ua.failed(flow[:3], NOW))
    assert sorted([(event.call_id, event.status) for event in events]) == [(b"1", 503), (b"2", 503)]


def test_a_call_id_is_pending_once_whatever_the_target():
    """R3261-8.1-4: also while it waits"""
    ua, _ = pending()
    ua.send(b"2", DESK, b"y", NOW)
    for call_id in (b"1", b"2"):
        for target in (DESK, b"sip:lamp@example.org"):
            raises(UsageError, ua.send, call_id, target, b"x", NOW)


def test_a_queue_has_an_end():
    """R3261-18-13: the caller is told, and nothing that was taken is lost"""
    ua, _ = pending()
    taken = 0
    try:
        for i in range(1000):
            ua.send(b"q%d" % i, DESK, b"x", NOW)
            taken += 1
    except UsageError:
        pass
    assert 10 <= taken <= 200
    assert len(ua.failed(FLOW, NOW)) == taken + 1


def test_a_time_that_was_learned_is_corrected_by_the_next_answer():
    """R3428-11.11: until the next Date it may be minutes off, as its source was"""
    ua = board()
    for call_id, date, unix in (
        (b"1", b"13 Nov 2010 23:29:00", 1289690940),
        (b"2", b"13 Nov 2010 23:28:00", 1289690880),
    ):
        request = only(ua.send(call_id, DESK, b"x", NOW)).data
        ua.receive(answer(request, b"200 OK", b"Date: Sat, " + date + b" GMT\r\n"), FLOW, NOW)
        assert ua.clock.unix(NOW) == unix


def test_the_time_is_learned_from_a_2xx_alone_and_never_against_a_better_source():
    """R3428-11.11: a board without a clock gets one"""
    date = b"Date: Sat, 13 Nov 2010 23:29:00 GMT\r\n"
    for line, fields, quality in (
        (b"200 OK", date, LEARNED),
        (b"202 Accepted", date, LEARNED),
        (b"299 ", date, LEARNED),
        (b"300 Which", date, NONE),
        (b"404 Not Found", date, NONE),
        (b"200 OK", b"", NONE),
        (b"200 OK", b"Date: now\r\n", NONE),
    ):
        ua, request = pending()
        ua.receive(answer(request, line, fields), FLOW, NOW)
        assert ua.clock.quality == quality
        assert ua.clock.unix(later(NOW, 2000)) == (1289690942 if quality else None)
    ua, request = pending()
    ua.clock.set(5, NTP, NOW)
    ua.receive(answer(request, b"200 OK", date), FLOW, NOW)
    assert ua.clock.unix(NOW) == 5
