"""R3428-2.1, R3428-2.2: a reply is a MESSAGE of its own, and goes the way that what it replies to has come."""

from agent.errors import UsageError
from agent.events import Outcome, Transmit
from agent.message import Message
from agent.reply import in_reply_to
from tests.helpers import MESSAGE, NOW, TCP, UDP, changed, desk, only, raises


def received(ua, flow, data=MESSAGE):
    return only(ua.receive(data, flow, NOW))


def test_a_reply_goes_the_way_that_the_message_came():
    for flow in (UDP, TCP, (b"UDP", b"192.0.2.1", 5062, "the shell's own")):
        ua = desk()
        event = received(ua, flow)
        ua.respond(event, 200, NOW)
        sent = only(ua.reply(event, ua.new_call_id(), b"all well", NOW))
        assert type(sent) is Transmit and sent.flow == flow
        message = Message(sent.data)
        assert (message.method, message.uri, message.body) == (b"MESSAGE", b"sip:boiler@example.org", b"all well")
        assert message.get(b"to") == b"<sip:boiler@example.org>"
        assert message.get(b"via").startswith(b"SIP/2.0/" + flow[0] + b" ")
        assert b"tag=" not in message.get(b"to")  # no dialog: RFC 3428 section 2


def test_names_in_the_senders_uri_are_not_looked_up():
    for sender in (b"sip:boiler@unknown.invalid", b"sip:boiler@example.org;user=phone", b"im:boiler@example.org"):
        ua = desk()
        event = received(ua, UDP, changed(MESSAGE, b"<sip:boiler@example.org>", b"<" + sender + b">"))
        assert only(ua.reply(event, ua.new_call_id(), b"x", NOW)).flow == UDP


def test_a_reply_goes_by_the_proxy_where_there_is_one():
    ua = desk(proxy=b"sip:192.0.2.99")
    event = received(ua, UDP)
    assert only(ua.reply(event, ua.new_call_id(), b"x", NOW)).flow == (b"UDP", b"192.0.2.99", 5060)


def test_a_reply_ends_in_one_outcome_and_keeps_the_rules_of_all_messages():
    """R3428-8.2, R3428-8.4"""
    ua = desk()
    event = received(ua, UDP)
    first = ua.new_call_id()
    sent = only(ua.reply(event, first, b"x", NOW))
    assert ua.reply(event, ua.new_call_id(), b"y", NOW) == ()  # behind the first one
    raises(UsageError, ua.reply, event, first, b"z", NOW)
    raises(UsageError, ua.reply, event, ua.new_call_id(), b"z" * 1300, NOW)
    head = sent.data.partition(b"\r\n")[2].partition(b"Max-Forwards")
    rest = head[2].partition(b"From:")
    answer = b"SIP/2.0 200 OK\r\n" + head[0] + b"From:" + rest[2].partition(b"Content-Type")[0] + b"\r\n"
    events = ua.receive(answer, UDP, NOW)
    assert [type(one) for one in events] == [Outcome, Transmit] and events[0].call_id == first


def test_replies_do_not_hold_up_what_is_for_whom_their_sender_claims_to_be():
    """R0-P11, R3428-8.4: queues of their own, by a proxy, too; each of them has one pending"""
    stranger = (b"UDP", b"198.51.100.6", 9)
    boiler = b"sip:boiler@192.0.2.1:5062"
    for flow, claimed, settings in (
        (stranger, boiler, {}),
        (stranger, b"sip:%62oiler@192.0.2.1:5062", {}),
        (UDP, boiler, {}),
        (UDP, boiler, {"proxy": b"sip:192.0.2.99"}),
    ):
        data = changed(MESSAGE, b"<sip:boiler@example.org>", b"<" + claimed + b">")
        ua = desk(**settings)
        for i in range(2):
            event = received(ua, flow, changed(data, b"sgdkse", b"sgdkse%d" % i, b"asd88asd77a", b"%d" % i))
            assert (ua.reply(event, ua.new_call_id(), b"commands: status", NOW) == ()) is (i == 1)
        assert ua.replies() == 2
        alert = only(ua.send(ua.new_call_id(), boiler, b"fire", NOW))
        assert Message(alert.data).body == b"fire"
        assert ua.send(ua.new_call_id(), boiler, b"smoke", NOW) == ()


def test_reply_that_is_redirected_stays_out_of_the_way_of_other_messages():
    """R0-P11: to whomever a stranger points"""
    ua = desk()
    event = received(ua, UDP)
    sent = only(ua.reply(event, ua.new_call_id(), b"on", NOW))
    answer = respond_to(sent.data, b"302 Moved", b"Contact: <sip:desk@192.0.2.5>\r\n")
    (again,) = ua.receive(answer, UDP, NOW)
    assert Message(again.data).uri == b"sip:desk@192.0.2.5"
    alert = only(ua.send(ua.new_call_id(), b"sip:desk@192.0.2.5", b"fire", NOW))
    assert Message(alert.data).body == b"fire"


def test_who_is_answered_does_not_tell_the_time():
    """R0-P11: a reply goes to whoever has written; the Date of a desk's 200 is taken"""
    ua = desk()
    ua.uac.clock = None
    date = b"Date: Sat, 13 Nov 2010 23:29:00 GMT\r\n"
    event = received(ua, UDP)
    sent = only(ua.reply(event, ua.new_call_id(), b"on", NOW))
    assert only(ua.receive(respond_to(sent.data, b"200 OK", date), UDP, NOW)).name == "delivered"
    assert ua.uac.clock is None
    alert = only(ua.send(ua.new_call_id(), b"sip:desk@192.0.2.5", b"fire", NOW))
    ua.receive(respond_to(alert.data, b"200 OK", date), alert.flow, NOW)
    assert ua.uac.clock.unix(NOW) == 1289690940


def test_reply_may_have_short_names():
    """R3428-8.2"""
    for settings in ({}, {"proxy": b"sip:192.0.2.99"}):
        ua = desk(**settings)
        event = received(ua, UDP)
        sent = only(ua.reply(event, ua.new_call_id(), b"on", NOW, True))
        assert sent.data.find(b"\r\nf:<") > 0 and Message(sent.data).body == b"on"


def test_a_reply_names_what_it_answers():
    """R3428-T1.35: also by a proxy and with other content; not where the Call-ID would take the room of the text"""
    for settings in ({}, {"proxy": b"sip:192.0.2.99"}):
        for call_id, named in ((b"a84b4c76", b"a84b4c76"), (b"x" * 64, b"x" * 64), (b"x" * 65, None)):
            ua = desk(**settings)
            event = received(ua, UDP, changed(MESSAGE, b"asd88asd77a@1.2.3.4", call_id))
            for kind in (b"text/plain", b"message/cpim"):
                options = {} if kind == b"text/plain" else {"content_type": kind}
                sent = Message(ua.reply(event, ua.new_call_id(), b"on", NOW, **options)[0].data)
                assert sent.get(b"in-reply-to") == named and sent.get(b"content-type") == kind
                ua = desk(**settings)


def test_text_that_fits_leaves_room_for_what_it_answers():
    """R3428-8.2"""
    ua = desk()
    event = received(ua, UDP)
    (body,), compact = ua.fit(event.sender, b"z" * 1200, "truncate", flow=UDP, fields=in_reply_to(event))
    sent = only(ua.reply(event, ua.new_call_id(), body, NOW, compact))
    assert len(sent.data) == 1300


def respond_to(request, status, fields):
    """Return the octets of a response to a request of ours."""
    message = Message(request)
    lines = [b"SIP/2.0 " + status]
    for name in (b"Via", b"From", b"To", b"Call-ID", b"CSeq"):
        lines.append(name + b": " + message.get(name.lower()))
    return b"\r\n".join(lines) + b"\r\n" + fields + b"Content-Length: 0\r\n\r\n"
