from agent.stream import PING, PONG, Framer
from tests.helpers import MESSAGE, changed, with_body, with_field, without

OTHER = with_body(b"", changed(MESSAGE, b"asd88asd77a", b"other"))


def bodies(found):
    return [item if item == PING else item.body for item in found if item != PONG]


def octets(found):
    return [item if item == PING else item.data for item in found if item != PONG]


def test_a_message_may_be_split_at_any_octet():
    """R3261-18-12: every cut in two, and octet by octet"""
    for cut in range(len(MESSAGE) + 1):
        framer = Framer()
        assert framer.pending == 0
        found = framer.feed(MESSAGE[:cut]) + framer.feed(MESSAGE[cut:])
        assert bodies(found) == [b"Watson, come here."]
        assert (framer.pending, framer.lost) == (0, False)
    framer = Framer()
    found = []
    for i in range(len(MESSAGE)):
        found += framer.feed(MESSAGE[i : i + 1])
    assert bodies(found) == [b"Watson, come here."]


def test_a_long_header_section_may_be_split_at_any_octet():
    """R3261-18-12: what was looked through already isn't kept with what comes"""
    data = with_field(b"Subject: " + b"x" * 600)
    for cut in range(data.find(b"\r\n\r\n") - 2, len(data)):
        framer = Framer()
        found = framer.feed(data[:100]) + framer.feed(data[100:cut]) + framer.feed(data[cut:])
        assert octets(found) == [data]


def test_several_messages_may_come_at_once():
    """R3261-18-12: pipelined, the last one in two pieces"""
    framer = Framer()
    found = framer.feed(MESSAGE + OTHER + MESSAGE + MESSAGE[:100])
    assert octets(found) == [MESSAGE, OTHER, MESSAGE]
    assert framer.pending == 100
    assert octets(framer.feed(MESSAGE[100:])) == [MESSAGE]


def test_line_ends_before_a_start_line_are_nothing():
    """R3261-18-11: a single CRLF is skipped, a double one is a ping"""
    for data, expected in (
        (b"\r\n" + OTHER, [OTHER]),
        (b"\r\n\r\n" + OTHER, [PING, OTHER]),
        (b"\r\n\r\n\r\n" + OTHER, [PING, OTHER]),
        (OTHER + b"\r\n\r\n" + OTHER + b"\r\n" + OTHER, [OTHER, PING, OTHER, OTHER]),
        (b"\r\n\r\n", [PING]),
        (b"\r\n", []),
        (b"\r", []),
    ):
        for size in (1, 2, 3, 5, 1000):
            framer = Framer()
            found = []
            for i in range(0, len(data), size):
                found += framer.feed(data[i : i + size])
            assert octets(found) == expected
            assert not framer.lost


def test_a_line_end_that_turns_out_to_be_nothing_does_not_wait():
    """R3261-18-11: what is pending is of the message behind it, and that alone counts for its limit"""
    framer = Framer(len(MESSAGE))
    assert bodies(framer.feed(b"\r\n\r")) == []
    assert framer.pending == 3
    assert framer.feed(b"x") == []
    assert framer.pending == 2


def test_a_ping_comes_out_as_soon_as_it_is_whole():
    """R3261-18-11: no octet more is waited for; its first half may as well be an answer to a ping of ours"""
    framer = Framer()
    assert [framer.feed(PING[i : i + 1]) for i in range(4)] == [[], [PONG], [], [PING]]
    assert framer.pending == 0
    assert [framer.feed(data) for data in (PONG, b"", PONG)] == [[PONG], [], [PING]]  # a PONG is handed over once
    assert [framer.feed(PONG) for i in range(4)] == [[PONG], [PING], [PONG], [PING]]


def test_a_body_may_look_like_anything():
    """R3261-18-10: Content-Length frames it, whatever is inside"""
    for body in (b"\r\n\r\n", OTHER, b"\r\nContent-Length: 5\r\n\r\n", b"\x00\xff" * 100):
        data = with_body(body)
        for size in (1, 3, 1000):
            framer = Framer()
            found = []
            for i in range(0, 2 * len(data), size):
                found += framer.feed((data + data)[i : i + size])
            assert octets(found) == [data, data]


def test_framing_is_lost_without_a_content_length_that_can_be_used():
    """R3261-18-10, R3428-T1.28: missing, malformed, repeated, absurd; what follows is not read"""
    for data in (
        without(b"Content-Length"),
        changed(MESSAGE, b"Length: 18", b"Length: -18"),
        changed(MESSAGE, b"Length: 18", b"Length: x"),
        changed(MESSAGE, b"Length: 18", b"Length: 4294967296"),
        with_field(b"l: 18"),
    ):
        framer = Framer()
        found = framer.feed(data + MESSAGE)
        assert len(found) == 1
        assert found[0].fault[1] == 400
        assert found[0].data == data[: -len(b"Watson, come here.")]
        assert framer.lost
        assert framer.feed(MESSAGE) == []


def test_a_message_over_the_limit_is_not_waited_for():
    """R3261-18-13: 513 for a body that would be too long, the end for a header section without one"""
    framer = Framer(1000)
    found = framer.feed(changed(MESSAGE, b"Length: 18", b"Length: 999999"))
    assert [item.fault[1] for item in found] == [513]
    assert framer.lost
    framer = Framer(1000)
    assert framer.feed(MESSAGE[:200] + b"x" * 800) == []
    assert not framer.lost
    assert framer.feed(b"x") == []
    assert framer.lost


def test_a_message_of_just_the_limit_comes_through():
    """R3261-18-13: the limit is what one message may have"""
    framer = Framer(len(MESSAGE))
    assert len(framer.feed(MESSAGE + MESSAGE)) == 2
    assert not framer.lost
    framer = Framer(len(MESSAGE) - 1)
    framer.feed(MESSAGE)
    assert framer.lost


def test_the_limit_is_each_message_s_own():
    """R3261-18-12, R3261-18-13: what else comes in the same segment doesn't count"""
    framer = Framer(len(MESSAGE))
    assert octets(framer.feed(MESSAGE * 4 + MESSAGE[:100])) == [MESSAGE] * 4
    assert not framer.lost


def test_a_message_may_have_65535_octets():
    """R3261-18-3: unless the shell says otherwise; one more, and its body is not waited for"""
    for length, lost in ((65535, False), (65536, True)):
        head = changed(MESSAGE, b"Length: 18\r\n\r\nWatson, come here.", b"Length: 00000\r\n\r\n")
        framer = Framer()
        framer.feed(changed(head, b"Length: 00000", b"Length: %d" % (length - len(head))))
        assert framer.lost == lost


def test_a_sender_that_never_ends_its_header_section_does_not_fill_the_memory():
    """R3261-18-13: line by line, and after the framing is lost"""
    framer = Framer(500)
    for _ in range(1000):
        assert framer.feed(b"x: y\r\n") == []
        assert framer.pending <= 500
    assert framer.lost


def test_many_messages_at_once_do_not_multiply_in_memory():
    """R3261-18-12, R3261-18-13: each holds its own octets alone"""
    found = Framer().feed(MESSAGE * 40)
    assert [item.data for item in found] == [MESSAGE] * 40
