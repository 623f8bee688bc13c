"""Requests that are refused, in the order of RFC 3261 section 8.2, and what is no request at all."""

from agent.notices import Dropped
from tests.helpers import MESSAGE, NOW, TCP, UDP, changed, deliver, desk, only, sent, with_body, with_field, without

OPTIONS = changed(without(b"Content-Type", with_body(b"")), b"MESSAGE sip", b"OPTIONS sip", b"1 MESSAGE", b"1 OPTIONS")


def method(name):
    return changed(MESSAGE, b"MESSAGE sip", name + b" sip", b"1 MESSAGE", b"1 " + name)


def refusal(data, **options):
    """Return the response to a request that must not reach the application."""
    return sent([event for event in desk(**options).receive(data, UDP, NOW) if type(event) is not Dropped])


def test_methods_that_are_known_and_not_served_are_405_with_allow():
    """R3261-8.2-3, R3428-T1.14, R3428-T1.15: lists MESSAGE"""
    for name in (b"INVITE", b"REGISTER", b"BYE", b"SUBSCRIBE", b"NOTIFY", b"INFO", b"REFER", b"UPDATE", b"PUBLISH"):
        response = refusal(method(name))
        assert response.status == 405
        assert b"MESSAGE" in response.members(b"allow")


def test_methods_that_nobody_knows_are_501_and_case_matters():
    """R3261-8.2-3, R3428-9.2: `message` is another method"""
    for name in (b"message", b"Message", b"NEWMETHOD", b"!interesting-Method0123456789_*+`.%indeed'~"):
        response = refusal(method(name))
        assert response.status == 501
        assert b"MESSAGE" in response.members(b"allow")


def test_a_scheme_that_is_not_served_is_416():
    """R3261-8.2-5, R3261-19-3: tel: and the unknown; sip:, sips: and im: are served"""
    for uri, status in (
        (b"tel:+358-555-1234567", 416),
        (b"nobodyKnowsThisScheme:totallyopaque", 416),
        (b"http://example.org", 416),
        (b"sips:desk@example.org", 200),
        (b"im:desk@example.org", 200),
        (b"sip:example.org", 200),
    ):
        assert deliver(desk(), changed(MESSAGE, b"MESSAGE sip:desk@example.org", b"MESSAGE " + uri))[0] == status


def test_a_request_for_somebody_else_is_404():
    """R3261-8.2-6: by user, with its escapes undone, and by host in any case"""
    for uri, users, hosts, status in (
        (b"sip:desk@example.org", (b"desk",), None, 200),
        (b"sip:%64esk@example.org", (b"desk",), None, 200),
        (b"sip:Desk@example.org", (b"desk",), None, 404),
        (b"sip:boiler@example.org", (b"desk", b"lamp"), None, 404),
        (b"sip:example.org", (b"desk",), None, 404),
        (b"sip:desk@EXAMPLE.org", None, (b"example.org",), 200),
        (b"sip:desk@192.0.2.9:5060", None, (b"example.org", b"192.0.2.9"), 200),
        (b"sip:desk@example.com", None, (b"Example.org",), 404),
    ):
        data = changed(MESSAGE, b"MESSAGE sip:desk@example.org", b"MESSAGE " + uri)
        assert deliver(desk(users=users, hosts=hosts), data)[0] == status


def test_a_uri_that_was_met_before_is_judged_by_itself():
    """R3261-8.2-6: a server remembers how some URIs were parsed, and forgets them when there are more"""
    ua = desk(users=(b"desk",), keep=512)  # two of them
    users = (b"desk", b"lamp", b"desk", b"boiler", b"pump", b"desk", b"sensor", b"lamp", b"desk")
    for i in range(len(users)):
        data = changed(MESSAGE, b"asd88asd77a", b"%d" % i, b"776sgdkse", b"%d" % i)
        data = changed(data, b"MESSAGE sip:desk@example.org", b"MESSAGE sip:%s@example.org" % users[i])
        assert deliver(ua, data)[0] == (200 if users[i] == b"desk" else 404)


def test_a_copy_that_came_another_way_is_482():
    """R3261-8.2-7, R3428-6.2: same From tag, Call-ID and CSeq, other branch, while the first is remembered"""
    copy = changed(MESSAGE, b"776sgdkse", b"fork2")
    for answered in (True, False):
        ua = desk()
        if answered:
            deliver(ua, MESSAGE)
        else:
            ua.receive(MESSAGE, UDP, NOW)
        assert deliver(ua, copy) == (482, None)
        assert deliver(ua, changed(copy, b"fork2", b"fork3", b"1 MESSAGE", b"2 MESSAGE"))[0] == 200
        assert deliver(ua, changed(copy, b"fork2", b"fork4", b"tag=49583", b"tag=4"))[0] == 200


def test_extensions_that_are_required_are_420_and_all_named():
    """R3261-8.2-8, R3428-T2.8, R3428-T2.17: in Unsupported, from all lines; not in CANCEL"""
    response = refusal(with_field(b"Require: 100rel, nothingSupportsThis\r\nRequire: x"))
    assert response.status == 420
    assert response.members(b"unsupported") == [b"100rel", b"nothingSupportsThis", b"x"]
    assert refusal(with_field(b"Require: x", method(b"CANCEL"))).status == 481


def test_a_require_that_is_no_list_is_400():
    """R3261-8.2-8, R3261-8.2-1: empty members, an open quote"""
    for value in (b"a,,b", b",", b'"a', b""):
        assert deliver(desk(), with_field(b"Require: " + value)) == (400, None)


def test_a_type_that_is_not_taken_is_415_with_those_that_are():
    """R3261-8.2-9, R3428-T1.3, R3428-7.9: for message/cpim as for any other"""
    for content_type, accept, status in (
        (b"text/plain", (b"text/plain",), 200),
        (b"TEXT / Plain;charset=utf-8", (b"text/plain",), 200),
        (b"text/html", (b"text/plain",), 415),
        (b"message/cpim", (b"text/plain", b"application/json"), 415),
        (b"text/html", (b"text/*",), 200),
        (b"textual/html", (b"text/*",), 415),
        (b"image/png", (b"*/*",), 200),
        (b"", (b"text/plain",), 415),
        (b"text/html\r\nDate: text/plain", (b"text/plain",), 415),  # nor does another field say what it is
    ):
        data = changed(MESSAGE, b"text/plain", content_type)
        if status == 200:
            assert deliver(desk(accept=accept), data)[0] == 200
        else:
            response = refusal(data, accept=accept)
            assert response.status == 415
            assert response.members(b"accept") == list(accept)
            assert response.get(b"accept-encoding") is None


def test_an_encoding_that_is_not_understood_is_415_with_those_that_are():
    """R3261-8.2-9, R3428-T1.6: also where the type would do"""
    for encoding in (b"gzip", b"deflate", b"identity, gzip"):
        response = refusal(with_field(b"Content-Encoding: " + encoding))
        assert response.status == 415
        assert response.get(b"accept-encoding") == b"identity"


def test_a_body_that_is_optional_is_no_reason_to_refuse():
    """R3261-8.2-9: Content-Disposition handling=optional, and no body at all"""
    html = changed(MESSAGE, b"text/plain", b"text/html")
    assert deliver(desk(), with_field(b"Content-Disposition: render;handling=optional", html))[0] == 200
    assert deliver(desk(), with_field(b"Content-Disposition: Handling=Optional", html))[0] == 200
    assert deliver(desk(), with_field(b"Content-Disposition: render;handling=required", html))[0] == 415
    assert deliver(desk(), with_body(b"", html))[0] == 200


def test_a_request_inside_a_dialog_is_481():
    """R3261-8.2-11: for there is none"""
    response = refusal(changed(MESSAGE, b"To: <sip:desk@example.org>", b"To: <sip:desk@example.org>;tag=1"))
    assert response.status == 481
    assert response.get(b"to") == b"<sip:desk@example.org>;tag=1"


def test_the_checks_come_in_order():
    """R3261-8.2-3, R3261-8.2-5, R3261-8.2-6, R3261-8.2-8, R3261-8.2-9: each mended request meets the next one"""
    data = changed(
        with_field(b"Require: x"),
        b"MESSAGE sip:desk@example.org",
        b"INVITE tel:1",
        b"1 MESSAGE",
        b"1 INVITE",
        b"text/plain",
        b"text/html",
        b"To: <sip:desk@example.org>",
        b"To: <sip:desk@example.org>;tag=1",
    )
    for status, old, new in (
        (405, b"INVITE", b"MESSAGE"),
        (416, b"tel:1", b"sip:lamp@example.org"),
        (404, b"sip:lamp", b"sip:desk"),
        (420, b"Require: x\r\n", b""),
        (415, b"text/html", b"text/plain"),
        (481, b";tag=1\r\n", b"\r\n"),
    ):
        assert refusal(data, users=(b"desk",)).status == status
        data = changed(data, old, new)
    assert deliver(desk(users=(b"desk",)), data)[0] == 200


def test_a_refusal_changes_nothing():
    """R3261-8.2-3: the same message, mended, is taken; the refusal is repeated octet for octet"""
    ua = desk()
    bad = changed(MESSAGE, b"text/plain", b"text/html")
    first = only(ua.receive(bad, UDP, NOW))
    assert only(ua.receive(bad, UDP, NOW)) == first
    assert deliver(ua, changed(MESSAGE, b"776sgdkse", b"again"))[0] == 200


def test_options_is_answered_with_what_is_served():
    """R3261-8.2-14, R3428-T1.13: as the real request would be"""
    response = refusal(OPTIONS)
    assert response.status == 200
    assert response.members(b"allow") == [b"MESSAGE", b"OPTIONS"]
    assert response.members(b"accept") == [b"text/plain"]
    assert response.get(b"accept-encoding") == b"identity"
    assert response.get(b"accept-language") is not None
    assert response.get(b"supported") == b""
    assert response.get(b"contact") is None
    assert refusal(OPTIONS, users=(b"lamp",)).status == 404
    assert refusal(with_field(b"Require: x", OPTIONS)).status == 420


def test_cancel_is_200_where_it_matches_and_481_elsewhere():
    """R3261-8.2-15: and the message's own answer stays"""
    ua = desk()
    assert deliver(ua, method(b"CANCEL"))[0] == 481
    ua = desk()
    event = only(ua.receive(MESSAGE, UDP, NOW))
    assert deliver(ua, method(b"CANCEL"))[0] == 200
    assert sent(ua.respond(event, 202, NOW)).status == 202


def test_ack_is_never_answered():
    """R3261-8.2-16: well-formed or not"""
    for data in (method(b"ACK"), with_field(b"Require: x", method(b"ACK")), method(b"ACK")[:200]):
        for flow in (UDP, TCP):
            assert deliver(desk(), data, flow) == (0, None)


def test_a_malformed_request_is_400_and_says_what_was_expected():
    """R3261-8.2-1, R3261-7.6, R3261-7.7, R3261-7.8, R3261-7.9, R3428-T1.29, R3261-18-9: answered without any state"""
    for data in (
        changed(MESSAGE, b"1 MESSAGE", b"1 OPTIONS"),
        changed(MESSAGE, b"1 MESSAGE", b"x MESSAGE"),
        changed(MESSAGE, b"1 MESSAGE", b"4294967296 MESSAGE"),
        changed(MESSAGE, b"From: <sip:boiler@example.org>", b"From: <sip:boiler@example.org"),
        changed(MESSAGE, b"From: <sip:boiler@example.org>;tag=49583", b"From: A, B <sip:boiler@example.org>"),
        changed(MESSAGE, b"tag=49583", b"tag=1;tag=2"),
        changed(MESSAGE, b"To: <sip:desk@example.org>", b'To: "x <sip:desk@example.org>'),
        changed(MESSAGE, b"To: <sip:desk@example.org>", b"To: <desk>"),
        changed(MESSAGE, b"MESSAGE sip:desk@example.org", b"MESSAGE <sip:desk@example.org>"),
        changed(MESSAGE, b"MESSAGE sip:desk@example.org", b"MESSAGE desk"),
        changed(MESSAGE, b"branch=z9", b"branch=1;branch=z9"),
        changed(MESSAGE, b"Length: 18", b"Length: 19"),
        changed(MESSAGE, b"Length: 18", b"Length: -1"),
        with_field(b"CSeq: 1 MESSAGE"),
        with_field(b"i: other"),
        with_field(b"f: <sip:x@y>;tag=1"),
        with_field(b"t: <sip:x@y>"),
        with_field(b"Max-Forwards: 70"),
        with_field(b"c: text/plain"),
        with_field(b"Date: Sat, 13 Nov 2010 23:29:00 GMT\r\nDate: Sat, 13 Nov 2010 23:29:00 GMT"),
        with_field(b"Expires: 1\r\nExpires: 2"),
        with_field(b"no colon"),
        with_field(b"Subject: a\nb"),
        without(b"Content-Type"),
    ):
        ua = desk(strict=True)
        response = sent([event for event in ua.receive(data, UDP, NOW) if type(event) is not Dropped])
        assert response.status == 400
        assert response.reason.find(b" expect") > 0
        assert response.fault is None
        assert ua.wait_ms(NOW) is None
        assert response.get(b"to").count(b";tag=") == 1


def test_a_malformed_request_gets_the_same_answer_each_time():
    """R3261-8.2-12: the same To tag, though nothing was kept; a tag of the peer's stays the only one"""
    bad = changed(MESSAGE, b"1 MESSAGE", b"x MESSAGE")
    ua = desk()
    assert ua.receive(bad, UDP, NOW)[0] == ua.receive(bad, UDP, NOW)[0]
    tagged = changed(bad, b"To: <sip:desk@example.org>", b"To: <sip:desk@example.org>;tag=1")
    assert refusal(tagged).get(b"to") == b"<sip:desk@example.org>;tag=1"
    assert refusal(changed(MESSAGE, b"To: <sip:desk@example.org>", b"To: ;tag=1")).get(b"to") == b";tag=1"


def test_another_version_is_505():
    """R3261-8.2-1, R3261-7.2: but sip/2.0 is ours"""
    response = refusal(changed(MESSAGE, b" SIP/2.0\r", b" SIP/7.0\r"))
    assert (response.status, response.reason) == (505, b"Version Not Supported")
    assert deliver(desk(), changed(MESSAGE, b" SIP/2.0\r", b" sip/2.0\r"))[0] == 200


def test_what_cannot_be_answered_is_dropped():
    """R3261-8.2-1, R3261-7.8: without Via, From, To, Call-ID or CSeq there is nothing to copy"""
    for name in (b"Via", b"From", b"To", b"Call-ID", b"CSeq"):
        assert [type(event) for event in desk().receive(without(name), UDP, NOW)] == [Dropped]


def test_what_is_no_request_is_never_answered():
    """R3261-18-15: responses, broken ones and good ones, and noise"""
    response = b"SIP/2.0 %s\r\n" + MESSAGE[MESSAGE.find(b"\r\n") + 2 :]
    for data in (
        b"",
        b"\0" * 10,
        b"hello",
        b"\r\n",
        b"\r\n\r\n",
        response % b"200 OK",
        response % b"99 OK",
        response % b"2000 OK",
        response % b"",
        changed(response % b"200 OK", b"Length: 18", b"Length: 99"),
        MESSAGE[:200],
        MESSAGE[: MESSAGE.find(b"\r\n\r\n") + 2],  # all but the empty line
        MESSAGE.replace(b"\r\n", b"\n"),
        b"\r\n" + MESSAGE[:20],
    ):
        ua = desk()
        events = list(ua.receive(data, UDP, NOW))
        assert [type(event) for event in events] in ([], [Dropped])
        assert ua.wait_ms(NOW) is None


def test_a_ping_on_a_stream_is_answered_and_elsewhere_it_is_nothing():
    """R3261-18-11: CRLF for CRLFCRLF"""
    assert only(desk().receive(b"\r\n\r\n", TCP, NOW)).data == b"\r\n"
    assert list(desk().receive(b"\r\n", TCP, NOW)) == []
    assert list(desk().receive(b"\r\n\r\n", UDP, NOW)) == []
