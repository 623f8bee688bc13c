"""Redirects: RFC 3261 sections 8.1.3.4 and 21.3."""

from agent.clock import later
from agent.events import Outcome, Transmit
from agent.message import Message
from tests.helpers import NOW, Dice, answer, board, only, sent

FLOW = (b"UDP", b"192.0.2.1", 5060)


def redirected(ua, events, *contacts, status_line=b"302 Moved"):
    """Answer the one request that was sent by a redirect; return what comes of it."""
    fields = b"".join([b"Contact: " + contact + b"\r\n" for contact in contacts])
    return list(ua.receive(answer(only(events).data, status_line, fields), only(events).flow, NOW))


def test_a_redirect_is_followed_with_a_new_request_uri():
    """R3261-8.1-12, R3428-T1.23, R3261-8.1-5: same Call-ID, To and From, next CSeq, new branch; still no Contact"""
    for line in (b"300 x", b"301 x", b"302 x", b"380 x", b"399 x"):
        ua = board()
        first = ua.send(b"1", b"sip:desk@192.0.2.1", b"hot", NOW)
        second = redirected(ua, first, b'"Desk" <sip:desk@192.0.2.2:5070;x=y?Subject=z>;q=0.5', status_line=line)
        assert only(second).flow == (b"UDP", b"192.0.2.2", 5070)
        old, new = Message(only(first).data), Message(only(second).data)
        assert new.uri == b"sip:desk@192.0.2.2:5070;x=y"
        for name in (b"to", b"from", b"call-id", b"content-type", b"max-forwards"):
            assert new.get(name) == old.get(name)
        assert new.get(b"cseq") == b"2 MESSAGE"
        assert new.get(b"via") != old.get(b"via")
        assert new.get(b"contact") is None and new.get(b"subject") is None
        assert new.body == b"hot"
        event = only(ua.receive(answer(only(second).data, b"200 OK"), FLOW, NOW))
        assert event == Outcome(b"1", "delivered", 200, b"OK", None)


def test_a_chain_of_redirects_visits_each_uri_once():
    """R3261-8.1-12: a loop ends in one outcome"""
    ua = board()
    events = ua.send(b"1", b"sip:desk@192.0.2.1", b"hot", NOW)
    for host in (b"192.0.2.2", b"192.0.2.3"):
        events = redirected(ua, events, b"<sip:desk@192.0.2.1>", b"<sip:desk@%s>" % host)
        assert only(events).flow[1] == host
    events = redirected(ua, events, b"<sip:desk@192.0.2.2>, <sip:%64esk@192.0.2.1>, <sip:desk@192.0.2.3>")
    assert only(events) == Outcome(b"1", "failed", 302, b"Moved", None)
    assert ua.wait_ms(NOW) is None


def test_a_redirect_to_nowhere_is_a_failure():
    """R3261-8.1-12: to itself, without a Contact, to what cannot be read or sent to; from sips: to sip: never"""
    for contacts in (
        (),
        (b"<sip:desk@192.0.2.1>",),
        (b"<sip:desk@192.0.2.1",),
        (b"<tel:+358>",),
        (b"*",),
        (b"",),
        (b"<sip:a@b>,,",),
        (b"<mailto:desk@example.org>",),
        (b"<im:desk@example.org>",),
        (b"<sip:desk@192.0.2.2;transport=sctp>",),
    ):
        ua = board()
        events = redirected(ua, ua.send(b"1", b"sip:desk@192.0.2.1", b"hot", NOW), *contacts)
        assert only(events) == Outcome(b"1", "failed", 302, b"Moved", None)
    ua = board()
    events = redirected(ua, ua.send(b"1", b"sips:desk@192.0.2.1", b"hot", NOW), b"<sip:desk@192.0.2.2;transport=tls>")
    assert only(events).name == "failed"
    ua = board()
    events = redirected(ua, ua.send(b"1", b"sip:desk@192.0.2.1", b"hot", NOW), b"<sips:desk@192.0.2.2>")
    assert only(events).flow == (b"TLS", b"192.0.2.2", 5061)
    ua = board(proxy=b"sip:192.0.2.9")  # over UDP, where a sips: URI must not go
    events = redirected(ua, ua.send(b"1", b"sip:desk@192.0.2.1", b"hot", NOW), b"<sips:desk@192.0.2.2>")
    assert only(events).name == "failed"


def test_contacts_are_tried_best_first_and_the_next_when_one_fails():
    """R3261-8.1-12, R0-P14: by q, 1 without one, however a Contact is written, each until one takes it"""
    lines = (
        b"sip:c@192.0.2.2 ; Q = 0.5;expires=60",
        b"<sip:b@192.0.2.2>\r\nContact: <sip:%%%>",
        b'"D, \\"<sip:x@y>" <sip:a@192.0.2.2>;x="q=0";q=1.000 , "z"<sip:f@192.0.2.2>;q=0., <sip:e@192.0.2.2>;q=0.049',
        b"<sip:d@192.0.2.2>;q=0.05",
    )
    for status_line in (b"404 No", b"408 x", b"503 x", b"401 x", b"302 x"):
        ua = board()
        events = redirected(ua, ua.send(b"1", A, b"hot", NOW), *lines)
        order = []
        while type(only(events)) is Transmit:
            order.append(Message(only(events).data).uri[4:5])
            events = redirected(ua, events, status_line=status_line)
        assert b"".join(order) == b"bacdef"
        assert only(events) == Outcome(b"1", "failed", int(status_line[:3]), status_line[4:], None)


def test_a_redirect_with_more_contacts_than_anybody_has_is_short_work():
    """R3261-8.1-12: a line of 16, of which a request tries eight; a line of hundreds is left"""
    contacts = [b"<sip:a%d@192.0.2.2>" % i for i in range(20)]
    ua = board()
    events = redirected(ua, ua.send(b"1", A, b"hot", NOW), b",".join(contacts * 12), b", ".join(contacts))
    count = 0
    while type(only(events)) is Transmit:
        assert sent(events).uri == b"sip:a%d@192.0.2.2" % count
        count += 1
        events = redirected(ua, events, status_line=b"404 No")
    assert count < 9


def test_a_refusal_for_all_and_a_silent_contact():
    """R3261-8.1-12: a 6xx speaks for all contacts, silence for one"""
    for refusal in (b"603 Decline", None):
        ua = board()
        events = redirected(ua, ua.send(b"1", A, b"hot", NOW), b"<sip:a@192.0.2.2>, <sip:b@192.0.2.2>")
        if refusal:
            events = redirected(ua, events, status_line=refusal)
            assert only(events) == Outcome(b"1", "refused", 603, b"Decline", None)
        else:
            ended = list(ua.wake(later(NOW, 32000)))
            assert transmits(ended) == [(b"1", b"3", b"sip:b@192.0.2.2")]


def test_contacts_of_a_second_redirect_come_before_what_is_left_of_the_first():
    """R3261-8.1-12"""
    ua = board()
    events = redirected(ua, ua.send(b"1", A, b"hot", NOW), b"<sip:a@192.0.2.2>, <sip:z@192.0.2.2>")
    events = redirected(ua, events, b"<sip:b@192.0.2.2>, <sip:desk@192.0.2.1>")
    assert sent(events).uri == b"sip:b@192.0.2.2"
    events = redirected(ua, events, status_line=b"404 No")
    assert sent(events).uri == b"sip:z@192.0.2.2"


def test_a_305_names_the_proxy_that_is_to_take_the_request():
    """R3261-8.1-12: the same Request-URI, by way of the Contact, with what is redirected behind it; each proxy once"""
    ua = board()
    first = ua.send(b"1", b"sip:desk@192.0.2.1", b"hot", NOW)
    second = redirected(ua, first, b"<tel:+358>, <sip:192.0.2.7:5070;lr>", status_line=b"305 Use Proxy")
    assert only(second).flow == (b"UDP", b"192.0.2.7", 5070)
    assert transmits(second) == [(b"1", b"2", b"sip:desk@192.0.2.1")]
    assert Message(only(second).data).get(b"route") is None
    third = redirected(ua, second, b"<sip:night@192.0.2.2>")
    assert only(third).flow == (b"UDP", b"192.0.2.7", 5070) and sent(third).uri == b"sip:night@192.0.2.2"
    events = redirected(ua, third, b"<sip:192.0.2.7:5070>", status_line=b"305 Use Proxy")
    assert only(events) == Outcome(b"1", "failed", 305, b"Use Proxy", None)
    assert transmits(ua.send(b"2", b"sip:desk@192.0.2.1", b"hot", NOW)) == [(b"2", b"1", b"sip:desk@192.0.2.1")]


def test_a_305_to_a_name_is_looked_up_and_what_is_secure_stays_so():
    """R3261-8.1-12"""
    ua = board()
    events = redirected(ua, ua.send(b"1", A, b"hot", NOW), b"<sip:proxy.example.org>", status_line=b"305 x")
    assert only(events).flow == (b"UDP", b"proxy.example.org", 5060) and sent(events).uri == A
    for proxy, name in ((b"<sip:192.0.2.7;transport=tcp>", b""), (b"<sips:192.0.2.7>", b"TLS")):
        ua = board()
        events = redirected(ua, ua.send(b"1", b"sips:desk@192.0.2.1", b"hot", NOW), proxy, status_line=b"305 x")
        assert only(events).flow[0] == name if name else only(events).name == "failed"


def test_a_contact_of_another_scheme_needs_a_proxy():
    """R3428-4.1, R3261-8.1-12: tel: and im: are a proxy's business, mailto: nobody's"""
    for contact, uri in ((b"<tel:+358-555>", b"tel:+358-555"), (b"<im:a@b>", b"im:a@b"), (b"<mailto:a@b>", None)):
        ua = board(proxy=b"sip:192.0.2.9")
        events = redirected(ua, ua.send(b"1", A, b"hot", NOW), contact)
        assert sent(events).uri == uri if uri else only(events).name == "failed"


def test_a_contact_in_another_answer_leads_nowhere():
    """R3261-8.1-12: only a 3xx redirects"""
    for line in (b"400 Bad", b"404 No", b"480 x", b"500 Oh", b"600 x"):
        ua = board()
        events = redirected(
            ua, ua.send(b"1", b"sip:desk@192.0.2.1", b"hot", NOW), b"<sip:desk@192.0.2.2>", status_line=line
        )
        assert only(events).status == int(line[:3])


def test_a_416_for_what_can_be_written_in_no_other_scheme_is_the_outcome():
    """R3261-8.1-13: a sip: URI, or a telephone number without a host"""
    for target in (b"sip:desk@192.0.2.1", b"sip:desk@example.org", b"tel:+358-555"):
        ua = board(proxy=b"sip:192.0.2.9")
        events = redirected(ua, ua.send(b"1", target, b"hot", NOW), status_line=b"416 x")
        assert only(events) == Outcome(b"1", "failed", 416, b"x", None)


def test_endless_redirects_end():
    """R3261-8.1-12: eight more attempts at most"""
    ua = board()
    events = ua.send(b"1", b"sip:desk@192.0.2.1", b"hot", NOW)
    count = 0
    while type(only(events)) is Transmit:
        count += 1
        assert count < 20
        events = redirected(ua, events, b"<sip:desk%d@192.0.2.1>" % count)
    assert only(events).name == "failed"


def test_a_scheme_that_is_refused_is_tried_once_as_sip():
    """R3261-8.1-13: im: and 416; a second 416 is the outcome"""
    ua = board(proxy=b"sip:192.0.2.1")
    first = ua.send(b"1", b"im:desk@example.org", b"hot", NOW)
    second = redirected(ua, first, status_line=b"416 x")
    assert Message(only(second).data).uri == b"sip:desk@example.org"
    assert Message(only(second).data).get(b"cseq") == b"2 MESSAGE"
    assert only(redirected(ua, second, status_line=b"416 x")) == Outcome(b"1", "failed", 416, b"x", None)


def test_a_list_of_ambiguous_contacts_is_not_followed():
    """R3428-T1.24: 485 is a failure, whatever its Contact"""
    ua = board()
    events = redirected(ua, ua.send(b"1", b"sip:desk@192.0.2.1", b"x", NOW), b"<sip:a@b>", status_line=b"485 Ambiguous")
    assert only(events) == Outcome(b"1", "failed", 485, b"Ambiguous", None)


def transmits(events):
    """Return (Call-ID, CSeq number, Request-URI) of each request that these events send."""
    messages = [Message(event.data) for event in events if type(event) is Transmit]
    return [(message.get(b"call-id"), message.get(b"cseq")[:1], message.uri) for message in messages]


def two_pending():
    """Return a user agent with message 1 pending for A and 2 for B, each with one more behind it, and both requests."""
    ua = board()
    first = ua.send(b"1", A, b"hot", NOW)
    second = ua.send(b"2", B, b"hot", NOW)
    assert list(ua.send(b"3", A, b"hot", NOW)) == [] and list(ua.send(b"4", B, b"hot", NOW)) == []
    return ua, first, second


A, B, C = b"sip:desk@192.0.2.1", b"sip:desk@192.0.2.2", b"sip:desk@192.0.2.3"
TO_B, TO_C = b"<sip:%64esk@192.0.2.2>", b"<sip:desk@192.0.2.3>"


def test_a_redirect_to_where_a_message_is_pending_waits_its_turn():
    """R3428-8.4, R3261-8.1-12: behind all that waits there; what waited for the old target goes on at once"""
    ua, first, second = two_pending()
    third = redirected(ua, first, TO_B)
    assert transmits(third) == [(b"3", b"1", A)]
    events = list(ua.receive(answer(only(second).data, b"200 OK"), FLOW, NOW))
    assert events[0] == Outcome(b"2", "delivered", 200, b"OK", None) and transmits(events) == [(b"4", b"1", B)]
    events = list(ua.receive(answer(events[1].data, b"200 OK"), FLOW, NOW))
    assert events[0].call_id == b"4" and transmits(events) == [(b"1", b"2", b"sip:%64esk@192.0.2.2")]
    assert events[1].flow == (b"UDP", b"192.0.2.2", 5060)
    events = list(ua.receive(answer(events[1].data, b"200 OK"), FLOW, NOW))
    assert events == [Outcome(b"1", "delivered", 200, b"OK", None)]
    assert only(ua.receive(answer(only(third).data, b"200 OK"), FLOW, NOW)).call_id == b"3"
    assert ua.wait_ms(NOW) is None and not ua.uac.queues


def test_a_message_to_where_a_redirect_is_pending_waits_behind_it():
    """R3428-8.4: and one to the old target doesn't"""
    ua = board()
    events = redirected(ua, ua.send(b"1", A, b"hot", NOW), TO_B)
    assert list(ua.send(b"2", B, b"hot", NOW)) == []
    assert transmits(ua.send(b"3", A, b"hot", NOW)) == [(b"3", b"1", A)]
    events = list(ua.receive(answer(only(events).data, b"486 Busy"), FLOW, NOW))
    assert events[0] == Outcome(b"1", "failed", 486, b"Busy", None) and transmits(events) == [(b"2", b"1", B)]


def test_a_chain_of_redirects_leaves_one_queue_after_the_other():
    """R3428-8.4: with one outcome, also when two targets send their messages to each other"""
    ua, first, second = two_pending()
    third = redirected(ua, first, TO_B)
    fourth = redirected(ua, second, b"<sip:desk@192.0.2.1>")
    assert transmits(fourth) == [(b"4", b"1", B)]  # 2 waits behind 3
    moved = redirected(ua, fourth, TO_C)
    assert transmits(moved) == [(b"4", b"2", C), (b"1", b"2", b"sip:%64esk@192.0.2.2")]
    last = redirected(ua, moved[1:], TO_C)
    assert last == []
    events = list(ua.receive(answer(moved[0].data, b"200 OK"), FLOW, NOW))
    assert events[0].call_id == b"4" and transmits(events) == [(b"1", b"3", C)]
    assert only(ua.receive(answer(events[1].data, b"200 OK"), FLOW, NOW)).call_id == b"1"
    events = list(ua.receive(answer(only(third).data, b"200 OK"), FLOW, NOW))
    assert events[0].call_id == b"3" and transmits(events) == [(b"2", b"2", A)]


def test_a_redirect_that_waits_ends_with_its_flow_or_gets_its_whole_time():
    """R3428-8.4, R3261-17.1-7, R3261-17.1-3"""
    ua, first, _ = two_pending()
    redirected(ua, first, TO_B)
    events = ua.failed((b"UDP", b"192.0.2.2", 5060), NOW)
    assert sorted([event.call_id for event in events]) == [b"1", b"2", b"4"]
    ua, first, _ = two_pending()
    redirected(ua, first, TO_B)
    ended = []
    for ms in (32000, 64000, 96000):
        ended += [event.call_id for event in ua.wake(later(NOW, ms)) if type(event) is Outcome]
    assert sorted(ended) == [b"1", b"2", b"3", b"4"] and ended[-1] == b"1"


def test_a_challenge_after_a_redirect_stays_in_the_new_queue():
    """R3428-8.4, R3261-22-2: and the credentials of those that waited go into the next request"""
    ua = board(credentials=((b"r", b"boiler", b"secret"),))
    events = redirected(ua, ua.send(b"1", A, b"hot", NOW), TO_B)
    ua.send(b"2", B, b"hot", NOW)
    challenge = b'WWW-Authenticate: Digest realm="r", nonce="n", algorithm=SHA-256, qop="auth"\r\n'
    events = list(ua.receive(answer(only(events).data, b"401 Unauthorized", challenge), FLOW, NOW))
    assert transmits(events) == [(b"1", b"3", b"sip:%64esk@192.0.2.2")]
    events = ua.receive(answer(only(events).data, b"200 OK"), FLOW, NOW)
    assert sent(events).get(b"authorization").find(b"nc=00000002") > 0


def test_a_scheme_that_was_refused_waits_for_the_sip_uri_it_turns_to():
    """R3428-8.4, R3261-8.1-13"""
    ua = board(proxy=b"sip:192.0.2.1")
    first = ua.send(b"1", b"im:desk@example.org", b"hot", NOW)
    second = ua.send(b"2", b"sip:desk@example.org", b"hot", NOW)
    assert redirected(ua, first, status_line=b"416 x") == []
    assert transmits(ua.receive(answer(only(second).data, b"200 OK"), FLOW, NOW)) == [
        (b"1", b"2", b"sip:desk@example.org")
    ]


def test_a_redirect_that_makes_a_request_too_long_leaves_its_own_queue():
    """R3428-8.2: its outcome comes, and what waited behind it goes on"""
    ua = board()
    events = ua.send(b"1", A, b"x" * 950, NOW)
    ua.send(b"2", A, b"hot", NOW)
    events = redirected(ua, events, b"<sip:%s@192.0.2.2>" % (b"d" * 200))
    assert events[0].name == "failed" and transmits(events) == [(b"2", b"1", A)]
    assert list(ua.uac.queues) == [b"sip:desk@192.0.2.1:"]


def test_no_uri_has_two_pending_whatever_peers_answer():
    """R3428-8.4, R3261-17.1-4: by chance, with redirects among the answers: one outcome for each, and all goes on"""
    for seed in range(1, 6):
        dice = Dice(seed)
        ua = board(proxy=b"sip:192.0.2.1")
        uris = [b"sip:desk%d@example.org" % i for i in range(4)]
        under_way, ended, sent_off, ms = [], [], 0, 0
        while sent_off < 60 or under_way:
            events = []
            turn = dice.roll(8)
            if turn < 3 and sent_off < 60:
                sent_off += 1
                events = list(ua.send(b"%d" % sent_off, uris[dice.roll(4)], b"hot", NOW))
            elif turn == 7:
                ms += 500
                events = [event for event in ua.wake(later(NOW, ms)) if type(event) is Outcome]
            elif under_way:
                request = under_way.pop(dice.roll(len(under_way)))
                line = (b"200 OK", b"404 No", b"302 Moved", b"302 Moved", b"503 Busy")[dice.roll(5)]
                fields = b"Contact: <%s>\r\nContact: <%s>\r\n" % (uris[dice.roll(4)], uris[dice.roll(4)])
                events = list(ua.receive(answer(request, line, fields), FLOW, later(NOW, ms)))
            under_way += [event.data for event in events if type(event) is Transmit]
            ended += [event.call_id for event in events if type(event) is Outcome]
            keys = [attempt.request.key for attempt in ua.uac.pending.values()]
            assert len(set(keys)) == len(keys) and sorted(keys) == sorted(ua.uac.queues)
        assert sorted(ended) == sorted([b"%d" % (i + 1) for i in range(60)])
        assert not ua.uac.queues and not ua.uac.pending
