"""R3862-1..R3862-11, R3428-4.3: the message/cpim format, both ways."""

from agent.cpim.reader import (
    CORE,
    is_utf8,
    parse_address,
    parse_cpim,
    parse_datetime,
    unescape,
)
from agent.cpim.writer import build_cpim, escape, format_datetime
from agent.errors import ParseError
from tests.helpers import raises

EXAMPLE = (
    b"From: MR SANDERS <im:piglet@100akerwood.com>\r\n"
    b"To: Depressed Donkey <im:eeyore@100akerwood.com>\r\n"
    b"DateTime: 2000-12-13T13:40:00-08:00\r\n"
    b"Subject: the weather will be fine today\r\n"
    b"Subject:;lang=fr beau temps prevu pour aujourd'hui\r\n"
    b"NS: MyFeatures <mid:MessageFeatures@id.foo.com>\r\n"
    b"Require: MyFeatures.VitalMessageOption\r\n"
    b"MyFeatures.VitalMessageOption: Confirmation-requested\r\n"
    b"MyFeatures.WackyMessageOption: Use-silly-font\r\n"
    b"\r\n"
    b"Content-Type: text/xml; charset=utf-8\r\n"
    b"Content-ID: <1234567890@foo.com>\r\n"
    b"\r\n"
    b"<body>\r\nHere is the text of my message.\r\n</body>\r\n"
)  # RFC 3862 section 5.1
FEATURES = b"mid:MessageFeatures@id.foo.com"
PLAIN = b"\r\nContent-Type: text/plain\r\n\r\nhello"


def test_R3862_1_a_header_is_a_name_a_colon_one_space_and_the_value():
    cpim = parse_cpim(b'Subject:  two spaces\r\nsubject: another name\r\nX:;a=b;c="d e" f\r\nEmpty: \r\n' + PLAIN)
    assert cpim.headers == [
        (CORE, b"Subject", b"", b" two spaces"),
        (CORE, b"subject", b"", b"another name"),
        (CORE, b"X", b';a=b;c="d e"', b"f"),
        (CORE, b"Empty", b"", b""),
    ]
    assert cpim.get(b"subject") == b"another name"


def test_R3862_1_names_are_case_sensitive():
    cpim = parse_cpim(b"from: <im:a@b.example>\r\n" + PLAIN)
    assert cpim.address(b"From") is None
    assert cpim.get(b"from") == b"<im:a@b.example>"


def test_R3862_1_a_name_is_of_letters_digits_and_some_signs():
    for name in (b"X", b"z", b"A0", b"9", b"a-b", b"azAZ09!#$%&'*+-^_`|~"):
        assert parse_cpim(name + b": x\r\n" + PLAIN).get(name) == b"x"


def test_R3862_1_what_is_no_header_is_refused():
    for line in (
        b"Subject:no space",
        b"Subject",
        b": value",
        b"Sub ject: x",
        b"a.b.c: x",
        b".c: x",
        b"a.: x",
        b"Subject: folded\r\n over two lines",
        b"Subject: folded\r\n\tover two lines",
        b"X:;a=b",
        b'X:;a="b c',
        b'X:;a="b"c d',
    ):
        raises(ParseError, parse_cpim, line + b"\r\n" + PLAIN)


def test_R3862_2_the_known_headers_are_read():
    cpim = parse_cpim(EXAMPLE, (FEATURES,))
    assert cpim.address(b"From") == b"im:piglet@100akerwood.com"
    assert cpim.address(b"To") == b"im:eeyore@100akerwood.com"
    assert cpim.address(b"cc") is None
    assert cpim.unix() == 976743600
    assert cpim.get(b"Subject") == b"the weather will be fine today"
    assert [header[2:] for header in cpim.headers if header[1] == b"Subject"][1] == (
        b";lang=fr",
        b"beau temps prevu pour aujourd'hui",
    )
    assert cpim.get(b"VitalMessageOption", FEATURES) == b"Confirmation-requested"
    assert cpim.content_type == b"text/xml; charset=utf-8"
    assert cpim.body == b"<body>\r\nHere is the text of my message.\r\n</body>\r\n"


def test_R3862_2_to_and_cc_repeat_and_datetime_does_not():
    two = b"To: <im:a@b.example>\r\nTo: <im:c@d.example>\r\ncc: <im:e@f.example>\r\ncc: <im:g@h.example>\r\n"
    assert len(parse_cpim(two + PLAIN).headers) == 4
    date = b"DateTime: 2000-12-13T13:40:00Z\r\n"
    raises(ParseError, parse_cpim, date + date + PLAIN)
    raises(ParseError, parse_cpim, b"From: <im:a@b.example>\r\nFrom: <im:c@d.example>\r\n" + PLAIN)


def test_R3862_2_what_is_built_is_read_back():
    built = build_cpim(b"sip:boiler@example.org", b"sip:desk@example.org", b"hot", unix=976743600, subject=b"a\tb\\")
    assert built == (
        b"From: <sip:boiler@example.org>\r\nTo: <sip:desk@example.org>\r\nDateTime: 2000-12-13T21:40:00Z\r\n"
        b"Subject: a\\tb\\\\\r\n\r\nContent-Type: text/plain;charset=UTF-8\r\n\r\nhot"
    )
    cpim = parse_cpim(built)
    assert cpim.address(b"From") == b"sip:boiler@example.org"
    assert cpim.unix() == 976743600
    assert cpim.get(b"Subject") == b"a\tb\\"
    assert cpim.body == b"hot"


def test_R3862_2_without_a_clock_there_is_no_datetime():
    assert parse_cpim(build_cpim(b"sip:a@b.example", b"sip:c@d.example", b"")).unix() is None


def test_R3862_3_an_address_is_a_formal_name_and_a_uri_in_brackets():
    for value, wanted in (
        (b"MR SANDERS <im:piglet@100akerwood.com>", (b"MR SANDERS", b"im:piglet@100akerwood.com")),
        (b"<im:piglet@100akerwood.com>", (b"", b"im:piglet@100akerwood.com")),
        (b'"A <b> \\"c\\"" <im:a@b.example>', (b'A <b> "c"', b"im:a@b.example")),
        (b'""<im:a@b.example>', (b"", b"im:a@b.example")),
    ):
        assert parse_address(value) == wanted


def test_R3862_3_what_is_no_address_is_refused():
    for value in (
        b"im:a@b.example",
        b"<>",
        b"<im:a@b.example",
        b"A <im:a b>",
        b'"A <im:a>',
        b'"A" B <im:a>',
        b"<im:a> x",
    ):
        for name in (b"From", b"To", b"cc"):
            raises(ParseError, parse_cpim, name + b": " + value + b"\r\n" + PLAIN)


def test_R3862_4_escapes_are_decoded():
    for value, wanted in (
        (b"plain", b"plain"),
        (b"a\\\\b\\\"c\\'d", b"a\\b\"c'd"),
        (b"\\b\\t\\n\\r", b"\b\t\n\r"),
        (b"\\u00e9\\u20AC.", b"\xc3\xa9\xe2\x82\xac."),
        (b"\\ud7ff\\ue000", b"\xed\x9f\xbf\xee\x80\x80"),
        (b"\\\\u0041\\\\\\\\n", b"\\u0041\\\\n"),
        (b"\\\\\\n", b"\\\n"),
    ):
        assert unescape(value) == wanted


def test_R3862_4_an_unknown_escape_stays_as_written():
    for value in (
        b"\\q",
        b"\\",
        b"\\u12",
        b"\\u12g4",
        b"\\ud800",  # surrogates, from the first to the last
        b"\\ud83d",
        b"\\udfff",
        b"\\U0041",
        b"\\u+041",
    ):
        assert unescape(value) == value, value


def test_R3862_4_what_is_escaped_can_be_read_back():
    every = bytes(range(128)) + b"\xc3\xa9"
    escaped = escape(every)
    assert unescape(escaped) == every
    assert min(escaped) >= 32 and b"\x7f" not in escaped


def test_R3862_4_the_shortest_escape_is_written():
    for value, escaped in (
        (b"\b\t\n\r", b"\\b\\t\\n\\r"),
        (b"\x7f", b"\\u007f"),
        (b"\0\x1f", b"\\u0000\\u001f"),
        (b"\"'\xc3\xa9", b"\"'\xc3\xa9"),
    ):
        assert escape(value) == escaped


def test_R3862_4_a_control_character_is_refused():
    for c in (b"\0", b"\t", b"\x1b", b"\x7f", b"\n", b"\r"):
        raises(ParseError, parse_cpim, b"Subject: a" + c + b"b\r\n" + PLAIN)
        raises(ParseError, parse_cpim, b"X:;a=" + c + b" b\r\n" + PLAIN)


def test_R3862_5_message_headers_are_utf_8():
    for value in (
        b"\xc2\x80",
        b"\xc3\xa9",
        b"\xdf\xbf",
        b"\xe0\xa0\x80",
        b"\xe2\x82\xac",
        b"\xed\x9f\xbf",
        b"\xef\xbf\xbf",
        b"\xf0\x90\x80\x80",
        b"\xf0\x9f\x94\xa5",
        b"\xf4\x8f\xbf\xbf",
    ):
        assert is_utf8(b"a" + value + b"b"), value
        assert parse_cpim(b"Subject: " + value + b"\r\n" + PLAIN).get(b"Subject") == value
    for value in (
        b"\x80",
        b"\xc0\x80",
        b"\xc1\xbf",
        b"\xc3",
        b"\xe0\x80\x80",
        b"\xe0\x9f\xbf",
        b"\xe2\x82",
        b"\xe2\x82a",
        b"\xed\xa0\x80",
        b"\xf0\x80\x80\x80",
        b"\xf0\x8f\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
        b"\xff",
    ):
        assert not is_utf8(value), value
        raises(ParseError, parse_cpim, b"Subject: " + value + b"\r\n" + PLAIN)


def test_R3862_6_a_prefix_counts_from_its_NS_on():
    cpim = parse_cpim(b"f.Option: before\r\nNS: f <urn:f>\r\nf.Option: after\r\n" + PLAIN)
    assert cpim.headers[0][0] is None
    assert cpim.get(b"Option", b"urn:f") == b"after"
    cpim = parse_cpim(b"NS: f <urn:f>\r\nf.A: 1\r\nNS: f <urn:g>\r\nf.A: 2\r\n" + PLAIN)
    assert (cpim.get(b"A", b"urn:f"), cpim.get(b"A", b"urn:g")) == (b"1", b"2")


def test_R3862_6_NS_without_a_prefix_sets_the_default():
    cpim = parse_cpim(
        b"NS: core <urn:ietf:params:cpim-headers:>\r\nNS: <urn:f>\r\nSubject: of f\r\n"
        b"core.From: <im:a@b.example>\r\nNS: <urn:ietf:params:cpim-headers:>\r\nSubject: ours\r\n" + PLAIN
    )
    assert cpim.get(b"Subject", b"urn:f") == b"of f"
    assert cpim.get(b"Subject") == b"ours"
    assert cpim.address(b"From") == b"im:a@b.example"


def test_R3862_6_a_malformed_NS_is_refused():
    for value in (b"f", b"f urn:f", b"f <urn:f", b"f g <urn:f>", b"f:g <urn:f>", b"f/g <urn:f>"):
        raises(ParseError, parse_cpim, b"NS: " + value + b"\r\n" + PLAIN)


def test_R3862_7_a_required_header_that_nobody_knows_stops_the_message():
    assert raises(ParseError, parse_cpim, EXAMPLE).status == 400
    for value in (b"Unknown", b"f.A", b"Subject,f.A", b"f.Subject", b""):
        raises(ParseError, parse_cpim, b"Require: " + value + b"\r\n" + PLAIN)
    parse_cpim(b"Require: Subject,cc, To\r\n" + PLAIN)
    parse_cpim(b"NS: f <urn:f>\r\nRequire: f.A,Subject\r\n" + PLAIN, (b"urn:f",))


def test_R3862_7_unknown_headers_that_nobody_requires_are_ignored():
    assert parse_cpim(b"X-Unknown: 1\r\nf.A: 2\r\n" + PLAIN).body == b"hello"


def test_R3862_8_R3862_9_everything_is_kept_octet_for_octet():
    for data in (EXAMPLE, b'X:;p="q \\" r";s  v \r\nf.A: \\q\r\n' + PLAIN + b"\n\r\0\xff"):
        cpim = parse_cpim(data, (FEATURES,))
        assert cpim.data == data
        assert cpim.data[: cpim.body_at] + cpim.body == data


def test_R3862_9_line_ends_are_CRLF():
    raises(ParseError, parse_cpim, EXAMPLE.replace(b"\r\n", b"\n"), (FEATURES,))
    raises(ParseError, parse_cpim, b"Subject: a\nTo: <im:a@b.example>\r\n" + PLAIN)


def test_R3862_10_content_without_a_type_is_text():
    assert parse_cpim(b"Subject: x\r\n\r\n\r\nhello").content_type == b"text/plain;charset=us-ascii"
    cpim = parse_cpim(b"\r\n\r\n\xc3\xa9t\xc3\xa9")
    assert (cpim.body, cpim.headers) == (b"\xc3\xa9t\xc3\xa9", [])


def test_R3862_10_the_content_has_header_fields_as_MIME_has_them():
    cpim = parse_cpim(b"Subject: x\r\n\r\ncontent-TYPE : text/html;\r\n\tcharset=utf-8\r\nContent-ID: <1@a>\r\n\r\n")
    assert cpim.content_type == b"text/html; charset=utf-8"
    assert cpim.mime[1] == (b"content-id", b"<1@a>")
    assert cpim.body == b""
    cpim = parse_cpim(b"\r\nContent-ID: <1@a>\r\nContent-Type: text/html;\r\n\tcharset=utf-8\r\n\r\n")
    assert cpim.mime == [(b"content-id", b"<1@a>"), (b"content-type", b"text/html; charset=utf-8")]
    for wrong in (
        b"Content-Type: text/plain",
        b"no field\r\n\r\n",
        b": no name\r\n\r\n",
        b" folded first\r\n\r\n",
        b"Content-Type: a/b\r\n",
    ):
        raises(ParseError, parse_cpim, b"Subject: x\r\n\r\n" + wrong)


def test_R3862_11_signed_content_and_a_signed_message_are_read():
    signed = b'multipart/signed; boundary=b; protocol="application/pkcs7-signature"'
    inside = b"--b\r\nContent-Type: text/plain\r\n\r\nhi\r\n--b--\r\n"
    cpim = parse_cpim(b"Subject: x\r\n\r\nContent-Type: " + signed + b"\r\n\r\n" + inside)
    assert (cpim.content_type, cpim.body) == (signed, inside)
    whole = b"Content-Type: Message/CPIM\r\n\r\nSubject: x\r\n" + PLAIN  # the signed part of a multipart
    cpim = parse_cpim(whole)
    assert (cpim.get(b"Subject"), cpim.body, cpim.data) == (b"x", b"hello", whole)
    raises(ParseError, parse_cpim, whole.replace(b"Message/CPIM", b"text/plain"))
    raises(ParseError, parse_cpim, b"Content-Type: message/cpim")


def test_date_times_of_RFC_3339_are_read():
    for value, wanted in (
        (b"1970-01-01T00:00:00Z", 0),
        (b"1985-04-12T23:20:50.52Z", 482196050),
        (b"1996-12-19T16:39:57-08:00", 851042397),
        (b"1990-12-31T23:59:60Z", 662688000),
        (b"1990-12-31t15:59:60-08:00", 662688000),
        (b"2024-02-29T00:00:00+00:00", 1709164800),
        (b"2024-02-29T05:30:00+05:30", 1709164800),
        (b"2024-02-28T00:01:00.9-23:59", 1709164800),
        (b"2024-02-29T00:00:00.123Z", 1709164800),
        (b"2038-01-19T03:14:08z", 2147483648),
    ):
        assert parse_datetime(value) == wanted, value


def test_what_is_no_date_time_is_none():
    for value in (
        None,
        b"",
        b"2023-02-29T00:00:00Z",
        b"2023-04-31T00:00:00Z",
        b"2023-13-01T00:00:00Z",
        b"2023-00-01T00:00:00Z",
        b"2023-01-00T00:00:00Z",
        b"2023-01-01T24:00:00Z",
        b"2023-01-01T00:60:00Z",
        b"2023-01-01T00:00:61Z",
        b"2023-01-01T00:00:00",
        b"2023-01-01T00:00:00.Z",
        b"2023-01-01T00:00:00+0100",
        b"2023-01-01T00:00:00+24:00",
        b"2023-01-01T00:00:00-24:00",
        b"2023-01-01T00:00:00+00:60",
        b"2023-01-01T00:00:00+01:000",
        b"2023-01-01T00:00:00+01-00",
        b"2023-01-01T00:00:00+0a:00",
        b"2023-01-01T00:00:00+01:0a",
        b"2023-01-01T00:00:00x01:00",
        b"2023-01-01T00:00:00.xZ",
        b"2023-01-01T00:00:00.5",
        b"2023-01-01 00:00:00Z",
        b"2023-1-01T00:00:00ZZ",
        b"+023-01-01T00:00:00Z",
        b"1969-12-31T23:59:59Z",
    ):
        assert parse_datetime(value) is None, value


def test_a_date_time_is_written_in_UTC():
    for unix in (0, 951782400, 976743600, 1709164800, 4102444799):
        assert parse_datetime(format_datetime(unix)) == unix
    assert format_datetime(1709164799) == b"2024-02-28T23:59:59Z"


def test_a_message_of_headers_alone_is_bounded():
    raises(ParseError, parse_cpim, b"A: b\r\n" * 65 + PLAIN)
    raises(ParseError, parse_cpim, b"\r\n" + b"A: b\r\n" * 65 + b"\r\n")
    raises(ParseError, parse_cpim, b"\r\nA: b\r\n" + b" c\r\n" * 64 + b"\r\n")
    assert len(parse_cpim(b"A: b\r\n" * 64 + PLAIN).headers) == 64


def test_no_octets_raise_anything_but_ParseError():
    seed = 7
    for start in range(0, len(EXAMPLE), 3):
        data = bytearray(EXAMPLE)
        for _ in range(3):
            seed = (seed * 1103515245 + 12345) & 0x3FFFFFFF
            data[(start + seed) % len(data)] = seed >> 8 & 0xFF
        for piece in (bytes(data), EXAMPLE[:start], EXAMPLE[start:]):
            try:
                cpim = parse_cpim(piece, (FEATURES,))
                cpim.unix()
                cpim.address(b"From")
                assert cpim.data[cpim.body_at :] == cpim.body
            except ParseError:
                pass
