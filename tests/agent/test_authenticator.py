"""R8760-2, R8760-4, R7616-1, R7616-4, R7616-6, R3261-22-1, R3261-22-2, R3261-8.2-2: digest as a server."""

from agent.auth.client import Challenge, choose
from agent.auth.digest import hexhash, parse_parameters, response, secret
from agent.auth.server import Authenticator
from agent.errors import ParseError, UsageError
from agent.events import Outcome, Transmit
from agent.message import Message
from agent.notices import Dropped
from agent.uas import MessageReceived
from agent.user_agent import UserAgent
from tests.helpers import raises

NEEDS = "md5"  # of hashlib; firmware without TLS has none

REALM = b"example.org"
DESK = b"sip:desk@example.org"
FLOW = (b"UDP", b"192.0.2.1", 5060)
START = 0x3FFFFFFF - 700  # `now` wraps soon
MASK = 0x3FFFFFFF
USERS = {
    b"alice": {b"sha-256": secret(b"sha-256", b"alice", REALM, b"wonder")},
    b"bob": {
        b"sha-256": secret(b"sha-256", b"bob", REALM, b"builder"),
        b"md5": b"b70615a74a524becc6960f540634bb00",  # not computed: no md5, no import
    },
    b'a"b': {b"sha-256": secret(b"sha-256", b'a"b', REALM, b"wonder")},
    b"J\xc3\xa4s": {b"sha-256": secret(b"sha-256", b"J\xc3\xa4s", REALM, b"wonder")},
}


def answered(challenge, method, uri, body, cnonce):
    """Return the answer to a challenge, with this cnonce unless it has one."""
    challenge.cnonce = challenge.cnonce or cnonce
    return challenge.answer(method, uri, body)


class Counter:
    """Octets that are never the same and never by chance."""

    def __init__(self, count=0):
        self.count = count

    def __call__(self, n):
        self.count += 1
        return self.count.to_bytes(n, "big")


def server(users=USERS, **more):
    authenticator = Authenticator(REALM, users, Counter(1000), **more)
    return UserAgent(b"sip:boiler@example.org", b"192.0.2.7:5060", Counter(), authenticator=authenticator)


def authenticator_of(ua):
    return ua.uac.settings["authenticator"]


def request(branch=b"1", fields=b"", body=b"status", uri=DESK, method=b"MESSAGE", to=DESK):
    return (
        b"%s %s SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK%s\r\nMax-Forwards: 70\r\n"
        b"From: <sip:alice@example.org>;tag=1\r\nTo: <%s>\r\nCall-ID: %s\r\nCSeq: 1 %s\r\n%s"
        b"Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s"
    ) % (method, uri, branch, to, branch, method, fields, len(body), body)


def statuses(events):
    return [Message(event.data).status for event in events if type(event) is Transmit]


def challenge(ua, now=START, algorithm=b"SHA-256", branch=b"0"):
    """The challenge that a request without credentials gets."""
    (transmit,) = ua.receive(request(branch), FLOW, now)
    response = Message(transmit.data)
    assert response.status == 401
    for value in response.all(b"www-authenticate"):
        (one,) = choose([value], b"Authorization")
        if one.algorithm == algorithm:
            one.user, one.password = (b"alice", b"wonder") if algorithm == b"SHA-256" else (b"bob", b"builder")
            return one
    raise AssertionError("not offered")


def ask(ua, one, branch, now=START, body=b"status", uri=DESK, about=DESK, **more):
    """Send a request with an answer to a challenge; the nonce counts up."""
    line = answered(one, b"MESSAGE", about, body, b"c")
    one.count += 1
    return ua.receive(request(branch, line, body, uri, **more), FLOW, now)


def accepted(events):
    """Whose request was taken, None when none was."""
    return events[0].user if len(events) == 1 and type(events[0]) is MessageReceived else None


def is_stale(events):
    response = Message(events[0].data)
    assert response.status == 401
    return parse_parameters(response.get(b"www-authenticate"))[1].get(b"stale") == b"true"


def test_a_request_without_credentials_is_challenged_strongest_algorithm_first():
    """R8760-2, R8760-4, R3261-22-2: one line each, qop offered, no memory of it."""
    ua = server()
    (transmit,) = ua.receive(request(), FLOW, START)
    response = Message(transmit.data)
    assert (response.status, response.reason) == (401, b"Unauthorized")
    found = [parse_parameters(value) for value in response.all(b"www-authenticate")]
    assert [params[b"algorithm"] for _, params in found] == [b"SHA-256", b"MD5"]
    for scheme, params in found:
        assert scheme == b"digest"
        assert (params[b"realm"], params[b"qop"]) == (REALM, b"auth,auth-int")
        assert b"stale" not in params
    assert ua.wait_ms(START) is None
    assert response.get(b"to").find(b";tag=") > 0
    assert response.data.find(b"algorithm=SHA-256,") > 0
    assert response.data.find(b'qop="auth,auth-int"') > 0


def test_md5_is_offered_only_when_a_user_has_such_a_hash():
    """R8760-2"""
    ua = server({b"alice": USERS[b"alice"]})
    (transmit,) = ua.receive(request(), FLOW, START)
    assert len(Message(transmit.data).all(b"www-authenticate")) == 1


def test_a_repeated_request_gets_the_same_octets():
    """R3261-17.2-3: though nothing is kept; also when other requests came between, and long after the first."""
    ua = server()
    first = ua.receive(request(b"1"), FLOW, START)
    for n in range(5):
        assert ua.receive(request(b"x%d" % n), FLOW, START + 10) != first
    for ms in (500, 1500, 31500, 31999):
        assert ua.receive(request(b"1"), FLOW, (START + ms) & MASK) == first
    assert ua.receive(request(b"1"), FLOW, (START + 32000) & MASK) != first  # 64*T1: its client has given up


def test_good_credentials_name_the_user():
    """R7616-1, R3261-8.2-2: both algorithms, both qops, odd bodies."""
    for algorithm, user in ((b"SHA-256", b"alice"), (b"MD5", b"bob")):
        for qop in (b"auth", b"auth-int"):
            for body in (b"status", b"\x00\xff\r\n", b"x" * 500):
                ua = server()
                one = challenge(ua, algorithm=algorithm)
                one.qop = qop
                assert accepted(ask(ua, one, b"2", body=body)) == user


def test_without_an_authenticator_nobody_is_named():
    ua = UserAgent(b"sip:boiler@example.org", b"192.0.2.7:5060", Counter())
    (event,) = ua.receive(request(), FLOW, START)
    assert event.user is None


def test_wrong_credentials_are_challenged_again():
    """R7616-6: wrong password, unknown user, a hash the user hasn't got, another method; told, but not as stale."""
    for change in ("password", "user", "hash", "method", "body"):
        ua = server()
        one = challenge(ua, algorithm=b"MD5" if change == "hash" else b"SHA-256")
        body = b"status"
        if change == "password":
            one.password = b"w0nder"
        elif change == "user":
            one.user = b"eve"
        elif change == "hash":
            one.user, one.password = b"alice", b"wonder"
        elif change == "body":
            one.qop = b"auth-int"
            body = b"statuz"
        line = answered(one, b"OPTIONS" if change == "method" else b"MESSAGE", DESK, b"status", b"c")
        events = ua.receive(request(b"2", line, body), FLOW, START)
        assert not is_stale(events), change
        assert type(events[1]) is Dropped
        assert ua.wait_ms(START) is None


def test_each_digit_of_a_response_counts():
    """R7616-6"""
    ua = server()
    one = challenge(ua)
    line = answered(one, b"MESSAGE", DESK, b"status", b"c")
    start = line.find(b'response="') + 10
    for at in range(start, start + 64):
        wrong = line[:at] + (b"1" if line[at : at + 1] == b"0" else b"0") + line[at + 1 :]
        assert not is_stale(ua.receive(request(b"%d" % at, wrong), FLOW, START))
    assert accepted(ua.receive(request(b"2", line), FLOW, START)) == b"alice"


def test_nobody_is_let_in_for_a_user_that_is_not_there():
    """R7616-6: whatever stands in for a stranger's hash may be known."""
    ua = server()
    for user in (b"eve", b""):
        nonce = challenge(ua).nonce
        params = {b"nonce": nonce, b"cnonce": b"c", b"nc": b"00000001", b"qop": b"auth"}
        for ha1 in (b"0" * 64, b"0" * 32, b""):
            line = b'Authorization: Digest username="%s", realm="example.org", nonce="%s", uri="%s", response="%s"' % (
                user,
                nonce,
                DESK,
                response(b"SHA-256", ha1, params, b"MESSAGE", DESK, b""),
            )
            line += b', algorithm=SHA-256, qop=auth, nc=00000001, cnonce="c"\r\n'
            assert not is_stale(ua.receive(request(b"%d" % len(line + ha1), line), FLOW, START))


def test_a_nonce_that_was_used_is_offered_to_nobody_else():
    """R7616-6: not even to a request that comes again."""
    ua = server()
    one = challenge(ua, branch=b"1")
    assert challenge(ua, branch=b"1").nonce == one.nonce
    assert accepted(ask(ua, one, b"2")) == b"alice"
    assert challenge(ua, START + 1, branch=b"1").nonce != one.nonce


def test_a_nonce_serves_while_its_count_rises():
    """R7616-6: a count that isn't higher than all before is stale, in any order."""
    ua = server()
    one = challenge(ua)
    counts = []
    for n in (1, 2, 5, 4, 5, 6):
        one.count = n - 1
        events = ask(ua, one, b"n%d" % len(counts))
        if accepted(events) is None:
            assert is_stale(events)
        counts.append(accepted(events))
    assert counts == [b"alice", b"alice", b"alice", None, None, b"alice"]


def test_a_replayed_request_is_no_new_message():
    """R7616-6: the same octets get the same answer, another branch makes it stale."""
    ua = server()
    one = challenge(ua)
    line = answered(one, b"MESSAGE", DESK, b"status", b"c")
    (event,) = ua.receive(request(b"2", line), FLOW, START)
    answer = ua.respond(event, 200, START)
    assert ua.receive(request(b"2", line), FLOW, START) == answer
    assert is_stale(ua.receive(request(b"3", line), FLOW, START))


def test_a_replay_is_stale_for_ever():
    """R7616-6: after the nonce's end, after the key's, and when `now` has come round to the same instant."""
    for pauses in ((301000,), (86400000,), (0x3FFFFFFF,), (0x20000000, 0x20000000), (0x40000000, 1000, 1000)):
        ua = server()
        one = challenge(ua)
        line = answered(one, b"MESSAGE", DESK, b"status", b"c")
        assert accepted(ua.receive(request(b"2", line), FLOW, START)) == b"alice"
        now = START
        for n, ms in enumerate(pauses):
            now = (now + ms) & MASK
            ua.wake(now)
            assert is_stale(ua.receive(request(b"p%d" % n, line), FLOW, now)), pauses


def test_a_nonce_expires():
    """R7616-6: five minutes after its issue, wherever `now` wraps."""
    ua = server()
    one = challenge(ua)
    assert accepted(ask(ua, one, b"2", (START + 300000) & MASK)) == b"alice"
    assert is_stale(ask(ua, one, b"3", (START + 300001) & MASK))


def test_a_nonce_of_our_own_making_alone_is_taken():
    """R7616-6: of another server, of the time before a restart, made up, or changed."""
    for now in (START, 0):  # a board's clock may begin there
        genuine = challenge(server(), now)
        authenticator = Authenticator(REALM, USERS, Counter(5000))
        other = UserAgent(b"sip:boiler@example.org", b"192.0.2.7:5060", Counter(), authenticator=authenticator)
        assert is_stale(ask(other, genuine, b"2", now))
    ua = server()
    one = challenge(ua)
    for nonce in (b"", b"0", b"0" * 32, one.nonce[:-1] + b"x", b"00000000" + one.nonce[8:], one.nonce + b"0"):
        forged = Challenge({b"realm": REALM, b"nonce": nonce, b"algorithm": b"SHA-256"}, b"Authorization", b"auth")
        forged.user, forged.password = b"alice", b"wonder"
        assert is_stale(ask(ua, forged, b"f" + nonce)), nonce


def test_memory_of_used_nonces_is_bounded_and_what_was_forgotten_counts_as_used():
    """R7616-6"""
    ua = server(keep=4)
    lines = []
    for n in range(20):
        one = challenge(ua, START + n, branch=b"c%d" % n)
        lines.append(answered(one, b"MESSAGE", DESK, b"status", b"c"))
        (event,) = ua.receive(request(b"a%d" % n, lines[n]), FLOW, START + n)
        assert event.user == b"alice"
        ua.respond(event, 200, START + n)
    for n in range(20):
        assert is_stale(ua.receive(request(b"b%d" % n, lines[n]), FLOW, START + 20))
    assert len(authenticator_of(ua)._counts) <= 4


def test_the_oldest_used_nonce_is_forgotten_for_the_next_one():
    """R7616-6: though its count rises; keep says how many others may be used meanwhile"""
    for keep in (1, 3):
        ua = server(keep=keep)
        nonces = [challenge(ua, START + n, branch=b"c%d" % n) for n in range(keep + 1)]
        now = START + keep
        for n in range(keep + 1):
            assert accepted(ask(ua, nonces[0], b"o%d" % n, now)) == b"alice"
            assert accepted(ask(ua, nonces[n], b"n%d" % n, now)) == b"alice"
        assert is_stale(ask(ua, nonces[0], b"2", now))


def test_a_nonce_that_is_younger_than_all_forgotten_ones_serves():
    """R7616-6: by a millisecond; one of the same millisecond doesn't"""
    ua = server(keep=1)
    old, one, twin, third = [
        challenge(ua, START + ms, branch=branch) for ms, branch in ((0, b"a"), (1, b"b"), (1, b"c"), (1, b"d"))
    ]
    for used, branch in ((old, b"2"), (one, b"3"), (twin, b"4")):
        assert accepted(ask(ua, used, branch, START + 2)) == b"alice"
    assert is_stale(ask(ua, third, b"5", START + 2))


def test_a_flood_of_strangers_leaves_no_trace():
    """R3261-18-13: and what was answered before is still answered alike."""
    ua = server()
    one = challenge(ua)
    line = answered(one, b"MESSAGE", DESK, b"status", b"c")
    (event,) = ua.receive(request(b"2", line), FLOW, START)
    answer = ua.respond(event, 200, START)
    for n in range(200):
        assert statuses(ua.receive(request(b"s%d" % n), FLOW, START)) == [401]
    assert ua.receive(request(b"2", line), FLOW, START) == answer
    assert len(authenticator_of(ua)._issued) <= 8


def test_credentials_without_qop_serve_once():
    """R8760-4: RFC 2069's form, of old peers."""
    ua = server()
    one = challenge(ua, algorithm=b"MD5")
    one.qop = b""
    assert accepted(ask(ua, one, b"2")) == b"bob"
    assert is_stale(ask(ua, one, b"3"))


def test_credentials_without_qop_are_the_first_use_of_their_nonce():
    """R8760-4, R7616-6: a count of 1 comes too late then, a count of 2 doesn't"""
    ua = server()
    one = challenge(ua, algorithm=b"MD5")
    qop, one.qop = one.qop, b""
    assert accepted(ask(ua, one, b"2")) == b"bob"
    again = Challenge({b"realm": REALM, b"nonce": one.nonce, b"algorithm": b"MD5"}, b"Authorization", qop)
    again.user, again.password = b"bob", b"builder"
    assert is_stale(ask(ua, again, b"3"))
    assert accepted(ask(ua, again, b"4")) == b"bob"


def test_digest_uri_is_that_of_the_request():
    """R3261-22-1, R0-P14: about our host, that of the Request-URI, or of To behind a proxy, or the realm"""
    contact = b"sip:boiler@192.0.2.7:5060"
    for uri, about, to, expected in (
        (DESK, DESK, DESK, b"alice"),
        (DESK, b"sip:desk@EXAMPLE.org", DESK, b"alice"),
        (DESK, b"sip:%64esk@example.org", DESK, b"alice"),
        (contact, DESK, DESK, b"alice"),
        (contact, DESK + b":5062;transport=tcp", DESK, b"alice"),
        (DESK, b"<%s>" % DESK, DESK, b"alice"),
        (DESK, b"sip:example.org:5060", DESK, b"alice"),
        (contact, b"sip:192.0.2.7", DESK, b"alice"),
        (DESK, b"sip:" + REALM, DESK, b"alice"),
        (contact, b"tel:+1", b"tel:+1", b"alice"),
        (contact, b"tel:+2", b"tel:+1", None),
        (contact, b"sip:desk@example.com", DESK, None),
        (DESK, b"sip:192.0.2.7", DESK, None),
        (DESK, b"", DESK, None),
        (DESK, b"sip:", DESK, None),
    ):
        ua = server()
        events = ask(ua, challenge(ua), b"2", uri=uri, about=about, to=to)
        assert accepted(events) == expected, (uri, about)
        if expected is None:
            assert statuses(events) == [400]


def test_malformed_credentials_for_us_are_a_bad_request():
    """R3261-22-1: RFC 7616 section 3.4, parameters missing or improper; told by name, kept nowhere."""
    good = b'Authorization: Digest realm="example.org", username="alice", nonce="n", uri="sip:desk@example.org"'
    for rest in (
        b"",
        b', response="0", qop=foo, nc=00000001, cnonce="c"',
        b', response="0", qop=auth, cnonce="c"',
        b', response="0", qop=auth, nc="", cnonce="c"',
        b', response="0", qop=auth, nc=000000001, cnonce="c"',
        b', response="0", qop=auth, nc=0000000g, cnonce="c"',
        b', response="0", qop=auth, nc=+0000001, cnonce="c"',
        b', response="0", qop=auth, nc=00000001',
    ):
        ua = server()
        assert statuses(ua.receive(request(b"2", good + rest + b"\r\n"), FLOW, START)) == [400], rest
        assert ua.wait_ms(START) is None


def test_a_count_of_fewer_digits_is_taken_unless_strict():
    """R7616-2, R7616-6: hashed as it was sent, counted as the number that it is"""
    for is_strict in (False, True):
        ua = server()
        authenticator_of(ua).is_strict = is_strict
        one = challenge(ua)
        taken = []
        for nc in (b"1", b"0A", b"a", b"00000b"):
            params = {b"nonce": one.nonce, b"cnonce": b"c", b"nc": nc, b"qop": b"auth"}
            ha1 = secret(b"sha-256", b"alice", REALM, b"wonder")
            line = b'Authorization: Digest username="alice", realm="%s", nonce="%s", uri="%s", response="%s"' % (
                REALM,
                one.nonce,
                DESK,
                response(b"SHA-256", ha1, params, b"MESSAGE", DESK, b"status"),
            )
            line += b', algorithm=SHA-256, qop=auth, nc=%s, cnonce="c"\r\n' % nc
            events = ua.receive(request(b"n" + nc, line), FLOW, START)
            taken.append(400 if statuses(events) == [400] else accepted(events))
        assert taken == ([400] * 4 if is_strict else [b"alice", b"alice", None, b"alice"])


def test_lines_that_are_not_for_us_are_as_good_as_none():
    """R3261-22-2: another realm or scheme, or no sense at all; ours among them is found."""
    ua = server()
    lines = (
        b'Authorization: Digest realm="Example.org", nonce="n"\r\nAuthorization: Basic YWxpY2U6d29uZGVy\r\n'
        b'Authorization: Digest realm="example.org\r\nAuthorization: Digest\r\nAuthorization: \r\n'
    )
    assert statuses(ua.receive(request(b"1", lines), FLOW, START)) == [401]
    assert statuses(ua.receive(request(b"2", b'Authorization: NTLM realm="example.org"\r\n'), FLOW, START)) == [401]
    line = answered(challenge(ua), b"MESSAGE", DESK, b"status", b"c")
    assert accepted(ua.receive(request(b"3", lines + line), FLOW, START)) == b"alice"


def test_algorithms_that_were_not_offered_are_challenged_again():
    """R8760-2"""
    for algorithm in (b"SHA-256-sess", b"SHA-512-256", b"AKAv1-MD5", b""):
        ua = server({b"alice": USERS[b"alice"]})
        one = challenge(ua)
        line = answered(one, b"MESSAGE", DESK, b"status", b"c").replace(b"algorithm=SHA-256", b"algorithm=" + algorithm)
        assert not is_stale(ua.receive(request(b"2", line), FLOW, START))


def test_hidden_names_and_names_in_other_forms_are_accepted():
    """R7616-4: userhash, username*, escapes and UTF-8."""
    ua = server()
    one = challenge(ua)
    one.hides_user = True
    assert accepted(ask(ua, one, b"2")) == b"alice"
    for n, user in enumerate((b'a"b', b"J\xc3\xa4s")):
        one = challenge(ua, branch=b"u%d" % n)
        one.user = user
        assert accepted(ask(ua, one, b"v%d" % n)) == user
    one = challenge(ua, branch=b"u9")
    one.user = b"J\xc3\xa4s"
    line = answered(one, b"MESSAGE", DESK, b"status", b"c")
    line = line.replace(b'username="J\xc3\xa4s"', b"username*=UTF-8''J%C3%A4s")
    assert accepted(ua.receive(request(b"v9", line), FLOW, START)) == b"J\xc3\xa4s"
    for wrong in (b"username*=latin1'x'y", b'username="%s", userhash=true' % hexhash(b"sha-256", b"eve:example.org")):
        one = challenge(ua, branch=b"w%d" % len(wrong))
        line = answered(one, b"MESSAGE", DESK, b"status", b"c").replace(b'username="alice"', wrong)
        assert statuses(ua.receive(request(b"x%d" % len(wrong), line), FLOW, START)) == [401]


def test_authentication_comes_before_all_other_checks_and_never_for_cancel_ack_and_options():
    """R3261-8.2-2, R3261-8.2-15, R3261-8.2-16"""
    ua = server()
    for n, (method, expected) in enumerate(
        ((b"INVITE", [401]), (b"FOO", [401]), (b"CANCEL", [481]), (b"ACK", []), (b"OPTIONS", [200]))
    ):
        assert statuses(ua.receive(request(b"m%d" % n, method=method), FLOW, START)) == expected, method
    assert statuses(ua.receive(request(b"r", b"Require: x\r\n"), FLOW, START)) == [401]
    assert statuses(ua.receive(request(b"t", to=DESK + b">;tag=1;tag=2;x=<a"), FLOW, START)) == [400]
    line = answered(challenge(ua), b"MESSAGE", DESK, b"status", b"c")
    assert statuses(ua.receive(request(b"u", b"Require: x\r\n" + line), FLOW, START)) == [420]


def test_a_copy_by_another_way_is_a_loop_whoever_sent_it():
    """R3261-8.2-7: a fork's second branch has the nonce count of the first."""
    ua = server()
    line = answered(challenge(ua), b"MESSAGE", DESK, b"status", b"c")
    assert accepted(ua.receive(request(b"2", line), FLOW, START)) == b"alice"
    copy = request(b"2", line).replace(b"branch=z9hG4bK2", b"branch=z9hG4bK3")
    assert statuses(ua.receive(copy, FLOW, START)) == [482]


def test_a_realm_that_would_need_escapes_is_refused():
    for realm in (b'a"b', b"a\\b", b"a:b", b"a\r\nb"):
        raises(UsageError, Authenticator, realm, USERS, Counter())


def test_a_realm_is_any_text_without_them():
    """R3261-22-2: blanks and UTF-8 among it"""
    for realm in (b"The boiler room", b"K\xc3\xbcche"):
        authenticator = Authenticator(realm, {b"a": {b"sha-256": b"0" * 64}}, Counter())
        user, lines = authenticator.check(Message(request()), START, FLOW)
        assert user is None and b'realm="%s"' % realm in lines


def test_whatever_stands_in_authorization_nothing_is_raised():
    ua = server()
    good = answered(challenge(ua), b"MESSAGE", DESK, b"status", b"c")
    for at in range(15, len(good) - 2):
        for octet in (b"\xff", b'"', b",", b"", b"\\", b"\x00"):
            line = good[:at] + octet + good[at + 1 :]
            for event in ua.receive(request(b"%d" % at, line), FLOW, START):
                assert type(event) in (Transmit, Dropped, MessageReceived)
    authenticator = Authenticator(REALM, USERS, Counter())
    bare = Message(request(b"1", b'Authorization: Digest realm="example.org"\r\n'))
    raises(ParseError, authenticator.check, bare, 0, FLOW)


class Watcher(Authenticator):
    """Notes what it is told."""

    def __init__(self):
        Authenticator.__init__(self, REALM, USERS, Counter())
        self.notes = []
        self.shut = ()

    def may_try(self, user, flow):
        return user not in self.shut

    def tried(self, user, flow, is_good):
        self.notes.append((user, flow[1], is_good))

    def unanswered(self, flow):
        self.notes.append(flow[1])


def test_who_slows_down_guessing_is_asked_and_told():
    """R0-P17"""
    watcher = Watcher()
    ua = UserAgent(b"sip:boiler@example.org", b"192.0.2.7:5060", Counter(), authenticator=watcher)
    one = challenge(ua)
    assert watcher.notes == [FLOW[1]]
    one.password = b"wrong"
    assert accepted(ask(ua, one, b"2")) is None
    one = challenge(ua, branch=b"3")
    assert accepted(ask(ua, one, b"4")) == b"alice"
    assert watcher.notes[1:] == [(b"alice", FLOW[1], False), FLOW[1], (b"alice", FLOW[1], True)]
    watcher.shut = (b"alice",)
    one = challenge(ua, branch=b"5")
    assert accepted(ask(ua, one, b"6")) is None and watcher.notes[4:] == [FLOW[1]]


def test_users_may_be_others_later():
    """R0-P17: who is taken away is let in no more, and what is offered follows"""
    watcher = Watcher()
    ua = UserAgent(b"sip:boiler@example.org", b"192.0.2.7:5060", Counter(), authenticator=watcher)
    one = challenge(ua)
    watcher.set_users({b"bob": USERS[b"bob"]})
    assert accepted(ask(ua, one, b"2")) is None
    watcher.set_users(USERS)
    assert accepted(ask(ua, challenge(ua, branch=b"3"), b"4")) == b"alice"


class Link:
    """Two user agents back to back; each datagram is lost or doubled as a list says."""

    def __init__(self, client, server, fates):
        self.ends = {b"192.0.2.1": client, b"192.0.2.7": server}
        self.fates = list(fates)
        self.now = START
        self.received = []
        self.outcomes = []

    def carry(self, source, events):
        for event in events:
            if type(event) is Transmit:
                fate = self.fates.pop(0) if self.fates else 1
                for _ in range(fate):
                    end = self.ends[event.flow[1]]
                    self.carry(event.flow[1], end.receive(event.data, (b"UDP", source, 5060), self.now))
            elif type(event) is MessageReceived:
                self.received.append((event.user, event.message.body))
                self.carry(b"192.0.2.7", self.ends[b"192.0.2.7"].respond(event, 200, self.now))
            elif type(event) is Outcome:
                self.outcomes.append((event.name, event.status))

    def run(self):
        """Let time pass until the sender has nothing left to do."""
        client = self.ends[b"192.0.2.1"]
        while client.wait_ms(self.now) is not None:
            self.now = (self.now + client.wait_ms(self.now)) & MASK
            self.carry(b"192.0.2.1", client.wake(self.now))


def link(fates=(), password=b"wonder", users=USERS):
    client = UserAgent(b"sip:alice@example.org", b"192.0.2.1:5060", Counter(), proxy=b"sip:192.0.2.7")
    client.uac.settings["credentials"] = ((b"", b"alice", password),)
    return client, Link(client, boiler(Counter(500), users, Counter(1000)), fates)


def boiler(random_bytes, users, nonces):
    authenticator = Authenticator(REALM, users, nonces)
    return UserAgent(b"sip:boiler@example.org", b"192.0.2.7:5060", random_bytes, authenticator=authenticator)


def test_client_and_server_understand_each_other_over_a_bad_network():
    """R7616-2, R7616-3, R7616-6: each message comes once, with one outcome, whatever is lost or doubled."""
    for fates in (
        (),
        (2, 2, 2, 2, 2, 2, 2, 2),
        (0, 1, 0, 1, 0, 1, 0),
        (1, 0, 1, 1, 0, 1, 1, 1, 0),
        (2, 0, 0, 2, 1, 0, 2, 1, 1, 0, 0, 2),
        (1, 1, 1, 0, 0, 0, 0, 1, 1, 1),
    ):
        client, wire = link(fates)
        for text in (b"status", b"", b"\x00\xff"):
            wire.carry(b"192.0.2.1", client.send(client.new_call_id(), DESK, text, wire.now))
        wire.run()
        assert wire.received == [(b"alice", b"status"), (b"alice", b""), (b"alice", b"\x00\xff")], fates
        assert wire.outcomes == [("delivered", 200)] * 3


def test_a_wrong_password_has_one_outcome_and_nothing_arrives():
    """R7616-3"""
    for fates in ((), (2, 2, 2, 2, 2), (0, 1, 0, 1, 0)):
        client, wire = link(fates, b"w0nder")
        wire.carry(b"192.0.2.1", client.send(client.new_call_id(), DESK, b"status", wire.now))
        wire.run()
        assert (wire.received, wire.outcomes) == ([], [("failed", 401)])


def test_a_nonce_that_has_expired_between_two_messages_is_replaced_unnoticed():
    """R7616-3, R7616-6"""
    client, wire = link()
    for _ in range(3):
        wire.carry(b"192.0.2.1", client.send(client.new_call_id(), DESK, b"status", wire.now))
        wire.run()
        wire.now = (wire.now + 400000) & MASK
    assert wire.outcomes == [("delivered", 200)] * 3


def test_a_server_that_was_started_anew_is_answered_unnoticed():
    """R7616-3, R7616-6: its key is another one."""
    client, wire = link()
    for n in range(3):
        wire.ends[b"192.0.2.7"] = boiler(Counter(500), USERS, Counter(7000 * n))
        wire.carry(b"192.0.2.1", client.send(client.new_call_id(), DESK, b"status", wire.now))
        wire.run()
    assert wire.outcomes == [("delivered", 200)] * 3
