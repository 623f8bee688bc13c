"""Requests as they leave: RFC 3261 section 8.1, RFC 3428 sections 4, 5, 8 and 9."""

from agent.clock import later
from agent.errors import UsageError
from agent.events import Transmit
from agent.message import Message
from agent.qualities import LEARNED, NTP
from agent.request import BUDGET
from agent.user_agent import UserAgent
from tests.helpers import NOW, Dice, Settled, answer, board, checked, counting, only, raises, sent

DESK = b"sip:desk@example.org"
NEVER_SENT = (  # in a MESSAGE request
    b"accept",
    b"accept-encoding",
    b"accept-language",
    b"alert-info",
    b"contact",
    b"record-route",
    b"require",
    b"supported",
)


def send(ua, target=DESK, body=b"Boiler at 81 C", now=NOW, **options):
    """Return the MESSAGE that leaves, parsed."""
    return sent(ua.send(ua.new_call_id(), target, body, now, **options))


def test_a_message_is_written_field_by_field():
    """R3428-4.1, R3428-4.2, R3428-9.1, R3428-T1.36, R3428-T2.19, R3261-8.1-6, R3261-8.1-7: all its octets"""
    event = only(board().send(b"asd88asd77a", DESK, b"Boiler at 81 C", NOW))
    assert event == Transmit(
        b"MESSAGE sip:desk@example.org SIP/2.0\r\n"
        b"Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK0000000000000002;rport\r\n"
        b"Max-Forwards: 70\r\n"
        b"From: <sip:boiler@example.org>;tag=00000001\r\n"
        b"To: <sip:desk@example.org>\r\n"
        b"Call-ID: asd88asd77a\r\n"
        b"CSeq: 1 MESSAGE\r\n"
        b"Content-Type: text/plain\r\n"
        b"Content-Length: 14\r\n"
        b"\r\n"
        b"Boiler at 81 C",
        (b"UDP", b"example.org", 5060),
    )


def test_compact_names_mean_the_same():
    """R3261-7.3, R3261-7.1, R3428-T2.14: field by field, and shorter"""
    full = send(board(), subject=b"heat", expires=60)
    compact = send(board(), subject=b"heat", expires=60, compact=True)
    assert checked(compact) == checked(full)
    for name in checked(full):
        assert compact.get(name) == full.get(name)
    assert compact.body == full.body
    assert len(compact.data) < len(full.data)


def test_fields_that_no_message_has_are_never_sent():
    """R3428-4.5, R3428-T1.20, R3428-T1.1, R3428-T1.4, R3428-T1.7, R3428-T1.10, R3428-T2.6, R3261-8.1-8: in any form"""
    ua = board(proxy=b"sip:192.0.2.1;transport=tcp")
    ua.clock.set(1289690940, NTP, NOW)
    for options in ({}, {"compact": True}, {"expires": 60}, {"subject": b"heat"}, {"content_type": b"text/html"}):
        ua.uac.settings["credentials"] = ((b"", b"boiler", b"secret"),)
        message = send(ua, b"sip:%d@example.org" % len(repr(options)), **options)
        for name in NEVER_SENT:
            assert message.get(name) is None


def test_nothing_a_caller_gives_can_begin_another_field():
    """R3428-4.5, R3428-T1.20: no line end gets through in any argument"""
    for bad in (b"x\r\nContact: <sip:x>", b"x\nContact: y", b"x\rContact: y", b"x\0"):
        ua = board()
        raises(UsageError, ua.send, bad, DESK, b"x", NOW)
        raises(UsageError, ua.send, b"1", b"sip:" + bad, b"x", NOW)
        raises(UsageError, lambda bad=bad, ua=ua: ua.send(b"1", DESK, b"x", NOW, content_type=bad))
        raises(UsageError, lambda bad=bad, ua=ua: ua.send(b"1", DESK, b"x", NOW, subject=bad))
        raises(UsageError, UserAgent, b"sip:a@b" + bad, b"192.0.2.7", counting())
        raises(UsageError, UserAgent, b"sip:a@b", b"192.0.2.7" + bad, counting())
        assert ua.wait_ms(NOW) is None
    raises(UsageError, board().send, b"", DESK, b"x", NOW)


def test_the_request_uri_is_the_target():
    """R3428-3.1, R3261-8.1-1, R3261-19-2: as it was given, headers and method apart; a proxy does not change it"""
    for proxy in (None, b"sip:192.0.2.1;lr"):
        for target, uri, to in (
            (DESK, DESK, DESK),
            (b"sip:desk@192.0.2.9:5070;x=1", b"sip:desk@192.0.2.9:5070;x=1", b"sip:desk@192.0.2.9"),
            (b"sip:desk@example.org;method=INVITE?Subject=x", DESK, DESK),
            (b"sips:desk@example.org;transport=tls", b"sips:desk@example.org;transport=tls", b"sips:desk@example.org"),
        ):
            ua = board(proxy=proxy) if target[:4] == b"sip:" else board()
            message = send(ua, target)
            assert message.uri == uri
            assert message.get(b"to") == b"<%s>" % to


def test_a_request_goes_to_the_flow_the_proxy_or_the_target():
    """R3428-8.1, R3261-8.1-1: in this order; the transport of Via is that of the flow"""
    there = (b"TCP", b"198.51.100.1", 49152, "socket")
    for options, flow, expected in (
        ({}, None, (b"UDP", b"example.org", 5060)),
        ({"transport": b"TCP"}, None, (b"TCP", b"example.org", 5060)),
        ({"proxy": b"sip:192.0.2.1:5080;transport=tcp"}, None, (b"TCP", b"192.0.2.1", 5080)),
        ({"proxy": b"sips:proxy.example.org"}, None, (b"TLS", b"proxy.example.org", 5061)),
        ({"proxy": b"sip:[2001:db8::1]"}, None, (b"UDP", b"2001:db8::1", 5060)),
        ({"proxy": b"sip:192.0.2.1"}, there, there),
    ):
        event = only(board(**options).send(b"1", DESK, b"x", NOW, flow=flow))
        assert event.flow == expected
        assert Message(event.data).get(b"via").startswith(b"SIP/2.0/%s 192.0.2.7:5060;" % expected[0])


def test_a_sips_target_leaves_over_tls_alone():
    """R3428-11.3: refused where the flow, the proxy or the transport would be another"""
    target = b"sips:desk@example.org"
    assert only(board().send(b"1", target, b"x", NOW)).flow == (b"TLS", b"example.org", 5061)
    raises(UsageError, board(proxy=b"sip:192.0.2.1;transport=tcp").send, b"1", target, b"x", NOW)
    for transport in (b"UDP", b"TCP"):
        flow = (transport, b"192.0.2.1", 5060)
        raises(UsageError, lambda flow=flow: board().send(b"1", target, b"x", NOW, flow=flow))


def test_an_im_or_tel_target_needs_a_proxy():
    """R3428-5.2, R3428-5.4: then it is the Request-URI, and stands in To"""
    for target in (b"im:desk@example.org", b"tel:+358-555-1234567"):
        raises(UsageError, board().send, b"1", target, b"x", NOW)
        message = send(board(proxy=b"sip:192.0.2.1"), target)
        assert message.uri == target
        assert message.get(b"to") == b"<%s>" % target


def test_an_im_target_becomes_the_sip_uri_that_the_shell_knows_for_it():
    """R3428-5.1, R3428-5.2, R3428-8.4: as if it had been given; where the shell knows none, the im: URI is left"""
    known = {b"im:desk@example.org": b"sip:desk@192.0.2.5:5070", b"im:lamp@example.org": b"lamp"}
    for proxy in (None, b"sip:192.0.2.1"):
        ua = board(proxy=proxy, resolve_im=known.get)
        message = send(ua, b"im:desk@example.org")
        assert (message.uri, message.get(b"to")) == (b"sip:desk@192.0.2.5:5070", b"<sip:desk@192.0.2.5>")
        assert list(ua.send(b"2", b"sip:desk@192.0.2.5:5070", b"x", NOW)) == []
        raises(UsageError, ua.send, b"3", b"im:lamp@example.org", b"x", NOW)
        raises(UsageError, ua.send, b"4", b"im:", b"x", NOW)
    ua = board(resolve_im=known.get)
    raises(UsageError, ua.send, b"1", b"im:who@example.org", b"x", NOW)
    known[b"im:who@example.org"] = b"sips:who@192.0.2.5"  # it is asked again each time
    assert only(ua.send(b"1", b"im:who@example.org", b"x", NOW)).flow == (b"TLS", b"192.0.2.5", 5061)
    ua = board(proxy=b"sip:192.0.2.1", resolve_im=known.get)
    assert send(ua, b"im:other@example.org").uri == b"im:other@example.org"


def test_no_im_uri_is_a_hop():
    """R3428-5.5: neither as proxy nor in a Route"""
    raises(UsageError, lambda: board(proxy=b"im:proxy@example.org"))
    assert send(board(proxy=b"sip:192.0.2.1"), b"im:desk@example.org").get(b"route") is None


def test_to_and_from_are_sip_uris():
    """R3428-5.3, R3261-8.1-2: and To has no tag"""
    message = send(board())
    assert message.get(b"to") == b"<sip:desk@example.org>"
    assert message.get(b"from").startswith(b"<sip:boiler@example.org>;tag=")


def test_tags_branches_and_call_ids_are_new_each_time():
    """R3261-8.1-3, R3261-8.1-4, R3261-8.1-7, R3428-2.1, R3428-4.4: nothing ties two messages"""
    ua = Settled(b"sip:boiler@example.org", b"192.0.2.7:5060", Dice(7).random_bytes)
    tags, branches, call_ids = [], [], []
    for i in range(40):
        message = send(ua, b"sip:%d@example.org" % i)
        tags.append(message.get(b"from"))
        branches.append(message.get(b"via"))
        call_ids.append(message.get(b"call-id"))
        assert message.get(b"cseq") == b"1 MESSAGE"
    for values in (tags, branches, call_ids):
        assert len(set(values)) == 40
    assert len(tags[0]) - len(b"<sip:boiler@example.org>;tag=") >= 8  # hexadecimal digits
    assert branches[0].find(b";branch=z9hG4bK") > 0
    assert len(call_ids[0]) >= 16


def test_a_repetition_is_the_same_octets():
    """R3261-8.1-7, R3261-17.1-1: one branch for a transaction, not for a sending"""
    ua = board()
    first = only(ua.send(b"1", DESK, b"x", NOW))
    assert ua.wait_ms(NOW) == 500
    assert only(ua.wake(later(NOW, 500))) == first


def test_any_octets_of_any_type_are_a_body():
    """R3428-3.2, R3428-T1.29, R3428-T1.28, R3261-7.8: Content-Length counts octets"""
    for content_type, body in (
        (b"text/plain", b""),
        (b"text/plain;charset=UTF-8", b"\xc3\xa4\xe2\x82\xac"),
        (b"application/octet-stream", bytes(range(256))),
        (b"message/cpim", b"From: <im:a@b>\r\n\r\nContent-Type: text/plain\r\n\r\nx"),
        (b"text/plain", b"\r\n\r\nMESSAGE sip:x SIP/2.0\r\n"),
    ):
        message = send(board(), body=body, content_type=content_type)
        assert message.fault is None
        assert message.get(b"content-type") == content_type
        assert message.get(b"content-length") == b"%d" % len(body)
        assert message.body == body


def test_expires_is_written_in_seconds():
    """R3428-4.12, R3428-T1.33, R3261-7.10: 0 to 2**32-1, and nothing when not asked for"""
    assert send(board()).get(b"expires") is None
    for seconds in (0, 1, 600, 4294967295):
        assert send(board(), expires=seconds).get(b"expires") == b"%d" % seconds
    for seconds in (-1, 4294967296):
        raises(UsageError, lambda seconds=seconds: send(board(), expires=seconds))


def test_a_message_that_expires_is_dated_if_the_time_is_known():
    """R3428-4.13, R3428-T1.31: the time of sending; without a clock, or with Expires 0, no Date"""
    for quality, expires, date in (
        (NTP, 60, b"Sat, 13 Nov 2010 23:29:01 GMT"),
        (LEARNED, 60, b"Sat, 13 Nov 2010 23:29:01 GMT"),
        (NTP, 0, None),
        (NTP, None, None),
        (None, 60, None),
    ):
        ua = board()
        if quality:
            ua.clock.set(1289690940, quality, NOW)
        assert send(ua, expires=expires, now=later(NOW, 1500)).get(b"date") == date


def test_a_message_that_waited_is_dated_when_it_leaves():
    """R3428-4.13: not when it was queued"""
    ua = board()
    ua.clock.set(1289690940, NTP, NOW)
    first = send(ua, expires=60)
    assert ua.send(b"2", DESK, b"y", NOW, expires=60) == ()
    events = ua.receive(answer(first.data, b"200 OK"), (b"UDP", b"example.org", 5060), later(NOW, 10000))
    assert sent(events).get(b"date") == b"Sat, 13 Nov 2010 23:29:10 GMT"


def test_a_message_of_1300_octets_is_sent_and_of_1301_refused():
    """R3428-8.2, R3261-18-1: headers and Via included, whatever the transport; nothing is left pending"""
    for target in (DESK, DESK + b";transport=tcp"):
        size = 900 + BUDGET - len(send(board(), target, b"x" * 900).data)
        size -= size > 999  # the fourth digit of Content-Length
        assert len(send(board(), target, b"x" * size).data) == 1300
        ua = board()
        text = str(raises(UsageError, send, ua, target, b"x" * (size + 1)))
        assert text.find(" 1 octets over") > 0
        assert ua.wait_ms(NOW) is None
        assert len(send(ua, target, b"x" * size).data) == 1300


def test_what_may_still_come_is_in_the_budget():
    """R3428-8.2: a Date that becomes known, and the answer to a challenge"""
    for expires, credentials, room in ((60, (), 36), (None, ((b"", b"boiler", b"secret"),), 384)):
        size = 600 + BUDGET - len(send(board(), DESK, b"x" * 600, expires=expires).data) - room
        ua = board()
        ua.uac.settings["credentials"] = credentials
        raises(UsageError, lambda ua=ua, expires=expires, size=size: send(ua, DESK, b"x" * (size + 1), expires=expires))
        if credentials:
            continue  # how much there is to come depends on the names
        send(ua, DESK, b"x" * (size - 1), expires=expires)


def test_what_fit_returns_can_be_sent():
    """R3428-8.2: at each length around the budget, with long names and with short ones"""
    for aor, sent_by in ((b"sip:boiler@example.org", b"192.0.2.7:5060"), (b"sip:a@b", b"1.2.3.4")):
        for policy in ("refuse", "compact", "truncate", "split"):
            for size in (0, 1, 899, 990, 1000, 1050, 1100, 1105, 1110, 1115, 1120, 1299, 1300, 5000):
                ua = UserAgent(aor, sent_by, counting())
                try:
                    bodies, compact = ua.fit(aor, b"x" * size, policy)
                except UsageError:
                    assert policy in ("refuse", "compact") and size > 900
                    continue
                assert policy == "split" or len(bodies) == 1
                assert size < 900 or size > 1100 or policy == "refuse" or len(bodies[0]) > 890
                for body in bodies:
                    ua.send(ua.new_call_id(), aor, body, NOW, compact=compact)


def test_what_cannot_be_sent_at_all_is_the_callers_error():
    for target in (b"", b"desk", b"sip:", b"http://example.org", b"sip:desk@example.org;transport=sctp", b"sip:a b@c"):
        ua = board()
        raises(UsageError, ua.send, b"1", target, b"x", NOW)
        assert ua.wait_ms(NOW) is None
    for proxy in (b"192.0.2.1", b"tel:+358", b"sip:192.0.2.1;transport=ws"):
        raises(UsageError, lambda proxy=proxy: board(proxy=proxy))
    raises(UsageError, UserAgent, b"boiler", b"192.0.2.7", counting())
    raises(UsageError, UserAgent, b"sip:boiler@example.org", b"192.0.2.7:x", counting())


def test_a_setting_that_there_is_not_is_the_callers_error():
    """A misspelt one would be believed to be in force."""
    for name in ("prox", "accept ", "first_hop"):
        raises(UsageError, lambda name=name: board(**{name: b"sip:192.0.2.1"}))


def test_answers_reach_us_where_we_have_moved():
    """R3261-8.1-7: sent-by of each request from now on; what is no host and port is the caller's error"""
    ua = board()
    for bad in (b"", b"a b", b"192.0.2.8:x", b"192.0.2.8\r\nContact: <sip:x>"):
        raises(UsageError, ua.move_to, bad)
    assert b" 192.0.2.7:5060;branch=" in only(ua.send(ua.new_call_id(), DESK, b"x", NOW)).data
    ua.move_to(b"192.0.2.8:5070")
    assert b" 192.0.2.8:5070;branch=" in only(ua.send(ua.new_call_id(), b"sip:lamp@example.org", b"x", NOW)).data
