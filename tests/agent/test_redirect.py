"""Redirects: RFC 3261 sections 8.1.3.4 and 21.3."""

from agent.events import Outcome, Transmit
from agent.message import Message
from tests.helpers import NOW, answer, board, only

FLOW = (b"UDP", b"192.0.2.1", 5060)


def redirected(ua, events, *contacts, status_line=b"302 Moved"):
    """Answer the one request that was sent by a redirect; return what comes of it."""
    fields = b"".join([b"Contact: " + contact + b"\r\n" for contact in contacts])
    return list(ua.receive(answer(only(events).data, status_line, fields), only(events).flow, NOW))


def test_a_redirect_is_followed_with_a_new_request_uri():
    """R3261-8.1-12, R3428-T1.23, R3261-8.1-5: same Call-ID, To and From, next CSeq, new branch; still no Contact"""
    for line in (b"300 x", b"301 x", b"302 x", b"305 x", b"380 x", b"399 x"):
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
