from agent.errors import ParseError
from agent.headers.delta import parse_delta
from agent.headers.quoting import split_list, split_outside_quotes
from agent.headers.values import media_type, param, parse_address, parse_cseq, parse_via, split_params
from tests.helpers import raises


def test_quotes_and_brackets_hide_what_is_in_them():
    for value, wanted, at in (
        (b"a,b", b",", 1),
        (b'"a,b",c', b",", 5),
        (b'"a\\",b",c', b",", 7),
        (b"<sip:a,b@c>;x", b";", 11),
        (b'"<",a', b",", 3),
        (b"abc", b",", -1),
        (b'"\\\\",c', b",", 4),
        (b'"",c', b",", 2),
        (b'a"",c', b",", 3),
    ):
        parts = split_outside_quotes(value, wanted)
        assert parts == ([value] if at < 0 else [value[:at], value[at + 1 :]])
    for value in (b'"a', b"<a", b'a, "b\\"', b'"<a>'):
        raises(ParseError, split_outside_quotes, value, b";")


def test_a_list_is_split_at_its_commas():
    """R3261-7.5: several values in one line"""
    assert split_list(b"a") == [b"a"]
    assert split_list(b" a ,\tb,c") == [b"a", b"b", b"c"]
    assert split_list(b'"x, y" <sip:a,b@c>, <sip:d>') == [b'"x, y" <sip:a,b@c>', b"<sip:d>"]
    for value in (b"", b",", b"a,", b",a", b"a,,b", b'a,"b'):
        raises(ParseError, split_list, value)


def test_parameters_are_split_at_their_semicolons():
    """R3261-7.6: a name comes once, in any case"""
    assert split_params(b"Tag=1;lr") == [(b"tag", b"1"), (b"lr", None)]
    assert split_params(b' a = "x;y" ; b') == [(b"a", b'"x;y"'), (b"b", None)]
    assert split_params(b"a=<x;y>;b") == [(b"a", b"<x;y>"), (b"b", None)]
    assert split_params(b"received=[2001:db8::1]") == [(b"received", b"[2001:db8::1]")]
    for value in (b"", b";", b"a;", b"a=", b"a;;b", b"a=1;A=2", b"a b=1", b'a="x', b"=1"):
        raises(ParseError, split_params, value)


def test_a_parameter_is_found_by_name():
    params = split_params(b"tag=1;lr")
    assert param(params, b"tag") == b"1"
    assert param(params, b"lr") == b""
    assert param(params, b"ttl") is None


def test_addresses_come_in_three_forms():
    """R3261-8.2-4: display name, URI of any scheme, parameters"""
    for value, display, uri, params in (
        (b"<sip:a@b>", b"", b"sip:a@b", []),
        (b"sip:a@b;tag=1", b"", b"sip:a@b", [(b"tag", b"1")]),
        (b"<sip:a@b;lr>;tag=1", b"", b"sip:a@b;lr", [(b"tag", b"1")]),
        (b"Mr. Watson <sip:a@b> ; tag=1", b"Mr. Watson", b"sip:a@b", [(b"tag", b"1")]),
        (b"caller<sip:a@b>;tag=323", b"caller", b"sip:a@b", [(b"tag", b"323")]),
        (b'"A \\" <B>" <sip:a@b>', b'A \\" <B>', b"sip:a@b", []),
        (b'"" <tel:+358>', b"", b"tel:+358", []),
        (b'"A"<sip:a@b>', b"A", b"sip:a@b", []),
        (b'"\\\\" <sip:a@b>', b"\\\\", b"sip:a@b", []),
        (b'"\\"" <sip:a@b>', b'\\"', b"sip:a@b", []),
        (b"<sip:a,b@c?x=y>", b"", b"sip:a,b@c?x=y", []),
    ):
        assert parse_address(value) == (display, uri, params)


def test_what_is_no_address_is_refused():
    for value in (
        b'"A <sip:a@b>',
        b'"A" sip:a@b',
        b"<sip:a@b",
        b"a, b <sip:a@b>",
        b"sip:a,b@c",
        b"sip:a@b?x=y",
        b"<sip:a@b>x",
        b"<sip:a@b> tag=1",
        b"<sip:a@b>,tag=1",
        b"<sip:a@b>;",
        b"<sip:a@b>;tag=1;tag=2",
        b"a@b.c <sip:a@b>",
    ):
        assert raises(ParseError, parse_address, value).status == 400


def test_a_via_comes_apart():
    """R3428-T2.19, R3261-19-5: transport, sent-by with brackets around IPv6, parameters; blanks as RFC 4475 has them"""
    for value, transport, host, port, params in (
        (b"SIP/2.0/UDP 192.0.2.1", b"UDP", b"192.0.2.1", None, []),
        (
            b"sip/2.0/tcp Host.Example.ORG:5070;branch=z9hG4bKa",
            b"TCP",
            b"host.example.org",
            5070,
            [(b"branch", b"z9hG4bKa")],
        ),
        (
            b"SIP / 2.0\t/ UDP [2001:db8::9:1] : 5060 ; rport;x = y",
            b"UDP",
            b"2001:db8::9:1",
            5060,
            [(b"rport", None), (b"x", b"y")],
        ),
        (b"SIP/2.0/UNKNOWN t.example.com;branch=1", b"UNKNOWN", b"t.example.com", None, [(b"branch", b"1")]),
    ):
        via = parse_via(value)
        assert (via.transport, via.host, via.port, via.params, via.text) == (transport, host, port, params, value)


def test_what_is_no_via_is_refused():
    for value in (
        b"",
        b"SIP/2.0",
        b"SIP/2.0/UDP",
        b"SIP/2.0/UDP ",
        b"SIP/3.0/UDP 192.0.2.1",
        b"HTTP/2.0/UDP 192.0.2.1",
        b"SIP/2.0/UDP 192.0.2.1;",
        b"SIP/2.0/UDP 192.0.2.1;branch=1;branch=2",
        b"SIP/2.0/UDP 192.0.2.1:port",
        b"SIP/2.0/UDP 192.0.2.1:70000",
        b"SIP/2.0/UDP ;branch=1",
        b"SIP/2.0/U@P 192.0.2.1",
    ):
        assert raises(ParseError, parse_via, value).status == 400


def test_a_cseq_is_a_number_of_32_bits_and_a_method():
    """R3261-7.10, R3428-T1.30: any unsigned value of 32 bits"""
    for value, expected in (
        (b"1 MESSAGE", (1, b"MESSAGE")),
        (b"0 MESSAGE", (0, b"MESSAGE")),
        (b"0009   INVITE", (9, b"INVITE")),
        (b"00000000000000000000000000000000000000001\tMESSAGE", (1, b"MESSAGE")),
        (b"4294967295 message", (4294967295, b"message")),
        (b" 1 MESSAGE\t", (1, b"MESSAGE")),
    ):
        assert parse_cseq(value) == expected
    for value in (
        b"",
        b"1",
        b"MESSAGE",
        b"MESSAGE 1",
        b"-1 MESSAGE",
        b"+1 MESSAGE",
        b"1_0 MESSAGE",
        b"4294967296 MESSAGE",
        b"36893488147419103232 MESSAGE",
        b"1 MESSAGE x",
        b"1 MESS@GE",
    ):
        raises(ParseError, parse_cseq, value)


def test_expires_is_a_number_of_32_bits_or_nothing():
    """R3261-7.10: 0 to 2**32-1; what is malformed counts as absent"""
    for value, expected in ((b"0", 0), (b"600", 600), (b"4294967295", 4294967295), (b"0000000060", 60)):
        assert parse_delta(value) == expected
    for value in (None, b"", b"-1", b"+1", b"1.5", b"soon", b"4294967296", b"36893488147419103232", b"1_0", b"1 0"):
        assert parse_delta(value) is None


def test_a_media_type_is_compared_without_case_and_parameters():
    for value in (b"text/plain", b"Text/PLAIN;charset=UTF-8", b"text / plain ; x=y"):
        assert media_type(value) == b"text/plain"
    assert media_type(b"") == b""
