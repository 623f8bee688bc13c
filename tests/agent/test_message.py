from agent.errors import ParseError
from agent.message import Message
from tests.helpers import MESSAGE, changed, checked, raises, with_field, without


def test_a_request_is_its_octets_and_an_index():
    """R3428-9.1, R3261-7.1: the parts of a well-formed MESSAGE"""
    message = Message(MESSAGE)
    assert message.fault is None
    assert (message.method, message.uri, message.status) == (b"MESSAGE", b"sip:desk@example.org", 0)
    assert message.get(b"call-id") == b"asd88asd77a@1.2.3.4"
    assert message.get(b"subject") is None
    assert message.all(b"subject") == []
    assert message.body == b"Watson, come here."
    assert checked(message) == [
        b"via",
        b"max-forwards",
        b"from",
        b"to",
        b"call-id",
        b"cseq",
        b"content-type",
        b"content-length",
    ]


def test_a_response_has_a_status_and_a_reason():
    """R3261-7.1: the parts of a status line, an empty reason among them"""
    for line, status, reason in (
        (b"SIP/2.0 200 OK", 200, b"OK"),
        (b"SIP/2.0 404 Not Found", 404, b"Not Found"),
        (b"SIP/2.0 100 ", 100, b""),
        (b"SIP/2.0 100", 100, b""),
        (b"SIP/2.0 699 x", 699, b"x"),
        (b"sip/2.0 603 \xd0\xbd\xd0\xbe", 603, b"\xd0\xbd\xd0\xbe"),
    ):
        message = Message(line + b"\r\nContent-Length: 0\r\n\r\n")
        assert message.fault is None
        assert (message.status, message.reason, message.method) == (status, reason, b"")


def test_what_is_no_status_line_has_no_status():
    for line in (
        b"SIP/2.0 20 OK",
        b"SIP/2.0 2000 OK",
        b"SIP/2.0 099 x",
        b"SIP/3.0 200 OK",
        b"SIP/2.0 abc x",
        b"SIP/2.0 2x0 OK",
        b"SIP/2.0 2 0 OK",
        b"SIP/2.0 700 x",
        b"SIP/2.0 200OK",
        b"SIP/2.0",
    ):
        message = Message(line + b"\r\n\r\n")
        assert message.status == 0
        assert message.fault is not None


def test_a_request_line_has_two_spaces():
    """R3261-7.1: single spaces, no blank in the URI"""
    for line in (
        b"MESSAGE  sip:desk@example.org SIP/2.0",
        b"MESSAGE sip:desk@example.org  SIP/2.0",
        b"MESSAGE sip:desk@example.org SIP/2.0 ",
        b"MESSAGE sip:desk@example.org",
        b"MESSAGE  SIP/2.0",
        b" sip:desk@example.org SIP/2.0",
        b"MESSAGE <sip:desk@example.org; lr> SIP/2.0",
        b"MESSAGE sip:desk@example.org; lr SIP/2.0",
        b"MESSAGE",
        b" MESSAGE sip:desk@example.org SIP/2.0",
        b"MESSAGE sip:desk@example.org HTTP/1.1",
    ):
        message = Message(changed(MESSAGE, b"MESSAGE sip:desk@example.org SIP/2.0", line))
        assert message.fault is not None and message.fault[1] == 400


def test_the_version_is_read_in_any_case_and_has_to_be_ours():
    """R3261-7.2, R3261-8.2-1: sip/2.0 will do, SIP/7.0 is a 505"""
    assert Message(changed(MESSAGE, b" SIP/2.0\r", b" sip/2.0\r")).fault is None
    fault = Message(changed(MESSAGE, b" SIP/2.0\r", b" SIP/7.0\r")).fault
    assert fault is not None and fault[1] == 505


def test_names_are_read_in_any_case_and_in_compact_form():
    """R3261-7.3: all compact names of RFC 3261, mixed with long ones"""
    for line, name in (
        (b"I: x", b"call-id"),
        (b"m: x", b"contact"),
        (b"e: x", b"content-encoding"),
        (b"c: x", b"content-type"),
        (b"F: x", b"from"),
        (b"s: x", b"subject"),
        (b"k: x", b"supported"),
        (b"t: x", b"to"),
        (b"V: x", b"via"),
        (b"DATE: x", b"date"),
        (b"ExPiReS   : x", b"expires"),
    ):
        message = Message(b"MESSAGE sip:b SIP/2.0\r\n" + line + b"\r\n\r\n")
        assert checked(message) == [name]
        assert message.get(name) == b"x"
    assert Message(changed(MESSAGE, b"Content-Length: 18", b"L:18")).length == 18


def test_a_line_that_begins_with_a_blank_goes_on():
    """R3261-7.4: a fold counts as one blank, wherever it is"""
    message = Message(
        changed(
            with_field(b"Subject: one\r\n  two\r\n\tthree"),
            b"To: <sip:desk@example.org>",
            b"To:\r\n <sip:desk@example.org>",
            b"CSeq: 1 MESSAGE",
            b"CSeq: 1\r\n\tMESSAGE",
        )
    )
    assert message.fault is None
    assert message.get(b"subject") == b"one two three"
    assert message.get(b"to") == b"<sip:desk@example.org>"
    assert message.get(b"cseq") == b"1 MESSAGE"
    assert message.body == b"Watson, come here."


def test_lines_of_a_list_are_one_list_in_order():
    """R3261-7.5: several lines, several values in a line, or both"""
    message = Message(with_field(b"Route: <sip:a;lr>, <sip:b,c;lr>\r\nSubject: x\r\nROUTE:<sip:d>"))
    assert message.all(b"route") == [b"<sip:a;lr>, <sip:b,c;lr>", b"<sip:d>"]
    assert message.members(b"route") == [b"<sip:a;lr>", b"<sip:b,c;lr>", b"<sip:d>"]
    assert message.members(b"record-route") == []
    raises(ParseError, Message(with_field(b"Route: <sip:a>,")).members, b"route")


def test_challenges_are_not_split_at_their_commas():
    """R3261-7.5: WWW-Authenticate is one value a line"""
    message = Message(
        with_field(b'WWW-Authenticate: Digest realm="a", nonce="b"\r\nWWW-Authenticate: Digest realm="c"')
    )
    assert message.all(b"www-authenticate") == [b'Digest realm="a", nonce="b"', b'Digest realm="c"']


def test_the_body_is_what_content_length_says():
    """R3261-7.8, R3261-18-9: octets, beyond it nothing, without it the rest of the datagram"""
    for data, body, missing in (
        (MESSAGE, b"Watson, come here.", 0),
        (MESSAGE + b"MESSAGE sip:x", b"Watson, come here.", 0),
        (changed(MESSAGE, b"Length: 18", b"Length: 0"), b"", 0),
        (changed(MESSAGE, b"Length: 18", b"Length: 00006"), b"Watson", 0),
        (changed(MESSAGE, b"Length: 18", b"Length: 20"), b"Watson, come here.", 2),
        (changed(MESSAGE, b"come here", b"\xc3\xa4\x00\xff\r\n here"), b"Watson, \xc3\xa4\x00\xff\r\n her", 0),
        (without(b"Content-Length"), b"Watson, come here.", 0),
    ):
        message = Message(data)
        assert message.fault is None
        assert (message.body, message.missing()) == (body, missing)


def test_a_content_length_that_cannot_be_used_is_a_fault():
    """R3261-18-10, R3261-7.7: negative, not a number, too large, repeated"""
    for value in (b"-1", b"+18", b"eighteen", b"", b"1_8", b"18 18", b"99999999999999999999", b"18\r\nl: 18", b"18,18"):
        message = Message(changed(MESSAGE, b"Length: 18", b"Length: " + value))
        assert message.length == -1
        assert message.fault is not None and message.fault[1] == 400


def test_every_line_ends_in_cr_lf():
    """R3261-7.1: neither octet comes alone"""
    for bad in (b"Subject: a\nb", b"Subject: a\rb", b"Subject: a\n b", b"\nSubject: a"):
        raises(ParseError, checked, Message(with_field(bad)))
    assert Message(MESSAGE.replace(b"\r\n", b"\n")).body_at == 0


def test_a_header_section_without_an_end_is_a_fault():
    for data in (MESSAGE[:-20], MESSAGE[:200], b"MESSAGE sip:b SIP/2.0\r\n", b"MESSAGE sip:b SIP/2.0\r\nA: b\r\n c"):
        message = Message(data)
        assert message.body_at == 0
        assert message.fault is not None
        assert message.body == b""


def test_a_line_without_a_name_and_a_colon_is_a_fault():
    for line in (b"Subject", b"Subject\r\n: x", b": x", b"Sub ject: x", b"\xc3"):
        message = Message(with_field(line))
        assert message.get(b"subject") is None
        raises(ParseError, checked, message)
        assert message.get(b"call-id") == b"asd88asd77a@1.2.3.4"  # the rest can still be read


def test_what_begins_with_a_line_end_has_no_start_line_and_no_fields():
    """R3261-18-11: who hands octets over takes line ends away first; nothing behind them is read by mistake"""
    message = Message(b"\r\n" + MESSAGE)
    assert (message.method, message.status, message.names, message.body) == (b"", 0, [], b"")


def test_the_constructor_takes_anything():
    for data in (
        b"",
        b"\r\n",
        b"\r\n\r\n",
        b"\x00" * 100,
        b":",
        b"\r",
        b"\n",
        b"SIP/",
        b"SIP/2.0 ",
        b"a\r\n \r\n\r\n",
        MESSAGE * 3,
    ):
        message = Message(data)
        message.get(b"via")
        message.all(b"via")
        message.missing()
        assert len(message.body) <= len(data)
