"""R3428-4.3, R3428-T1.3, R3428-T1.6, R3428-7.9, R3261-8.1-13: who refuses message/cpim gets text, and is remembered."""

from agent.errors import UsageError
from agent.events import Outcome, Transmit
from agent.message import Message
from agent.uas import MessageReceived
from agent.user_agent import UserAgent
from tests.helpers import raises

DESK = b"sip:desk@192.0.2.1"
FLOW = (b"UDP", b"192.0.2.1", 5060)
CPIM = b"message/cpim"
FALLBACK = (b"text/plain", b"hot")


class Counter:
    """Octets that are never the same and never by chance."""

    def __init__(self):
        self.count = 0

    def __call__(self, n):
        self.count += 1
        return self.count.to_bytes(n, "big")


def agent():
    return UserAgent(b"sip:boiler@example.org", b"192.0.2.7:5060", Counter())


def send(ua, call_id, target=DESK, **options):
    (transmit,) = ua.send(call_id, target, b"wrapped", 0, content_type=CPIM, fallback=FALLBACK, **options)
    return Message(transmit.data)


def answer(ua, request, status, fields=b""):
    response = b"SIP/2.0 %d X\r\n" % status
    for name in (b"Via", b"From", b"To", b"Call-ID", b"CSeq"):
        response += name + b": " + request.get(name.lower()) + b"\r\n"
    return ua.receive(response + fields + b"Content-Length: 0\r\n\r\n", FLOW, 1)


def kind(request):
    return request.get(b"content-type"), request.body


def test_a_415_is_followed_by_one_attempt_with_the_text():
    for accept in (b"Accept: text/plain\r\n", b"Accept: image/png, Text/*;q=1\r\n", b"Accept: */*\r\n", b""):
        ua = agent()
        first = send(ua, b"1")
        (again,) = answer(ua, first, 415, accept)
        second = Message(again.data)
        assert kind(first) == (CPIM, b"wrapped")
        assert kind(second) == FALLBACK
        assert second.get(b"call-id") == first.get(b"call-id")
        assert second.get(b"cseq") == b"2 MESSAGE"
        assert answer(ua, second, 415, accept) == [Outcome(b"1", "failed", 415, b"X", None)]


def test_a_406_or_488_of_message_cpim_says_the_same():
    """R3428-T1.3: many servers answer so where 415 is meant; an Accept that has no text there, either, ends it"""
    for status in (406, 488):
        ua = agent()
        (again,) = answer(ua, send(ua, b"1"), status)
        assert kind(Message(again.data)) == FALLBACK
        assert answer(ua, Message(again.data), status) == [Outcome(b"1", "failed", status, b"X", None)]
        assert ua.has_refused(DESK, CPIM) and kind(send(ua, b"2")) == FALLBACK
        ua = agent()
        assert answer(ua, send(ua, b"1"), status, b"Accept: application/sdp\r\n")[0].status == status


def test_the_accept_of_a_200_is_believed():
    """R3428-T1.3: who takes message/cpim without a word, and lists what it can show; no Accept says nothing"""
    for accept, expected in (
        (b"Accept: text/plain, application/im-iscomposing+xml\r\n", FALLBACK),
        (b"Accept: text/plain\r\nAccept: Message/CPIM;q=0.5\r\n", (CPIM, b"wrapped")),
        (b"Accept: */*\r\n", (CPIM, b"wrapped")),
        (b"", (CPIM, b"wrapped")),
    ):
        ua = agent()
        assert answer(ua, send(ua, b"1"), 200, accept)[0].name == "delivered"
        assert kind(send(ua, b"2")) == expected
    ua = agent()
    (transmit,) = ua.send(b"1", DESK, b"hot", 0)
    assert answer(ua, Message(transmit.data), 200, b"Accept: text/html\r\n")[0].name == "delivered"
    assert kind(send(ua, b"2")) == (CPIM, b"wrapped")


def test_a_peer_that_takes_neither_is_asked_once():
    for accept in (b"Accept: image/png\r\n", b"Accept: application/*\r\n"):
        ua = agent()
        assert answer(ua, send(ua, b"1"), 415, accept) == [Outcome(b"1", "failed", 415, b"X", None)]


def test_the_next_message_to_that_peer_is_text_at_once_and_to_others_it_is_not():
    ua = agent()
    answer(ua, Message(answer(ua, send(ua, b"1"), 415)[0].data), 200)
    assert kind(send(ua, b"2")) == FALLBACK
    assert kind(send(ua, b"3", b"sip:other@192.0.2.1")) == (CPIM, b"wrapped")


def test_it_can_be_asked_who_has_refused_what():
    """By target, however it is written, and by content type."""
    ua = agent()
    assert not ua.has_refused(DESK, CPIM)
    answer(ua, Message(answer(ua, send(ua, b"1"), 415)[0].data), 200)
    assert ua.has_refused(DESK, CPIM) and ua.has_refused(b"sip:%64esk@192.0.2.1", CPIM)
    assert not ua.has_refused(b"sip:other@192.0.2.1", CPIM)
    assert not ua.has_refused(DESK, b"text/html")


def test_what_is_remembered_is_bounded():
    ua = agent()
    for i in range(70):
        peer = b"sip:p%d@192.0.2.1" % i
        answer(ua, Message(answer(ua, send(ua, b"%d" % i, peer), 415)[0].data), 200)
    assert len(ua.uac.rescue().peers.refused) == 64
    assert kind(send(ua, b"a", b"sip:p69@192.0.2.1")) == FALLBACK
    assert kind(send(ua, b"b", b"sip:p0@192.0.2.1")) == (CPIM, b"wrapped")


def test_without_something_to_fall_back_to_a_415_is_the_outcome():
    ua = agent()
    (transmit,) = ua.send(b"1", DESK, b"x", 0, content_type=CPIM)
    assert answer(ua, Message(transmit.data), 415)[0].status == 415
    assert ua.uac.rescue().peers.refused == ()


def test_other_refusals_are_the_outcome():
    ua = agent()
    assert answer(ua, send(ua, b"1"), 480)[0].status == 480
    assert kind(send(ua, b"2")) == (CPIM, b"wrapped")


def test_what_will_stand_around_a_text_counts_for_the_budget():
    ua = agent()
    room = 0
    while True:
        try:
            ua.fit(DESK, b"x" * (room + 1), "refuse", content_type=CPIM)
        except UsageError:
            break
        room += 1
    assert ua.fit(DESK, b"x" * (room - 200), "refuse", content_type=CPIM, reserve=200) == ([b"x" * (room - 200)], False)
    raises(UsageError, lambda: ua.fit(DESK, b"x" * (room - 199), "refuse", content_type=CPIM, reserve=200))


def request(fields, body):
    return (
        b"MESSAGE sip:boiler@example.org SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n"
        b"From: <sip:desk@example.org>;tag=1\r\nTo: <sip:boiler@example.org>\r\nCall-ID: 1\r\nCSeq: 1 MESSAGE\r\n"
        + fields
        + b"Content-Length: %d\r\n\r\n" % len(body)
        + body
    )


def test_a_deflated_body_is_refused_with_what_encoding_is_taken():
    data = request(b"Content-Type: text/plain\r\nContent-Encoding: deflate\r\n", b"x\x9c\xcbH\xcd")
    (transmit,) = agent().receive(data, FLOW, 0)
    assert type(transmit) is Transmit
    assert (Message(transmit.data).status, Message(transmit.data).get(b"accept-encoding")) == (415, b"identity")


def test_a_content_type_that_the_application_refuses_is_answered_with_those_it_takes():
    ua = UserAgent(b"sip:boiler@example.org", b"192.0.2.7", Counter(), accept=(b"text/plain", CPIM))
    (event,) = ua.receive(request(b"Content-Type: message/cpim\r\n", b"x"), FLOW, 0)
    assert type(event) is MessageReceived
    (transmit,) = ua.respond(event, 415, 0)
    assert Message(transmit.data).get(b"accept") == b"text/plain, message/cpim"
