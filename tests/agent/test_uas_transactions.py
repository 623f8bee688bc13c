"""What a UAS remembers of the requests it has answered, and for how long: RFC 3261 section 17.2."""

from agent.clock import later
from agent.message import Message
from agent.notices import Dropped
from agent.uas import MessageReceived
from tests.helpers import MESSAGE, NOW, TCP, UDP, changed, checked, deliver, desk, only, sent, with_field


def numbered(i):
    return changed(MESSAGE, b"776sgdkse", b"no%d" % i, b"asd88asd77a", b"no%d" % i)


def is_new(ua, data, now, flow=UDP):
    """Does the application hear of this request? Otherwise it is one that the UAS remembers."""
    events = list(ua.receive(data, flow, now))
    return len(events) == 1 and type(events[0]) is MessageReceived


def test_each_transaction_has_a_timer_j_of_its_own():
    """R3261-17.2-3: three answers, seconds apart, are each forgotten 32 s after they went"""
    ua = desk()
    for i in range(3):
        deliver(ua, numbered(i), now=later(NOW, 1000 * i))
    for i in range(3):
        assert ua.wait_ms(later(NOW, 3000 + 1000 * i)) == 29000
        end = later(NOW, 32000 + 1000 * i)
        assert not is_new(ua, numbered(i), later(end, -1))
        assert ua.wait_ms(end) == 0
        assert ua.wake(end) == []
    assert ua.wait_ms(later(NOW, 34000)) is None
    for i in range(3):
        assert is_new(ua, numbered(i), later(NOW, 34000))


def test_a_uas_that_has_forgotten_all_remembers_again():
    """R3261-17.2-3: the first answer after a quiet time is repeated and forgotten like any other"""
    ua = desk()
    for start in (0, 100000, 200000):
        deliver(ua, MESSAGE, now=later(NOW, start))
        deliver(ua, numbered(1), now=later(NOW, start))
        assert ua.wait_ms(later(NOW, start)) == 32000
        assert not is_new(ua, MESSAGE, later(NOW, start + 31999))
        ua.wake(later(NOW, start + 32000))
        assert ua.wait_ms(later(NOW, start + 32000)) is None


def test_on_a_stream_the_same_branch_is_another_transaction_after_the_answer():
    """R3261-17.2-3: Timer J is zero; before the answer it is a repetition"""
    ua = desk()
    event = only(ua.receive(MESSAGE, TCP, NOW))
    assert list(ua.receive(MESSAGE, TCP, NOW)) == []
    assert sent(ua.respond(event, 200, NOW)).status == 200
    assert is_new(ua, MESSAGE, NOW, TCP)


def test_the_next_thing_to_do_is_the_earliest_of_all():
    """R4320-4: two requests without an answer beside one that has its own"""
    ua = desk()
    deliver(ua, numbered(0))
    for i in (1, 2):
        ua.receive(numbered(i), UDP, later(NOW, 1000 * i))
    assert ua.wait_ms(later(NOW, 2000)) == 2500
    assert sent(ua.wake(later(NOW, 4500))).get(b"call-id") == b"no1@1.2.3.4"
    assert ua.wait_ms(later(NOW, 4500)) == 1000
    assert sent(ua.wake(later(NOW, 5500))).get(b"call-id") == b"no2@1.2.3.4"
    assert ua.wait_ms(later(NOW, 5500)) == 26500


def test_a_100_is_a_whole_response():
    """R4320-4, R3428-T1.28, R3261-8.2-13: with a To that may lack a tag, a Content-Length, and no Timestamp of ours"""
    ua = desk()
    ua.receive(MESSAGE, UDP, NOW)
    response = sent(ua.wake(later(NOW, 3500)))
    assert checked(response) == [b"via", b"from", b"to", b"call-id", b"cseq", b"content-length"]
    assert response.get(b"content-length") == b"0"


def test_a_repetition_is_told_by_its_branch_only_where_it_has_the_cookie():
    """R3261-17.2-4: with any other branch, and with the cookie alone, the fields count"""
    for branch in (b"390skdjuw", b"776sgdkse-and-more", b"z9hG4bK", b"Z9HG4BK"):
        old = changed(MESSAGE, b"z9hG4bK776sgdkse", branch)
        ua = desk()
        assert is_new(ua, old, NOW)
        assert not is_new(ua, old, NOW)
        assert is_new(ua, changed(old, b"1 MESSAGE", b"2 MESSAGE"), NOW)
        assert is_new(ua, changed(old, b"asd88asd77a", b"other"), NOW)
    ua = desk()
    assert is_new(ua, changed(MESSAGE, b"776sgdkse", b"1"), NOW)
    assert not is_new(ua, changed(MESSAGE, b"776sgdkse", b"1", b"Forwards: 70", b"Forwards: 69"), NOW)


def test_a_sent_by_without_a_port_is_one_with_5060():
    """R3261-17.2-4: host and port are compared, and the host in any case"""
    plain = changed(MESSAGE, b"192.0.2.1:5062", b"boiler.example.org")
    for sent_by, same in (
        (b"boiler.example.org:5060", True),
        (b"BOILER.example.org", True),
        (b"boiler.example.org:5061", False),
        (b"boiler.example.com", False),
    ):
        ua = desk()
        assert is_new(ua, plain, NOW)
        other = changed(plain, b"boiler.example.org;", sent_by + b";")
        assert (list(ua.receive(other, UDP, NOW)) == []) == same


def test_a_request_inside_a_dialog_is_no_merged_copy():
    """R3261-8.2-7, R3261-8.2-11: 482 is for requests without a To tag"""
    ua = desk()
    deliver(ua, MESSAGE)
    copy = changed(MESSAGE, b"776sgdkse", b"fork2")
    assert deliver(ua, copy)[0] == 482
    assert (
        deliver(ua, changed(copy, b"fork2", b"fork3", b"desk@example.org>\r\n", b"desk@example.org>;tag=1\r\n"))[0]
        == 481
    )


def test_a_via_without_parameters_or_with_bare_ones_is_given_back():
    """R3261-8.2-12, R3261-18-5: nothing lost, nothing added but where it came from"""
    for via, expected in (
        (b"192.0.2.1", b"192.0.2.1"),
        (b"a.example.org", b"a.example.org;received=192.0.2.1"),
        (b"192.0.2.1;x", b"192.0.2.1;x"),
        (b"192.0.2.1 ;x;y=z;branch=z9hG4bK1", b"192.0.2.1;x;y=z;branch=z9hG4bK1"),
    ):
        ua = desk()
        event = only(ua.receive(changed(MESSAGE, b"192.0.2.1:5062;branch=z9hG4bK776sgdkse", via), UDP, NOW))
        assert sent(ua.respond(event, 200, NOW)).get(b"via") == b"SIP/2.0/UDP " + expected


def test_no_stray_line_end_is_given_back():
    """R3261-7.1, R3261-18-15: neither from the top Via nor from any other field that a response copies"""
    for old, new in (
        (b"SIP/2.0/UDP 192", b"SIP/2.0\n/UDP 192"),
        (b";branch=z9", b";x=y\nContact: <sip:evil>;branch=z9"),
        (b";branch=z9", b";x=y\rContact: <sip:evil>;branch=z9"),
        (b"tag=49583", b"tag=4\nContact: <sip:evil>"),
        (b"asd88asd77a", b"a\rb"),
        (b"1 MESSAGE", b"1\n MESSAGE"),
    ):
        for event in desk().receive(changed(MESSAGE, old, new), UDP, NOW):
            assert type(event) is Dropped or (
                event.data.count(b"\n") == event.data.count(b"\r") == event.data.count(b"\r\n")
            )


def test_options_that_are_required_are_named_whole_and_not_without_end():
    """R3261-8.2-8, R3261-18-13: what does not fit is left out, no tag is cut"""
    tags = [b"option-tag-%d" % i for i in range(100)]
    response = sent(desk().receive(with_field(b"Require: " + b",".join(tags)), UDP, NOW))
    named = response.members(b"unsupported")
    assert response.status == 420
    assert 10 < len(named) < 100 and named == tags[: len(named)]


def test_as_many_options_are_named_as_256_octets_take():
    """R3261-8.2-8, R3261-18-13: one at least, though it has more"""
    for size in (1, 10, 62, 63, 84, 127, 128, 254, 256, 257, 300):
        for count in (1, 2, 3, 4, 9, 200 // size + 1):
            tags = [b"t" * (size - 1) + b"%d" % (i % 10) for i in range(count)]
            response = sent(desk().receive(with_field(b"Require: " + b", ".join(tags)), UDP, NOW))
            fitting = max(1, min(count, (256 + 2) // (size + 2)))
            assert response.get(b"unsupported") == b", ".join(tags[:fitting])


def test_an_application_that_says_415_says_what_it_takes():
    """R3428-T1.3: Accept is there, unless the application brings fields of its own"""
    ua = desk(accept=(b"text/plain", b"text/x-boiler"))
    response = sent(ua.respond(only(ua.receive(MESSAGE, UDP, NOW)), 415, NOW))
    assert response.members(b"accept") == [b"text/plain", b"text/x-boiler"]
    ua = desk()
    response = sent(ua.respond(only(ua.receive(MESSAGE, UDP, NOW)), 488, NOW))
    assert response.get(b"accept") is None


def test_our_hosts_may_be_given_in_any_case():
    """R3261-8.2-6: a host has none"""
    assert deliver(desk(hosts=(b"example.org",)), MESSAGE)[0] == 200


def test_an_empty_call_id_is_400():
    """R3261-8.2-1: the field is there and says nothing"""
    events = desk().receive(changed(MESSAGE, b"Call-ID: asd88asd77a@1.2.3.4", b"Call-ID:"), UDP, NOW)
    assert Message(events[0].data).status == 400


def test_to_and_from_may_be_of_any_scheme():
    """R3261-8.2-4, R3428-5.4: the Request-URI alone says whether a message is for us"""
    for uri in (b"im:watson@example.org", b"tel:+358-555-1234567", b"mailto:watson@example.org", b"nobody:knows"):
        data = changed(
            MESSAGE, b"<sip:boiler@example.org>", b"<%s>" % uri, b"To: <sip:desk@example.org>", b"To: <%s>" % uri
        )
        status, received = deliver(desk(users=(b"desk",)), data)
        assert (status, received.sender) == (200, uri)
