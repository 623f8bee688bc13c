"""R3261-22-1, R3261-22-2, R3261-22-3, R3261-22-4, R8760-3, R7616-3, R3428-11.2: challenges of a scripted server."""

from agent.auth.digest import is_supported, parse_parameters, response, secret
from agent.errors import UsageError
from agent.events import Outcome, Transmit
from agent.message import Message
from agent.user_agent import UserAgent
from tests.helpers import raises

NEEDS = "md5"  # of hashlib; firmware without TLS has none

DESK = b"sip:desk@example.org"
FLOW = (b"UDP", b"192.0.2.1", 5060)
MD5 = b'WWW-Authenticate: Digest realm="r", nonce="%s", qop="auth"\r\n'
PROXY = b'Proxy-Authenticate: Digest realm="%s", nonce="%s", algorithm=SHA-256, qop="auth"\r\n'


ALICE = ((b"", b"alice", b"wonder"),)


class Counter:
    """Octets that are never the same and never by chance."""

    def __init__(self):
        self.count = 0

    def __call__(self, n):
        self.count += 1
        return self.count.to_bytes(n, "big")


def agent(credentials=ALICE):
    sent_by = b"192.0.2.7:5060"
    return UserAgent(b"sip:boiler@example.org", sent_by, Counter(), proxy=b"sip:192.0.2.1", credentials=credentials)


def send(ua, call_id, target=DESK, body=b"hot"):
    (transmit,) = ua.send(call_id, target, body, 0)
    return Message(transmit.data)


def answer(ua, request, status, fields=b""):
    """What the user agent does about a response: a new request, or its events."""
    out = b"SIP/2.0 %d X\r\n" % status
    for name in (b"Via", b"From", b"To", b"Call-ID", b"CSeq"):
        out += name + b": " + request.get(name.lower()) + b"\r\n"
    events = ua.receive(out + fields + b"Content-Length: 0\r\n\r\n", FLOW, 1)
    if len(events) == 1 and type(events[0]) is Transmit:
        return Message(events[0].data)
    return events


def credentials_in(request, name=b"authorization"):
    return [parse_parameters(value)[1] for value in request.all(name)]


def nonces(request, name=b"authorization"):
    return [params[b"nonce"] for params in credentials_in(request, name)]


def outcome(call_id, status):
    return [Outcome(call_id, "failed", status, b"X", None)]


def test_a_challenge_is_answered_with_the_next_cseq_of_the_same_call():
    """R3261-22-1, R3261-22-2, R3261-8.1-5: digest-uri is the Request-URI; RFC 3261 section 8.1.3.5 for the rest."""
    ua = agent()
    one = send(ua, b"1")
    two = answer(ua, one, 401, MD5 % b"n")
    (params,) = credentials_in(two)
    assert params[b"uri"] == two.uri == DESK
    assert params[b"response"] == response(
        b"", secret(b"md5", b"alice", b"r", b"wonder"), params, b"MESSAGE", DESK, b"hot"
    )
    assert (one.get(b"cseq"), two.get(b"cseq")) == (b"1 MESSAGE", b"2 MESSAGE")
    for name in (b"call-id", b"from", b"to"):
        assert one.get(name) == two.get(name)
    assert one.get(b"via") != two.get(b"via")
    assert two.body == b"hot"
    assert answer(ua, two, 200) == [Outcome(b"1", "delivered", 200, b"X", None)]


def test_the_field_of_the_answer_is_that_of_the_challenge():
    """R3261-22-2, R3428-11.2: 401 and 407."""
    ua = agent()
    two = answer(ua, send(ua, b"1"), 407, PROXY % (b"p", b"n"))
    assert nonces(two, b"proxy-authorization") == [b"n"]
    assert nonces(two) == []


def test_proxy_and_recipient_may_both_ask_in_one_chain():
    """R3261-22-2: credentials for each realm, all of them from then on."""
    ua = agent(((b"p", b"alice", b"wonder"), (b"q", b"al", b"w"), (b"r", b"boiler", b"steam")))
    two = answer(ua, send(ua, b"1"), 407, PROXY % (b"p", b"1"))
    three = answer(ua, two, 407, PROXY % (b"q", b"2"))
    four = answer(ua, three, 401, MD5 % b"3")
    assert nonces(four, b"proxy-authorization") == [b"1", b"2"]
    assert nonces(four) == [b"3"]
    assert [params[b"nc"] for params in credentials_in(four, b"proxy-authorization")] == [b"00000003", b"00000002"]
    assert [params[b"username"] for params in credentials_in(four)] == [b"boiler"]
    assert answer(ua, four, 200) == [Outcome(b"1", "delivered", 200, b"X", None)]


def test_challenges_of_a_forking_proxy_come_in_one_response():
    """R3261-22-2: RFC 3261 section 16.7, both fields in either status."""
    for status in (401, 407):
        ua = agent()
        two = answer(ua, send(ua, b"1"), status, MD5 % b"1" + PROXY % (b"p", b"2") + PROXY % (b"q", b"3"))
        assert nonces(two) == [b"1"]
        assert nonces(two, b"proxy-authorization") == [b"2", b"3"]


def test_strongest_first_challenge_of_a_realm_is_answered_and_unknown_ones_skipped():
    """R8760-3: SHA-512-256, too, where this interpreter has it"""
    ua = agent()
    fields = b'WWW-Authenticate: Digest realm="r", nonce="3", algorithm=SHA-3, qop="auth"\r\n'
    fields += b'WWW-Authenticate: Digest realm="r", nonce="0", algorithm=SHA-512-256, qop="auth"\r\n'
    fields += b'WWW-Authenticate: Digest realm="r", nonce="1", algorithm=SHA-256, qop="auth"\r\n' + MD5 % b"2"
    two = answer(ua, send(ua, b"1"), 401, fields)
    assert nonces(two) == [b"0" if is_supported(b"SHA-512-256") else b"1"]


def test_basic_alone_ends_in_failure():
    """R3261-22-3"""
    ua = agent()
    assert answer(ua, send(ua, b"1"), 401, b'WWW-Authenticate: Basic realm="r"\r\n') == outcome(b"1", 401)


def test_a_challenge_without_credentials_of_ours_ends_in_failure():
    """R3261-22-1: the realm is compared with its capitals."""
    for credentials in ((), ((b"R", b"alice", b"wonder"),)):
        ua = agent(credentials)
        assert answer(ua, send(ua, b"1"), 401, MD5 % b"n") == outcome(b"1", 401)


def test_wrong_password_ends_after_one_attempt_with_one_outcome():
    """R7616-3: stale false or absent after credentials were sent."""
    for more in (b"", b", stale=false"):
        ua = agent()
        two = answer(ua, send(ua, b"1"), 401, MD5 % b"1")
        challenge = (MD5 % b"2")[:-2] + more + b"\r\n"
        assert answer(ua, two, 401, challenge) == outcome(b"1", 401)
        assert answer(ua, two, 401, challenge)[0] != outcome(b"1", 401)[0]  # a repeated response is a stray
        assert ua.wait_ms(2) is None


def test_a_stale_nonce_is_replaced_once():
    """R7616-3: in any case of letters; a server that finds every nonce stale doesn't keep us busy."""
    ua = agent()
    two = answer(ua, send(ua, b"1"), 401, MD5 % b"1")
    three = answer(ua, two, 401, (MD5 % b"2")[:-2] + b', stale="TRUE"\r\n')
    assert nonces(three) == [b"2"]
    assert answer(ua, three, 401, (MD5 % b"3")[:-2] + b", stale=true\r\n") == outcome(b"1", 401)


def test_a_nonce_serves_for_the_next_requests():
    """R3261-22-4, R7616-2: nc counts them, whoever they are for, and what is only measured doesn't count."""
    ua = agent()
    answer(ua, answer(ua, send(ua, b"1"), 407, PROXY % (b"p", b"n")), 200)
    counts = []
    for call_id in (b"2", b"3", b"4"):
        ua.fit(DESK, b"hot", "refuse")
        request = send(ua, call_id, b"sip:%s@example.org" % call_id)
        counts += [params[b"nc"] for params in credentials_in(request, b"proxy-authorization")]
    assert counts == [b"00000002", b"00000003", b"00000004"]


def test_what_waits_for_its_turn_takes_the_nonce_of_the_one_before():
    """R3261-22-4"""
    ua = agent()
    one = send(ua, b"1")
    assert not ua.send(b"2", DESK, b"hotter", 0)
    assert not ua.send(b"3", DESK, b"x" * 450, 0)
    two = answer(ua, one, 401, MD5 % (b"n" * 600))
    done, transmit = answer(ua, two, 200)
    assert done == Outcome(b"1", "delivered", 200, b"X", None)
    three = Message(transmit.data)
    assert (nonces(three), credentials_in(three)[0][b"nc"]) == ([b"n" * 600], b"00000002")
    done, transmit = answer(ua, three, 200)  # with such a nonce the last one would be too long
    four = Message(transmit.data)
    assert (four.get(b"call-id"), four.get(b"cseq"), nonces(four)) == (b"3", b"1 MESSAGE", [])


def test_a_nonce_from_before_that_is_no_good_any_more_costs_one_round_trip():
    """R7616-3: with and without stale."""
    for more in (b"", b", stale=true"):
        ua = agent()
        answer(ua, answer(ua, send(ua, b"1"), 401, MD5 % b"1"), 200)
        again = answer(ua, send(ua, b"2"), 401, (MD5 % b"2")[:-2] + more + b"\r\n")
        assert nonces(again) == [b"2"]
        assert answer(ua, again, 200) == [Outcome(b"2", "delivered", 200, b"X", None)]


def test_credentials_that_were_no_good_are_not_tried_again_unasked():
    """R7616-3: the next message begins without, so that no account is locked for two wrong attempts a message."""
    ua = agent()
    answer(ua, answer(ua, send(ua, b"1"), 401, MD5 % b"1"), 401, MD5 % b"2")
    assert nonces(send(ua, b"2")) == []


def test_a_nonce_is_not_told_to_where_a_redirect_leads():
    """R3261-22-4: credentials are kept for the target that asked."""
    ua = UserAgent(b"sip:boiler@example.org", b"192.0.2.7:5060", Counter(), credentials=ALICE)
    two = answer(ua, send(ua, b"1", b"sip:desk@192.0.2.1"), 401, MD5 % b"1")
    three = answer(ua, two, 302, b"Contact: <sip:desk@192.0.2.2>\r\n")
    assert (three.uri, nonces(three)) == (b"sip:desk@192.0.2.2", [])


def test_a_password_is_not_for_where_a_redirect_leads():
    """R3261-22-2: nobody but the host that a message set out for gets an answer, unless its realm was named to us"""
    elsewhere = b"<sip:desk@192.0.2.66>"
    for proxy, status, contacts, is_answered in (
        (None, 302, (elsewhere,), False),
        (None, 302, (b"<sip:night@192.0.2.1:5070>",), True),
        (None, 302, (b"<sip:desk@192.0.2.1;maddr=192.0.2.66>",), False),
        (None, 302, (elsewhere, b"<sip:night@192.0.2.1>"), True),  # and back
        (None, 305, (b"<sip:192.0.2.66>",), False),
        (None, 305, (b"<sip:192.0.2.66>", b"<sip:night@192.0.2.1>"), False),  # by way of a stranger
        (None, 305, (b"<sip:192.0.2.1:5070>",), True),
        (b"sip:192.0.2.9", 302, (elsewhere,), False),
        (b"sip:192.0.2.9", 305, (b"<sip:192.0.2.66>",), False),
        (b"sip:192.0.2.9", 302, (b"<sip:night@192.0.2.1>",), True),
    ):
        for realm in (b"", b"r"):
            for challenge in (MD5, b'Proxy-Authenticate: Digest realm="r", nonce="%s"\r\n'):
                credentials = ((realm, b"alice", b"wonder"),)
                ua = UserAgent(b"sip:boiler@example.org", b"h", Counter(), proxy=proxy, credentials=credentials)
                request = send(ua, b"1", b"sip:desk@192.0.2.1")
                for i in range(len(contacts)):
                    request = answer(ua, request, 302 if i else status, b"Contact: %s\r\n" % contacts[i])
                end = answer(ua, request, 401, challenge % b"n")
                if is_answered or realm:
                    assert end.uri == request.uri and end.get(b"cseq") == b"%d MESSAGE" % (len(contacts) + 2)
                else:
                    assert end == outcome(b"1", 401)


def test_a_password_is_not_for_who_claims_to_be_somebody_else():
    """R3261-22-2: a reply to a command on the flow that it came on, but to a host whose question we have answered"""
    desk, other = b"sip:desk@192.0.2.1", b"sip:desk@example.org"
    for sender, has_asked, is_answered in (
        (desk, False, True),
        (other, False, False),
        (b"sip:desk@192.0.2.66", False, False),
        (desk + b";user=ip", False, False),
        (other, True, True),
    ):
        ua = UserAgent(b"sip:boiler@example.org", b"192.0.2.7:5060", Counter(), credentials=ALICE)
        if has_asked:
            answer(ua, answer(ua, send(ua, b"1", desk), 401, MD5 % b"n"), 200)
        command = b"MESSAGE sip:boiler@192.0.2.7 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nFrom: <%s>"
        command += b";tag=1\r\nTo: <sip:boiler@example.org>\r\nCall-ID: 2\r\nCSeq: 1 MESSAGE\r\nMax-Forwards: 70\r\n"
        (event,) = ua.receive(command % sender + b"Content-Length: 0\r\n\r\n", (b"UDP", b"192.0.2.1", 5070), 1)
        (transmit,) = ua.reply(event, b"3", b"on", 1)
        end = answer(ua, Message(transmit.data), 401, MD5 % b"m")
        assert nonces(end) == [b"m"] if is_answered else end == outcome(b"3", 401), sender


def test_a_challenge_loop_ends():
    """R7616-3: a new realm each time."""
    ua = agent()
    request = send(ua, b"1", body=b"")
    for turn in range(20):
        request = answer(ua, request, 407, b'Proxy-Authenticate: Digest realm="%d", nonce="n"\r\n' % turn)
        if type(request) is list:
            break
    assert len(request) == 1 and type(request[0]) is Outcome
    assert turn < 10
    assert ua.wait_ms(1) is None


def test_a_challenge_without_an_answer_in_time_fails_once():
    ua = agent()
    two = answer(ua, send(ua, b"1"), 401, MD5 % b"1")
    assert two.get(b"cseq") == b"2 MESSAGE"
    events = []
    for now in range(0, 40000, 100):
        events += [event for event in ua.wake(now) if type(event) is Outcome]
    assert events == [Outcome(b"1", "timeout", 408, b"Request Timeout", None)]


def test_room_for_usual_credentials_is_kept_from_the_start():
    """R3428-8.2: what send() takes can be sent again with the credentials that usual servers ask for."""
    challenges = (
        (b"kamailio.example.org", b"ZhZ3vGYWdpBv0oBNqHnDmHEFvQxGNyvJ1sYYuoA=", b"", b"MD5"),
        (b"asterisk", b"1731600000/3f6d8b5f0c9f4b0c6a9a0a3a6a0f0b51", b"1a2b3c4d5e6f7081", b"SHA-256"),
        (b"sip.provider.example.com", b"6f2c8a1e-9c39-4e0b-8d3f-0a4f7e6b1c2d" * 2, b"", b"SHA-256"),
        (b"http-auth@example.org", b"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", b"o" * 44, b"SHA-256-sess"),
    )
    for realm, nonce, opaque, algorithm in challenges:
        ua = agent(((b"", b"a-user-with-quite-a-long-name@example.org", b"wonder"), (b"other", b"al", b"w")))
        body = b"x" * 1000
        while True:
            try:
                one = send(ua, b"1", body=body)
                break
            except UsageError:
                body = body[1:]
        assert len(body) > 400
        fields = b'Proxy-Authenticate: Digest realm="%s", nonce="%s", opaque="%s", algorithm=%s, qop="auth-int"\r\n'
        two = answer(ua, one, 407, fields % (realm, nonce, opaque, algorithm))
        assert len(two.all(b"proxy-authorization")) == 1
        assert len(two.data) <= 1300


def test_credentials_over_the_budget_end_in_one_outcome_that_says_so():
    """R3428-8.2: the next message to there is refused before it is sent."""
    ua = agent()
    events = answer(ua, send(ua, b"1", body=b"x" * 400), 401, MD5 % (b"n" * 600))
    assert [type(event) for event in events] == [Outcome]
    assert (events[0].name, events[0].status) == ("failed", 401)
    assert events[0].reason.find(b" octets over the budget with what the 401 asks for: shorten the text") > 0
    assert ua.wait_ms(1) is None
    assert str(raises(UsageError, ua.send, b"2", DESK, b"x" * 400, 1)).find("over its budget") > 0


def test_a_second_attempt_has_1300_octets_at_most():
    """R3428-8.2: with what the challenge asks for, to the last octet"""
    challenge = MD5 % (b"n" * 300)
    ua = agent()
    most = 400 + 1300 - len(answer(ua, send(ua, b"1", body=b"x" * 400), 401, challenge).data)
    ua = agent()
    assert len(answer(ua, send(ua, b"1", body=b"x" * most), 401, challenge).data) == 1300
    ua = agent()
    (event,) = answer(ua, send(ua, b"1", body=b"x" * (most + 1)), 401, challenge)
    assert (event.status, event.reason.split()[0]) == (401, b"1")


def test_a_second_challenge_that_has_no_room_is_met_by_the_next_message():
    """R3428-8.2, R3261-22-2: one outcome, which says by how much; a text as short as that gets through at once"""
    ua = agent()
    (text,), compact = ua.fit(DESK, b"x" * 2000, "truncate")
    options = {"compact": compact}
    (transmit,) = ua.send(b"1", DESK, text, 0, **options)
    two = answer(ua, Message(transmit.data), 407, PROXY % (b"p" * 30, b"1" * 70))
    (event,) = answer(ua, two, 401, MD5 % (b"2" * 120))
    over = int(event.reason.split()[0])
    assert (event.name, event.status, over > 100) == ("failed", 401, True)
    error = raises(UsageError, lambda: ua.send(b"2", DESK, text, 1, **options))
    assert str(error) == "the request is %d octets over its budget of 1300" % over
    (transmit,) = ua.send(b"2", DESK, text[over:], 1, **options)
    request = Message(transmit.data)
    assert (len(transmit.data), nonces(request)) == (1300, [b"2" * 120])
    assert nonces(request, b"proxy-authorization") == [b"1" * 70]
    assert answer(ua, request, 200)[0].name == "delivered"


def test_room_for_two_credentials_is_kept_once_they_were_needed():
    """R3428-8.2: also where nobody has asked yet, or the one of the two; for more than two never"""
    ua = UserAgent(b"sip:boiler@example.org", b"192.0.2.7:5060", Counter(), credentials=ALICE)
    target, other, third = b"sip:desk@192.0.2.1", b"sip:desk@192.0.2.2", b"sip:desk@192.0.2.3"
    rooms = [len(ua.fit(other, b"x" * 2000, "truncate")[0][0])]
    answer(ua, answer(ua, send(ua, b"1", third), 407, PROXY % (b"p", b"1")), 200)
    rooms.append(len(ua.fit(other, b"x" * 2000, "truncate")[0][0]))
    many = PROXY % (b"p", b"1") + PROXY % (b"q", b"1") + PROXY % (b"r", b"1")
    answer(ua, answer(ua, send(ua, b"2", target), 407, many), 200)
    rooms.append(len(ua.fit(other, b"x" * 2000, "truncate")[0][0]))
    assert rooms[0] == rooms[1]
    assert rooms[1] - rooms[2] == 384 + len(b"alice") + len(other)
    (text,), _ = ua.fit(third, b"x" * 2000, "truncate")
    (transmit,) = ua.send(b"3" * 20, third, text, 0, compact=True)
    assert len(transmit.data) == 1300 - 384 - len(b"alice") - len(third)


def test_what_is_remembered_of_challenges_is_bounded():
    ua = UserAgent(b"sip:boiler@example.org", b"192.0.2.7:5060", Counter(), credentials=ALICE)
    for i in range(100):
        answer(ua, answer(ua, send(ua, b"%d" % i, b"sip:desk@192.0.2.%d" % i), 401, MD5 % b"1"), 200)
        assert len(ua.uac.rescue().peers.challenges) <= 16


def test_a_challenge_that_takes_all_room_stops_one_message_only():
    """R3428-8.2: though the flow, a proxy's, is everybody's; the next one begins without"""
    for octets in (700, 1000):
        proxy = b"sip:192.0.2.1"
        ua = UserAgent(b"sip:boiler@example.org", b"192.0.2.7:5060", Counter(), credentials=ALICE, proxy=proxy)
        challenge = MD5 % (b"n" * octets)
        (event,) = answer(ua, send(ua, b"1", b"sip:rogue@example.net", b"x" * 300), 401, challenge)
        assert (event.name, event.status) == ("failed", 401)
        assert not send(ua, b"2", b"sip:desk@example.net", b"x" * 300).all(b"authorization")


def test_two_realms_of_one_server_take_no_room_of_a_text_that_is_not_to_be_cut():
    """R3428-8.2"""
    ua = UserAgent(b"sip:boiler@example.org", b"192.0.2.7:5060", Counter(), credentials=ALICE)
    many = PROXY % (b"p", b"1") + PROXY % (b"q", b"1")
    answer(ua, answer(ua, send(ua, b"1", b"sip:desk@192.0.2.1"), 407, many), 200)
    other = b"sip:lamp@192.0.2.77"
    assert ua.fit(other, b"x" * 400, "compact") == ([b"x" * 400], False)
    assert send(ua, b"2", other, b"x" * 400).body == b"x" * 400


def test_a_response_may_ask_for_a_few_realms():
    ua = UserAgent(b"sip:boiler@example.org", b"192.0.2.7:5060", Counter(), credentials=ALICE)
    lines = b"".join([PROXY % (b"%d" % i, b"1") for i in range(20)])
    request = send(ua, b"1", b"sip:desk@192.0.2.1")
    assert len(answer(ua, request, 407, lines).all(b"proxy-authorization")) == 4
