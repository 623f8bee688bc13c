"""R0-P8, R0-P9: what strangers send costs little work and little memory, and who sends too much is told."""

from agent.events import Transmit
from agent.message import MAX_HEAD, Message
from agent.stream import Framer
from agent.uas import MessageReceived
from tests.helpers import MESSAGE, NOW, TCP, UDP, changed, deliver, desk, only, sent, with_field

_LONG = (  # a field begins so, and goes on like this so many times: built when needed, as a board has little room
    (b"Require: a", b",a", 4096),
    (b"Subject: ", b"x", MAX_HEAD),
    (b"Subject:", b"\r\n x", 2100),
    (b"Accept: text/plain", b";a", 4096),
    (b"X: y", b"\r\nX: y", 1400),
    (b"X: y", b"\r\nX: y", 260),
    (b"v: SIP/2.0/UDP a", b"\r\nv: SIP/2.0/UDP a", 300),
)


def _head_of(octets):
    """Return a request whose header section, the empty line included, has so many octets."""
    short = with_field(b"Subject: ")
    return changed(short, b"Subject: ", b"Subject: " + b"x" * (octets - short.find(b"\r\n\r\n") - 4))


def test_a_header_section_has_so_many_octets_at_most():
    """R0-P8: the limit itself is fine"""
    assert deliver(desk(), _head_of(MAX_HEAD))[0] == 200
    assert deliver(desk(), _head_of(MAX_HEAD + 1)) == (513, None)


def test_a_header_section_has_so_many_lines_at_most():
    """R0-P8: 256; folded ones count once"""
    fields = Message(MESSAGE).names
    for count, status in ((256 - len(fields), 200), (257 - len(fields), 513)):
        assert deliver(desk(), with_field(b"\r\n".join([b"X: y"] * count)))[0] == status


def test_an_answer_to_too_much_copies_what_an_answer_has_to():
    """R0-P8: wherever the long field stands, with the names that peers use"""
    compact = MESSAGE
    for long, short in ((b"Via", b"v"), (b"From", b"f"), (b"To", b"t"), (b"Call-ID", b"i"), (b"CSeq", b"CSEQ")):
        compact = changed(compact, b"\r\n" + long + b":", b"\r\n" + short + b":")
    compact = changed(compact, b"<sip:desk@example.org>", b"\r\n\t<sip:desk@example.org>")
    for data in (MESSAGE, compact):
        for field, more, times in _LONG:
            for place in (b"\r\nMax-Forwards", b"\r\nContent-Length"):
                request = changed(data, place, b"\r\n" + field + more * times + place)
                response = sent(desk().receive(request, UDP, NOW))
                assert response.status == 513
                assert response.all(b"via")[0] == b"SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bK776sgdkse"
                assert response.get(b"from") == b"<sip:boiler@example.org>;tag=49583"
                assert response.get(b"to").startswith(b"<sip:desk@example.org>;tag=")
                assert response.get(b"call-id") == b"asd88asd77a@1.2.3.4"
                assert response.get(b"cseq") == b"1 MESSAGE"


def test_what_is_long_itself_comes_back_whole():
    """R0-P8: and no more leaves than came"""
    for name in (b"Via", b"From", b"To", b"Call-ID", b"CSeq"):
        request = changed(MESSAGE, b"\r\n" + name + b":", b"\r\n" + name + b": " + b"x" * MAX_HEAD + b"\r\nX:")
        if name == b"Via":
            request = changed(request, b"Via: x", b"Via: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bK1;x")
        events = desk().receive(request, UDP, NOW)
        answer = [event for event in events if type(event) is Transmit]
        assert only(answer).flow == UDP
        assert answer[0].data.startswith(b"SIP/2.0 513 ") and b"x" * MAX_HEAD in answer[0].data
        assert len(answer[0].data) <= len(request)


def test_what_lacks_a_field_that_an_answer_copies_gets_none():
    """R3261-8.2-1, R0-P8: nor what folds one over more lines than anybody does"""
    long = changed(MESSAGE, b"\r\nMax-Forwards", b"\r\nSubject: " + b"x" * MAX_HEAD + b"\r\nMax-Forwards")
    for name in (b"Via", b"From", b"To", b"Call-ID", b"CSeq"):
        for instead in (b"X", name + b":" + b"\r\n " * 100 + b"\r\nX"):
            data = changed(long, b"\r\n" + name + b":", b"\r\n" + instead + b":")
            assert deliver(desk(), data) == (0, None), (name, instead)


def test_a_long_header_section_without_an_end_gets_no_answer():
    """R3261-18-13, R0-P8: over UDP there is none to wait for"""
    data = with_field(b"Subject: " + b"x" * MAX_HEAD)
    assert deliver(desk(), data[: data.find(b"\r\n\r\n")]) == (0, None)


def test_a_stream_with_too_long_a_header_section_is_answered_and_lost():
    """R3261-18-12, R0-P8: where the next message begins is not to be known for sure"""
    framer = Framer()
    found = framer.feed(with_field(b"X: " + b"x" * MAX_HEAD))
    assert framer.lost
    assert sent(desk().receive(only(found), TCP, NOW)).status == 513


def test_two_hundred_vias_are_answered():
    """R0-P8: all of them are copied where they fit; more than 256 are too many"""
    for count, status in ((200, 200), (256, 200), (257, 400), (270, 400)):
        line = b"Via: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bK776sgdkse" + b", SIP/2.0/UDP a" * (count - 1)
        ua = desk()
        events = ua.receive(changed(MESSAGE, MESSAGE.split(b"\r\n")[1], line), UDP, NOW)
        if type(events[0]) is MessageReceived:
            events = ua.respond(events[0], 200, NOW)
        assert events[0].data.startswith(b"SIP/2.0 %d " % status)
        assert events[0].data.count(b"SIP/2.0/UDP") == count


def test_a_call_id_with_nul_is_refused():
    """R0-P8: whoever reads C strings would take two of them for one"""
    for call_id in (b"\0", b"a\0b@1.2.3.4", b"a\0"):
        assert deliver(desk(), changed(MESSAGE, b"asd88asd77a@1.2.3.4", call_id)) == (400, None)


def test_what_is_kept_of_requests_is_bounded_in_octets():
    """R0-P9: long Call-IDs make the requests fewer that are known when they come again, the oldest first"""

    def request(number, octets):
        data = changed(MESSAGE, b"z9hG4bK776sgdkse", b"z9hG4bK%d" % number)
        return changed(data, b"asd88asd77a", b"%d" % number + b"x" * octets)

    def asked(ua, number, octets):
        """Return whether a request is new to ua, which answers it if so."""
        event = ua.receive(request(number, octets), UDP, NOW)[0]
        if type(event) is MessageReceived:
            ua.respond(event, 200, NOW)
        return type(event) is MessageReceived

    for octets, oldest in ((0, 0), (3000, 9), (6000, 10)):  # 16 KiB, twice its Call-ID each, and one more
        ua = desk(keep=16)
        assert [asked(ua, number, octets) for number in range(12)] == [True] * 12
        assert not [1 for number in range(11, oldest - 1, -1) if asked(ua, number, octets)]
        if octets:
            assert asked(ua, oldest - 1, octets)
