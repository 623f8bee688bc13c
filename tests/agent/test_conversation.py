"""Whole conversations of two user agents over a network that a test decides about. Link asserts what holds in any."""

from agent.events import Outcome
from agent.message import Message
from agent.user_agent import UserAgent
from tests.helpers import NOW, Dice, Link, Peer, Settled, board, changed, counting, desk, only, sent

DESK = b"sip:desk@192.0.2.9"
WATSON = b"Watson, come here."

F1 = (
    b"MESSAGE sip:user2@domain.com SIP/2.0\r\n"
    b"Via: SIP/2.0/TCP user1pc.domain.com;branch=z9hG4bK776sgdkse\r\n"
    b"Max-Forwards: 70\r\n"
    b"From: <sip:user1@domain.com>;tag=49583\r\n"
    b"To: <sip:user2@domain.com>\r\n"
    b"Call-ID: asd88asd77a@1.2.3.4\r\n"
    b"CSeq: 1 MESSAGE\r\n"
    b"Content-Type: text/plain\r\n"
    b"Content-Length: 18\r\n"
    b"\r\n"
    b"Watson, come here."
)
HOP = b"Via: SIP/2.0/TCP proxy.domain.com;branch=z9hG4bK123dsghds"
F2 = changed(
    F1,
    b"Via: SIP/2.0/TCP user1pc.domain.com;branch=z9hG4bK776sgdkse",
    HOP + b"\r\nVia: SIP/2.0/TCP user1pc.domain.com;branch=z9hG4bK776sgdkse;received=1.2.3.4",
    b"Max-Forwards: 70",
    b"Max-Forwards: 69",
)
F3 = (
    b"SIP/2.0 200 OK\r\n"
    b"Via: SIP/2.0/TCP proxy.domain.com;branch=z9hG4bK123dsghds;received=192.0.2.1\r\n"
    b"Via: SIP/2.0/TCP user1pc.domain.com;branch=z9hG4bK776sgdkse;received=1.2.3.4\r\n"
    b"From: <sip:user1@domain.com>;tag=49583\r\n"
    b"To: <sip:user2@domain.com>;tag=ab8asdasd9\r\n"
    b"Call-ID: asd88asd77a@1.2.3.4\r\n"
    b"CSeq: 1 MESSAGE\r\n"
    b"Content-Length: 0\r\n"
    b"\r\n"
)


def pair(fate=None, transport=b"UDP", **options):
    """Return a link and its two ends: one that sends to DESK, one that is it."""
    one = Peer(board(transport=transport), b"192.0.2.7")
    other = Peer(desk(Dice(5).random_bytes, **options), b"192.0.2.9")
    return Link(one, other, fate), one, other


def names(peer):
    return [outcome.name for _, outcome in peer.outcomes]


def test_the_answer_to_f2_is_f3():
    """R3428-10.1, R3428-10.3: field by field, the To tag apart; no Contact, no body"""
    user2 = UserAgent(b"sip:user2@domain.com", b"user2pc.domain.com", counting())
    proxy = (b"TCP", b"192.0.2.1", 5060)
    event = only(user2.receive(F2, proxy, NOW))
    assert (event.message.body, event.sender) == (WATSON, b"sip:user1@domain.com")
    answer = only(user2.respond(event, 200, NOW))
    assert answer.flow == proxy
    assert changed(answer.data, b";tag=00000001", b";tag=ab8asdasd9") == F3


def test_f4_completes_f1():
    """R3428-10.2, R3428-10.3: delivered; F1 is ours octet for octet where the RFC leaves no choice"""
    user1 = Settled(b"sip:user1@domain.com", b"user1pc.domain.com", counting(), transport=b"TCP")
    transmit = only(user1.send(b"asd88asd77a@1.2.3.4", b"sip:user2@domain.com", WATSON, NOW))
    assert transmit.flow == (b"TCP", b"domain.com", 5060)
    ours = changed(transmit.data, b"z9hG4bK0000000000000002;rport", b"z9hG4bK776sgdkse", b"00000001", b"49583")
    assert ours == F1
    via = b"Via: SIP/2.0/TCP user1pc.domain.com;branch=z9hG4bK"
    f4 = b"SIP/2.0 200 OK\r\n" + via + F3[F3.find(b"776sgdkse") :]
    f4 = changed(f4, b"776sgdkse", b"0000000000000002", b"49583", b"00000001")
    assert only(user1.receive(f4, transmit.flow, NOW)) == Outcome(b"asd88asd77a@1.2.3.4", "delivered", 200, b"OK", None)


def test_a_message_goes_there_and_its_answer_back():
    """R3428-4.7, R3428-7.8, R3428-2.2, R3428-7.3: on each transport one MESSAGE, one answer, no dialog for it"""
    for transport in (b"UDP", b"TCP", b"TLS"):
        link, one, other = pair(transport=transport)
        link.send(one, DESK + (b":5060" if transport == b"TLS" else b""), WATSON)
        link.run()
        assert other.texts() == [WATSON]
        assert names(one) == ["delivered"]
        assert one.outcomes[0][0] == 0
        assert (len(one.sent), len(other.sent)) == (1, 1)
        assert one.sent[0][1].startswith(b"MESSAGE ")


def test_a_stream_may_cut_a_conversation_anywhere():
    """R3261-18-12: ten messages in pieces of 1 to 400 octets"""
    for cut in (1, 2, 3, 50, 400):
        link, one, other = pair(transport=b"TCP")
        link._cut = cut
        for i in range(3):
            link.send(one, b"sip:desk%d@192.0.2.9" % i, WATSON)
        link.run()
        assert other.texts() == [WATSON] * 3
        assert names(one) == ["delivered"] * 3


def test_both_ends_may_talk_at_once():
    """R3428-2.1: and nothing ties the two directions"""
    link, one, other = pair()
    link.send(one, DESK, b"ping")
    link.send(other, b"sip:boiler@192.0.2.7", b"pong")
    link.run()
    assert (other.texts(), one.texts()) == ([b"ping"], [b"pong"])
    assert (names(one), names(other)) == (["delivered"], ["delivered"])


def test_messages_to_one_uri_follow_one_another():
    """R3428-8.4: never two at once on the network, in order, whatever the delay"""
    link, one, other = pair(lambda number, data: (200,))
    texts = [b"%d" % i for i in range(10)]
    for text in texts:
        link.send(one, DESK, text)
    link.run()
    assert other.texts() == texts
    assert [ms for ms, _ in one.outcomes] == [400 * (i + 1) for i in range(10)]


def test_each_datagram_twice_is_each_message_once():
    """R3261-17.2-3, R3261-17.1-4: the copy at once, and a second later"""
    for late in (0, 1000):
        link, one, other = pair(lambda number, data, late=late: (0, late))
        link.send(one, DESK, WATSON)
        link.run()
        assert other.texts() == [WATSON]
        assert names(one) == ["delivered"]
        assert len({data for _, data in other.sent}) == 1  # octet for octet


def test_an_answer_that_is_lost_is_repeated_and_the_message_is_not():
    """R3261-17.2-3, R3261-17.1-1: the first four answers get lost"""
    answers = [0]

    def fate(number, data):
        if data.startswith(b"SIP/2.0"):
            answers[0] += 1
            return () if answers[0] < 5 else (0,)
        return (0,)

    link, one, other = pair(fate)
    link.send(one, DESK, WATSON)
    link.run()
    assert other.texts() == [WATSON]
    assert [ms for ms, _ in one.sent] == [0, 500, 1500, 3500, 7500]
    assert one.outcomes[0][0] == 7500


def test_a_network_that_loses_everything_ends_in_one_timeout():
    """R3261-17.1-3: and the queue behind it in more of them, one after the other"""
    link, one, _ = pair(lambda number, data: ())
    for _ in range(3):
        link.send(one, DESK, WATSON)
    link.run()
    assert [(ms, outcome.name) for ms, outcome in one.outcomes] == [(32000 * i, "timeout") for i in (1, 2, 3)]
    assert len(one.sent) == 33


def test_bad_networks_deliver_each_message_once_and_tell_no_lies():
    """R3261-17.1-4, R3261-17.2-3, R3428-8.4: 30 and 50 % lost, doubled, late, out of order; delivered means received"""
    for loss, seed in ((30, 1), (30, 2), (50, 3), (50, 4)):
        dice = Dice(seed)

        def fate(number, data, dice=dice, loss=loss):
            delays = [dice.roll(900) for _ in range(1 + dice.roll(2))]
            return [delay for delay in delays if dice.roll(100) >= loss]

        link, one, other = pair(fate)
        texts = {}
        for i in range(12):
            texts[link.send(one, b"sip:desk%d@192.0.2.9" % (i % 4), b"%d" % i)] = b"%d" % i
        link.run()
        received = other.texts()
        assert len(received) == len(set(received))
        for _, outcome in one.outcomes:
            assert outcome.name in ("delivered", "timeout")
            assert outcome.name == "timeout" or texts[outcome.call_id] in received
        assert names(one).count("delivered") >= 11


def test_a_slow_application_is_waited_for():
    """R4320-4, R3261-17.1-2: 100 after 3.5 s, then Timer E at T2; the answer ends it"""
    link, one, other = pair()
    other.status = None
    link.send(one, DESK, WATSON)
    link.run(10000)
    assert other.texts() == [WATSON]
    ms, trying = other.sent[0]
    assert (ms, Message(trying).status) == (3500, 100)
    assert [ms for ms, _ in one.sent] == [0, 500, 1500, 3500, 7500]
    link.respond(other, other.received[0], 202)
    link.run()
    assert names(one) == ["accepted"]
    assert one.outcomes[0][0] == 10000


def test_an_application_that_never_answers_is_a_timeout_and_no_408():
    """R4320-5, R4320-6: and an answer that comes too late is not sent"""
    for transport in (b"UDP", b"TCP"):
        link, one, other = pair(transport=transport)
        other.status = None
        link.send(one, DESK, WATSON)
        link.run()
        assert [(ms, outcome.name) for ms, outcome in one.outcomes] == [(32000, "timeout")]
        assert {Message(data).status for _, data in other.sent} == {100}
        link.respond(other, other.received[0], 200)
        link.run()


def test_refusals_and_relays_have_their_own_outcomes():
    """R3428-7.6, R3428-7.7, R3428-4.9: whatever the application answers"""
    for status, name in ((200, "delivered"), (202, "accepted"), (480, "failed"), (503, "failed"), (603, "refused")):
        link, one, other = pair()
        other.status = status
        link.send(one, DESK, WATSON)
        link.run()
        assert names(one) == [name]
        assert one.outcomes[0][1].status == status


def test_a_peer_that_restarts_gets_the_message_again():
    """R3261-17.2-3: its memory is gone; the sender still has one outcome"""
    link, one, other = pair(lambda number, data: () if data.startswith(b"SIP/2.0") and number < 3 else (0,))
    link.send(one, DESK, WATSON)
    link.run(400)
    assert other.texts() == [WATSON] and names(one) == []
    other.ua = desk()
    link._seen = []  # another life, another transaction
    link.run()
    assert other.texts() == [WATSON, WATSON]
    assert names(one) == ["delivered"]


def test_a_sender_that_restarts_may_send_the_message_again():
    """R3428-2.1, R3261-8.2-7: same Call-ID, new tag and branch: a new transaction, not a merged copy"""
    link, one, other = pair()
    call_id = link.send(one, DESK, WATSON)
    link.run()
    again = UserAgent(b"sip:boiler@example.org", b"192.0.2.7:5060", Dice(9).random_bytes)
    request = sent(again.send(call_id, DESK, WATSON, NOW))
    event = only(other.ua.receive(request.data, (b"UDP", b"192.0.2.7", 5060), link.now()))
    assert event.call_id == other.received[0].call_id  # by which the application tells the twin


def test_a_stream_that_breaks_fails_what_is_pending_on_it():
    """R3261-17.1-7, R3261-8.1-9: and the next message takes a new one"""
    link, one, other = pair(lambda number, data: () if number == 1 else (0,), transport=b"TCP")
    link.send(one, DESK, WATSON)
    link.run(1000)
    link.fail(one, (b"TCP", b"192.0.2.9", 5060))
    link.run(1000)
    link.send(one, DESK, b"again")
    link.run()
    assert names(one)[-1] == "delivered"
    assert other.texts()[-1] == b"again"


def test_a_reply_goes_back_on_the_flow_that_a_message_came_in_on():
    """R3428-3.1, R3581-3: whatever its sender calls itself"""
    link, one, other = pair(transport=b"TCP")
    link.send(one, DESK, b"status?")
    link.run()
    event = other.received[0]
    link.send(other, event.sender, b"ok", flow=event.flow)
    link.run()
    assert one.texts() == [b"ok"]
    assert names(other) == ["delivered"]


def test_parts_of_a_long_text_arrive_in_order():
    """R3428-8.2, R3428-8.4: over a network that loses a third"""
    dice = Dice(11)
    link, one, other = pair(lambda number, data: () if dice.roll(3) == 0 else (50,))
    text = b"".join([b"%d " % i for i in range(600)])
    bodies, compact = one.ua.fit(DESK, text, "split")
    assert len(bodies) > 2
    for body in bodies:
        link.send(one, DESK, body, compact=compact)
    link.run()
    assert other.texts() == bodies
    assert b"".join([body[body.find(b") ") + 2 :] for body in bodies]) == text
