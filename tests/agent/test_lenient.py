"""R0-P14: flaws that nothing depends on lose no message, legal but odd spelling changes nothing."""

from agent.errors import ParseError, UsageError
from agent.headers.lenient import parse_address, read_params
from agent.headers.values import parse_via
from agent.message import Message
from tests.helpers import MESSAGE, NOW, UDP, changed, deliver, desk, only, raises, sent, with_field

FROM = b"<sip:boiler@example.org>;tag=49583"
VIA = b"SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bK776sgdkse"


def test_a_flawed_from_is_taken_and_comes_back_as_it_was():
    """RFC 4475 3.1.2.15: whoever can be told is told; strict refuses each of them"""
    for value, sender in (
        (b"B\xc3\xbcro <sip:b@example.org>;tag=1", b"sip:b@example.org"),
        (b"Boiler (cellar) <sip:b@example.org>;tag=1", b"sip:b@example.org"),
        (b"Room 1: boiler <sip:b@example.org> ;tag=1", b"sip:b@example.org"),
        (b"<Cellar> boiler <sip:b@example.org>;tag=1", b"sip:b@example.org"),
        (b'"Boiler <sip:b@example.org>;tag=1', b"sip:b@example.org"),
        (b'"Boiler" sip:b@example.org;tag=1', b"sip:b@example.org"),
        (b"Boiler room sips:b@example.org;tag=1", b"sips:b@example.org"),
        (b"<sip:b@example.org;tag=1", b"sip:b@example.org"),
        (b"< sip:b@example.org >;tag=1", b"sip:b@example.org"),
        (b"<sip:b@example.org> tag=2 ;tag=1", b"sip:b@example.org"),
        (b"<sip:b@example.org>;tag=1;", b"sip:b@example.org"),
        (b"<sip:b@example.org>;;tag=1;x=", b"sip:b@example.org"),
        (b'<sip:b@example.org>;tag=1;x="', b"sip:b@example.org"),
        (b"sip:b,c@example.org;tag=1", b"sip:b,c@example.org"),
        (b'"d" <ussd-1@olo-tst>;tag=1', b"ussd-1@olo-tst"),
        (b"<sip:My Shop@example.org>;tag=1", b"sip:My Shop@example.org"),
        (b"<sip:B\xc3\xbcro@example.org>;tag=1", b"sip:B\xc3\xbcro@example.org"),
        (b"<sip:B\xfcro@example.org>;tag=1", b"sip:B%FCro@example.org"),
        (b"<sip:ussd@1@example.org>;tag=1", b"sip:ussd@1@example.org"),
        (b'"x" <sip:x@>;tag=1', b"sip:x@"),
        (b"<<sip:b@example.org>>;tag=1", b"sip:b@example.org"),
        (b"<>;tag=1", b""),
        (b"nobody", b"nobody"),
    ):
        data = changed(MESSAGE, FROM, value)
        ua = desk()
        event = only(ua.receive(data, UDP, NOW))
        assert event.sender == sender, value
        response = sent(ua.respond(event, 200, NOW))
        assert (response.status, response.get(b"from")) == (200, value)
        assert deliver(desk(strict=True), data) == (400, None)


def test_its_tag_is_found():
    """R3261-8.2-7: by it a copy that came another way is known"""
    for value in (b"a: <sip:b@example.org>;tag=%d;", b"<sip:b@example.org>;;Tag = %d", b'"a" sip:b@example.org;tag=%d'):
        ua = desk()
        assert deliver(ua, changed(MESSAGE, FROM, value % 1))[0] == 200
        copy = changed(MESSAGE, FROM, value % 1, b"776sgdkse", b"other")
        assert deliver(ua, copy)[0] == 482
        assert deliver(ua, changed(copy, value % 1, value % 2, b"Kother", b"Kthird"))[0] == 200


def test_a_flawed_to_gets_a_tag_that_can_be_read():
    for value in (b"<sip:desk@example.org>;", b"<sip:desk@example.org> ; ", b"Desk, the <sip:desk@example.org>;x=;"):
        data = changed(MESSAGE, b"<sip:desk@example.org>", value)
        ua = desk()
        response = sent(ua.respond(only(ua.receive(data, UDP, NOW)), 200, NOW))
        to = response.get(b"to")
        assert to.startswith(value.rstrip(b"; ")) and to.count(b";tag=") == 1 and to.find(b";;") < 0, to
        assert deliver(desk(strict=True), data) == (400, None)
    in_dialog = changed(MESSAGE, b"To: <sip:desk@example.org>", b"To: D: <sip:desk@example.org>;tag=1;")
    assert deliver(desk(), in_dialog)[0] == 481


def test_flawed_parameters_of_via_come_back_and_lead_back():
    """R3261-18-7, R3581-3: what an answer depends on is read among them"""
    for params, flow in (
        (b";branch=z9hG4bK1;", (b"UDP", b"198.51.100.1", 5062)),
        (b";;branch=z9hG4bK1", (b"UDP", b"198.51.100.1", 5062)),
        (b";branch=z9hG4bK1;a b", (b"UDP", b"198.51.100.1", 5062)),
        (b";x=;branch=z9hG4bK1;x=2", (b"UDP", b"198.51.100.1", 5062)),
        (b";rport=;branch=z9hG4bK1", (b"UDP", b"198.51.100.1", 40000)),
        (b';branch=z9hG4bK1;rport;x="<', None),  # where the next Via begins can't be told
    ):
        data = changed(MESSAGE, VIA, VIA.partition(b";")[0] + params)
        ua = desk()
        events = ua.receive(data, (b"UDP", b"198.51.100.1", 40000), NOW)
        assert deliver(desk(strict=True), data) == (400, None)
        if flow is None:
            assert sent(events[:1]).status == 400
            continue
        answer = only(ua.respond(only(events), 200, NOW))
        via = parse_via(Message(answer.data).get(b"via").replace(b";x=;", b";").replace(b";a b", b""))
        assert answer.flow == flow and dict(via.params)[b"branch"] == b"z9hG4bK1"
        assert dict(via.params)[b"received"] == b"198.51.100.1"


def test_a_sent_by_that_cannot_be_read_is_not_needed_with_rport():
    """R3581-3"""
    for sent_by in (b"192.0.2.1:", b"192.0.2.1:99999", b"2001:db8::1", b"fe80::1%eth0", b"b\xc3\xbcro:5060"):
        data = changed(MESSAGE, b"192.0.2.1:5062;", sent_by + b";rport;")
        ua = desk()
        answer = only(ua.respond(only(ua.receive(data, UDP, NOW)), 200, NOW))
        assert answer.flow == UDP
        via = Message(answer.data).get(b"via")
        assert via == b"SIP/2.0/UDP %s;branch=z9hG4bK776sgdkse;received=192.0.2.1;rport=5062" % sent_by
        assert deliver(desk(), changed(data, b";rport", b"")) == (0, None)
        assert deliver(desk(strict=True), data) == (0, None)


def test_what_a_request_is_known_by_is_there_once():
    """R3261-7.6: and more parameters than anybody needs are refused"""
    for old, new in (
        (b"tag=49583", b"tag=1;tag=2"),
        (b"branch=z9", b"branch=1;;branch=z9"),
        (b"tag=49583", b"tag=1;" + b"x;" * 65),
        (FROM, b""),
        (b"CSeq: 1 MESSAGE", b"CSeq: MESSAGE"),
    ):
        assert deliver(desk(), changed(MESSAGE, old, new)) == (400, None), new
    assert deliver(desk(), changed(MESSAGE, b"192.0.2.1:5062;", b"192.0.2.1:port;;")) == (0, None)  # leads nowhere
    assert len(read_params(b"a;" * 64)) == 64
    assert raises(ParseError, read_params, b"a;" * 65).status == 400
    assert raises(ParseError, parse_address, b"").status == 400


def test_what_is_no_uri_is_not_answered():
    """nobody else gets what was for its sender"""
    for value in (b"<ussd-1@olo-tst>", b"<sip:My Shop@example.org>", b"<sip:x@>", b"<>"):
        for options in ({}, {"proxy": b"sip:192.0.2.5"}):
            ua = desk(**options)
            _, event = deliver(ua, changed(MESSAGE, FROM, value + b";tag=1"))
            assert raises(UsageError, ua.reply, event, ua.new_call_id(), b"what?", NOW)
            assert ua.send(ua.new_call_id(), b"sip:boiler@192.0.2.1", b"still there", NOW)


def test_names_are_read_with_their_flaws():
    for value, display in (
        (b"Boiler (cellar)  <sip:b@x>", b"Boiler (cellar)"),
        (b'"a \\" b" sip:b@x', b'a \\" b'),
        (b'"a <sip:b@x>', b"a"),
        (b'Room "one" <sip:b@x>', b'Room "one'),
        (b"Boiler sip:b@x;tag=1", b"Boiler"),
        (b"sip:My Shop@x", b""),
    ):
        assert parse_address(value)[0] == display, value


def test_legal_but_odd_spelling_changes_nothing():
    """R3261-7.2, R3261-7.3, R3261-7.4: blanks, case, order, leading zeros, compact and folded"""
    for old, new in (
        (b"Content-Type: text/plain", b"Content-Type: text / plain ; charset = utf-8"),
        (b"Content-Type: text/plain", b'c\t:\ttext\t/\tPLAIN\t;charset="UTF-8"'),
        (b"Content-Type: text/plain", b"CONTENT-TYPE : text/plain;"),
        (b"Content-Type: text/plain", b"Content-Type: text/plain charset=utf-8"),  # neither legal nor rare
        (b"Content-Type: text/plain", b"Content-Type: text/plain, charset=utf-8"),
        (b"Content-Type: text/plain", b"Content-Type:\r\n text/plain\r\n ;charset=utf-8"),
        (b"Length: 18", b"Length: 0000000000000018"),
        (b"Length: 18", b"Length:\r\n\t18 "),
        (b"Content-Length: 18", b"l  :18"),
        (b"CSeq: 1 MESSAGE", b"cseq: \t000000000000001 \t MESSAGE "),
        (b"CSeq: 1 MESSAGE", b"CSEQ:\r\n 1\r\n MESSAGE"),
        (b"Max-Forwards: 70", b"max-forwards : 0070"),
        (b"Via: SIP/2.0/UDP 192.0.2.1:5062;branch=", b"v : SIP / 2.0 / UDP 192.0.2.1 : 5062 ; branch = "),
        (b"Via: SIP/2.0/UDP 192.0.2.1:5062;branch=", b"Via: SIP/2.0/UDP\r\n 192.0.2.1:000005062\r\n ;branch="),
        (b"Via: SIP/2.0/UDP", b"via: sip/2.0/udp"),
        (b"From: <sip:boiler@example.org>;tag", b"f:<sip:boiler@example.org>  ;  TAG "),
        (b"<sip:desk@example.org>\r\n", b'"Desk"<sip:desk@example.org:0005060>\r\n'),
        (b"Call-ID: ", b"I:"),
    ):
        ua = desk(strict=True)
        event = only(ua.receive(changed(MESSAGE, old, new), UDP, NOW))
        assert (event.message.body, event.sender) == (b"Watson, come here.", b"sip:boiler@example.org"), new
        assert event.call_id == b"asd88asd77a@1.2.3.4"
        response = sent(ua.respond(event, 200, NOW))
        assert response.status == 200 and parse_via(response.get(b"via")).port == 5062
    huge = changed(MESSAGE, b"192.0.2.1:5062", b"192.0.2.1:" + b"0" * 5000 + b"65536")
    assert deliver(desk(), huge) == (0, None)  # it leads nowhere


def test_dates_and_durations_in_odd_spelling():
    """R3261-7.10: Expires is 600, and the words of a Date have no case"""
    for date in (b"sat, 13 nov 2010 23:29:00 gmt", b"SAT,  13 Nov\r\n 2010 23:29:00 GMT"):
        for expires in (b"Expires: 0600", b"EXPIRES :\t600 "):
            ua = desk(strict=True)
            ua.clock.set(1289690940 + 601, 3, NOW)
            event = only(ua.receive(with_field(b"date : %s\r\n%s" % (date, expires)), UDP, NOW))
            assert (event.date, event.expired) == (1289690940, True)
