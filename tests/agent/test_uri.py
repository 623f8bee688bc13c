from agent.errors import ParseError
from agent.escapes import unescape
from agent.uri import bracketed, is_token, parse_host_port, parse_uri
from tests.helpers import raises


def test_a_uri_comes_apart_as_it_was_written():
    """R3261-19-5: an IPv6 host has brackets in a URI"""
    for value, user, host, port, params, headers in (
        (b"sip:example.org", None, b"example.org", None, [], b""),
        (b"sip:bob@example.org", b"bob", b"example.org", None, [], b""),
        (b"SIPS:bob:secret@Example.ORG:5070", b"bob:secret", b"example.org", 5070, [], b""),
        (b"sip:a;b=1@example.org", b"a;b=1", b"example.org", None, [], b""),
        (b"sip:a?b@example.org", b"a?b", b"example.org", None, [], b""),
        (b"sip:bob@[2001:DB8::1]:5070;lr", b"bob", b"2001:db8::1", 5070, [(b"lr", None)], b""),
        (b"sip:[::ffff:192.0.2.1]", None, b"::ffff:192.0.2.1", None, [], b""),
        (
            b"sip:bob@192.0.2.1;Transport=TCP;lr?Subject=x&Priority=y",
            b"bob",
            b"192.0.2.1",
            None,
            [(b"transport", b"TCP"), (b"lr", None)],
            b"Subject=x&Priority=y",
        ),
    ):
        uri = parse_uri(value)
        assert uri.scheme == value[: value.find(b":")].lower()
        assert (uri.user, uri.host, uri.port, uri.params, uri.headers) == (user, host, port, params, headers)


def test_im_tel_and_strange_uris_are_uris():
    """R3261-19-3, R3428-5.4: tel: and im: come apart; other schemes stay in one piece"""
    uri = parse_uri(b"im:bob@example.org")
    assert (uri.scheme, uri.user, uri.host) == (b"im", b"bob", b"example.org")
    uri = parse_uri(b"tel:+358-555-1234567;postd=pp22")
    assert (uri.scheme, uri.user, uri.host, uri.param(b"postd")) == (b"tel", b"+358-555-1234567", b"", b"pp22")
    uri = parse_uri(b"nobodyKnowsThisScheme:totally;opaque?x")
    assert (uri.scheme, uri.user) == (b"nobodyknowsthisscheme", b"totally;opaque?x")


def test_what_is_no_uri_is_refused():
    for value in (
        b"",
        b":",
        b"sip",
        b"sip:",
        b"sip:@example.org",
        b"sip::secret@example.org",
        b"sip:a@b@example.org",
        b"sip:a@example.org;x=b@c",
        b"sip:a@example.org?x=b@c",
        b"sip:bob@",
        b"sip:bob@example.org:",
        b"sip:bob@example.org:65536",
        b"sip:bob@example.org:-1",
        b"sip:bob@example.org:5060a",
        b"sip:bob@exam_ple!.org",
        b"sip:bob@[2001:db8::1",
        b"sip:bob@[example.org]",
        b"sip:bob@[::1]x",
        b"sip:bob@[::1]15060",
        b"sip:bob@2001:db8::1",
        b"sip:bob@example.org;;lr",
        b"sip:bob@example.org;=x",
        b"sip:bob smith@example.org",
        b"sip:bob@example.org\r\nContact: x",
        b"<sip:bob@example.org>",
        b'sip:"bob"@example.org',
        b"tel:",
        b"1 2:x",
    ):
        assert raises(ParseError, parse_uri, value).status == 400


def test_equivalent_uris_share_a_key():
    """R3261-19-1: the pairs of RFC 3261 section 19.1.4 that are equivalent"""
    for one, other in (
        (b"sip:%61lice@atlanta.com;transport=TCP", b"sip:alice@AtlanTa.CoM;Transport=tcp"),
        (b"sip:carol@chicago.com", b"sip:carol@chicago.com;newparam=5"),
        (b"sip:carol@chicago.com;newparam=5", b"sip:carol@chicago.com;security=on"),
        (b"SIP:carol@chicago.com", b"sip:carol@chicago.com"),
        (
            b"sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            b"sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (b"sip:bob@[2001:DB8::1]", b"sip:bob@[2001:db8::1]"),
    ):
        assert parse_uri(one).key() == parse_uri(other).key()


def test_different_uris_have_different_keys():
    """R3261-19-1: the pairs of RFC 3261 section 19.1.4 that differ, those of unknown parameters and headers apart"""
    for one, other in (
        (b"SIP:ALICE@AtLanTa.CoM;Transport=udp", b"sip:alice@AtLanTa.CoM;Transport=UDP"),
        (b"sip:bob@biloxi.com", b"sip:bob@biloxi.com:5060"),
        (b"sip:bob@biloxi.com", b"sip:bob@biloxi.com;transport=udp"),
        (b"sip:bob@biloxi.com", b"sip:bob@biloxi.com:6000;transport=tcp"),
        (b"sip:bob@phone21.boxesbybob.com", b"sip:bob@192.0.2.4"),
        (b"sip:bob@biloxi.com", b"sips:bob@biloxi.com"),
        (b"sip:bob@biloxi.com", b"sip:biloxi.com"),
        (b"sip:bob@biloxi.com", b"sip:bob:pw@biloxi.com"),
        (b"sip:bob@biloxi.com", b"sip:bob@biloxi.com;user=phone"),
        (b"sip:bob@biloxi.com;ttl=1", b"sip:bob@biloxi.com;ttl=2"),
        (b"sip:bob@biloxi.com", b"sip:bob@biloxi.com;maddr=192.0.2.1"),
        (b"sip:bob@biloxi.com", b"sip:bob@biloxi.com;method=MESSAGE"),
        (b"sip:bob@biloxi.com", b"im:bob@biloxi.com"),
    ):
        assert parse_uri(one).key() != parse_uri(other).key()


def test_a_request_uri_has_no_headers_and_no_method():
    """R3261-19-2: headers and method are dropped, all else stays"""
    for value, expected in (
        (b"sip:bob@example.org?Subject=x", b"sip:bob@example.org"),
        (b"sip:bob@example.org:5070;method=INVITE;lr;x=1?a=b", b"sip:bob@example.org:5070;lr;x=1"),
        (b"sip:b%41b@[2001:db8::1];transport=tcp", b"sip:b%41b@[2001:db8::1];transport=tcp"),
        (b"im:bob@example.org", b"im:bob@example.org"),
        (b"tel:+358;ext=1", b"tel:+358;ext=1"),
        (b"urn:service:sos", b"urn:service:sos"),
    ):
        assert parse_uri(value).request_uri() == expected


def test_an_address_of_record_has_user_and_host_alone():
    """R3261-19-2: To and From have no port, no parameters, no headers"""
    for value, expected in (
        (b"sip:bob@example.org:5070;transport=tcp?Subject=x", b"sip:bob@example.org"),
        (b"sips:[2001:db8::1]:5061", b"sips:[2001:db8::1]"),
        (b"tel:+358;ext=1", b"tel:+358"),
    ):
        assert parse_uri(value).address_of_record() == expected


def test_escapes_are_decoded_once():
    """R3261-19-4: %2541 is %41, not A"""
    for value, expected in (
        (b"alice", b"alice"),
        (b"%61l%69ce", b"alice"),
        (b"%2541", b"%41"),
        (b"a%00b", b"a\x00b"),
        (b"100%", b"100%"),
        (b"%4", b"%4"),
        (b"%zz", b"%zz"),
        (b"%Z%45", b"%ZE"),
    ):
        assert unescape(value) == expected


def test_a_uri_says_where_its_request_goes():
    """R3428-8.1, R3261-18-4: the transport is the URI's, else the configured one; 5060, and 5061 with TLS"""
    for value, transport, flow in (
        (b"sip:bob@example.org", b"UDP", (b"UDP", b"example.org", 5060)),
        (b"sip:bob@example.org", b"TCP", (b"TCP", b"example.org", 5060)),
        (b"sip:bob@example.org;transport=tcp", b"UDP", (b"TCP", b"example.org", 5060)),
        (b"sip:bob@example.org:5080;transport=UDP", b"TCP", (b"UDP", b"example.org", 5080)),
        (b"sip:bob@example.org;transport=tls", b"UDP", (b"TLS", b"example.org", 5061)),
        (b"sips:bob@example.org", b"UDP", (b"TLS", b"example.org", 5061)),
        (b"sips:bob@example.org:5070;transport=tcp", b"UDP", (b"TLS", b"example.org", 5070)),
        (b"sip:bob@[2001:db8::1]", b"UDP", (b"UDP", b"2001:db8::1", 5060)),
        (b"sip:bob@example.org;maddr=192.0.2.3", b"UDP", (b"UDP", b"192.0.2.3", 5060)),
        (b"sip:bob@example.org;maddr=[2001:db8::3]", b"UDP", (b"UDP", b"2001:db8::3", 5060)),
    ):
        assert parse_uri(value).flow(transport) == flow


def test_a_uri_that_no_request_can_go_to_is_refused():
    for value in (b"tel:+358", b"im:bob@example.org", b"sip:bob@example.org;transport=sctp"):
        raises(ParseError, parse_uri(value).flow, b"UDP")


def test_a_host_is_a_name_or_an_address():
    """R3261-19-5: IPv6 in brackets"""
    for value, host, port in (
        (b"Example.org", b"example.org", None),
        (b"192.0.2.1:5060", b"192.0.2.1", 5060),
        (b"[2001:DB8::9:1]:0", b"2001:db8::9:1", 0),
        (b"boiler-1.a_b.example:65535", b"boiler-1.a_b.example", 65535),
        (b"h:00080", b"h", 80),
    ):
        assert parse_host_port(value) == (host, port)
        assert parse_host_port(bracketed(host)) == (host, None)
    for value in (b"", b":5060", b"[]", b"[::1", b"::1", b"a b", b"a:", b"a:1:2", b"a:+5", b"a:99999", b"\xff"):
        raises(ParseError, parse_host_port, value)


def test_tokens_are_told_from_other_text():
    for value in (b"MESSAGE", b"z9hG4bK776", b"-.!%*_+`'~", b"0"):
        assert is_token(value)
    for value in (b"", b"a b", b"a;", b"<", b'"a"', b"a:b", b"\xc3\xa9", b"a\n", b"(a)", b"a/b", b"a@b"):
        assert not is_token(value)
