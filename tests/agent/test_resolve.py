"""R3428-3.3, R3428-8.1, R3261-18-2, R3261-8.1-9: finding the next hop, and the one after it."""

from agent.errors import ParseError
from agent.events import Outcome, Transmit
from agent.headers.delta import retry_after_s
from agent.notices import Resolve
from agent.peers import Peers
from agent.registration import RegistrationLost
from agent.resolve.search import Search, is_address, srv_order
from agent.uri import parse_uri
from agent.user_agent import UserAgent
from tests.helpers import raises

_NOW = 0x3FFFFFFF - 700  # close to the wrap
_UDP_FIRST = (b"UDP", b"TCP", b"TLS")
_ONE = (b"UDP", b"192.0.2.1", 5060)
_TWO = (b"UDP", b"192.0.2.2", 5060)
_THREE = (b"TCP", b"192.0.2.3", 5060)
_PLACE = b"sip:example.org"


class Random:
    """A linear congruential generator in place of os.urandom."""

    def __init__(self):
        self.state = 1

    def __call__(self, n):
        out = []
        for _ in range(n):
            self.state = self.state * 16807 % 2147483647
            out.append(self.state >> 8 & 255)
        return bytes(out)


def _search(uri, zone, transports=_UDP_FIRST):
    """Run a search against a zone {name: values}; returns (flows, names that were asked for)."""
    search = Search(parse_uri(uri), transports, Random())
    asked = []
    while True:
        question = search.question()
        if question is None:
            return search.flows, asked
        asked.append(question[0])
        search.answer([value for value in zone.get(question[0], []) if (type(value) is tuple) == question[1]], 60)


def _agent(**options):
    return UserAgent(b"sip:boiler@example.org", b"192.0.2.7:5060", Random(), **options)


def _answer(request, status, fields=b""):
    """Return a response to a request as its receiver would write it."""
    lines = request.split(b"\r\n\r\n")[0].split(b"\r\n")
    copied = [line for line in lines if line[: line.find(b":")] in (b"Via", b"From", b"To", b"Call-ID", b"CSeq")]
    return b"SIP/2.0 %d Reason\r\n%s\r\n%sContent-Length: 0\r\n\r\n" % (status, b"\r\n".join(copied), fields)


def _sent(events):
    return [event.flow[:3] for event in events if type(event) is Transmit]


# Search


def test_address_is_its_own_answer():
    assert _search(b"sip:desk@192.0.2.1", {}) == ([_ONE], [])
    assert _search(b"sip:desk@192.0.2.1:5070;transport=tcp", {}) == ([(b"TCP", b"192.0.2.1", 5070)], [])
    assert _search(b"sips:desk@[2001:db8::1]", {}) == ([(b"TLS", b"2001:db8::1", 5061)], [])


def test_name_with_a_port_has_its_addresses_looked_up_and_no_services():
    zone = {b"example.org": [b"192.0.2.1", b"2001:db8::1"]}
    flows, asked = _search(b"sip:desk@example.org:5070", zone)
    assert asked == [b"example.org"]
    assert flows == [(b"UDP", b"192.0.2.1", 5070), (b"UDP", b"2001:db8::1", 5070)]


def test_name_without_a_port_is_looked_for_among_the_services_of_each_transport():
    zone = {
        b"_sip._udp.example.org": [(20, 0, 5060, b"b.example.org"), (10, 0, 5062, b"a.example.org")],
        b"_sips._tcp.example.org": [(10, 0, 5061, b"a.example.org")],
        b"a.example.org": [b"192.0.2.1"],
        b"b.example.org": [b"192.0.2.2"],
    }
    flows, asked = _search(b"sip:desk@example.org", zone)
    assert flows == [
        (b"UDP", b"192.0.2.1", 5062),
        (b"UDP", b"192.0.2.2", 5060),
        (b"TLS", b"192.0.2.1", 5061, b"example.org"),
    ]
    assert asked == [
        b"_sip._udp.example.org",
        b"a.example.org",
        b"b.example.org",
        b"_sip._tcp.example.org",
        b"_sips._tcp.example.org",
    ]


def test_named_transport_is_the_only_one():
    zone = {b"_sip._tcp.example.org": [(0, 0, 5060, b"a.example.org")], b"a.example.org": [b"192.0.2.3"]}
    for uri in (b"sip:example.org;transport=tcp", b"sip:example.org;transport=TCP"):
        assert _search(uri, zone) == ([_THREE], [b"_sip._tcp.example.org", b"a.example.org"])
    assert _search(b"sip:example.org;transport=udp", zone)[0] == []
    raises(ParseError, Search, parse_uri(b"sip:example.org;transport=sctp"), _UDP_FIRST, Random())


def test_sips_and_tls_have_secure_services_alone_and_keep_the_name_for_the_certificate():
    zone = {
        b"_sip._udp.example.org": [(0, 0, 5060, b"a.example.net")],
        b"_sips._tcp.example.org": [(0, 0, 5071, b"a.example.net")],
        b"a.example.net": [b"192.0.2.1"],
    }
    for uri in (b"sips:desk@example.org", b"sip:desk@example.org;transport=tls"):
        assert _search(uri, zone)[0] == [(b"TLS", b"192.0.2.1", 5071, b"example.org")]
    assert _search(b"sips:desk@example.org", {b"example.org": [b"192.0.2.1"]})[0] == [
        (b"TLS", b"192.0.2.1", 5061, b"example.org")
    ]


def test_domain_without_services_is_tried_at_the_default_port():
    zone = {b"example.org": [b"192.0.2.1", b"192.0.2.2"]}
    assert _search(b"sip:desk@example.org", zone)[0] == [_ONE, _TWO]


def test_congestion_controlled_transport_goes_first_where_it_is_preferred_and_udp_next():
    zone = {b"example.org": [b"192.0.2.1"]}
    flows, asked = _search(b"sip:desk@example.org", zone, (b"TCP", b"UDP"))
    assert flows == [(b"TCP", b"192.0.2.1", 5060), _ONE]
    assert asked == [b"_sip._tcp.example.org", b"_sip._udp.example.org", b"example.org"]
    assert _search(b"sip:desk@example.org", zone, (b"TLS",))[0] == [(b"TLS", b"192.0.2.1", 5061, b"example.org")]


def test_maddr_takes_the_place_of_the_host():
    assert _search(b"sip:desk@example.org;maddr=192.0.2.1", {}) == ([_ONE], [])
    assert _search(b"sip:desk@example.org:5060;maddr=a.example.net", {b"a.example.net": [b"192.0.2.2"]})[0] == [_TWO]
    assert _search(b"sip:desk@example.org;maddr=[2001:db8::1]", {})[0] == [(b"UDP", b"2001:db8::1", 5060)]


def test_name_of_this_network_is_no_domain_with_services():
    assert _search(b"sip:desk@pi.local", {b"pi.local": [b"192.0.2.1"]}) == ([_ONE], [b"pi.local"])
    assert _search(b"sip:desk@pbx", {b"pbx": [b"192.0.2.1"]}) == ([_ONE], [b"pbx"])


def test_domain_that_says_it_has_no_such_service_is_not_tried_all_the_same():
    zone = {b"_sip._udp.example.org": [(0, 0, 0, b"")], b"example.org": [b"192.0.2.1"]}
    assert _search(b"sip:desk@example.org", zone)[0] == []


def test_services_that_point_at_themselves_and_at_nothing_come_to_an_end():
    itself = {b"_sip._udp.example.org": [(0, 0, 5060, b"_sip._udp.example.org")] * 300}
    flows, asked = _search(b"sip:desk@example.org", itself)
    assert flows == [] and len(asked) <= 5
    crowd = {b"_sip._udp.example.org": [(i, 0, 5060, b"h%d.example.org" % i) for i in range(300)]}
    flows, asked = _search(b"sip:desk@example.org", crowd)
    assert flows == [] and len(asked) <= 12


def test_flows_are_eight_at_most_and_each_only_once():
    assert len(_search(b"sip:desk@example.org:5060", {b"example.org": [b"192.0.2.%d" % i for i in range(99)]})[0]) == 8
    assert _search(b"sip:desk@example.org:5060", {b"example.org": [b"192.0.2.1"] * 9})[0] == [_ONE]


def test_as_many_services_as_a_request_has_attempts_are_asked_for_and_then_nothing():
    """RFC 3263 section 4.2: eight of one name, in their order"""
    zone = {b"_sip._udp.example.org": [(i, 0, 5060, b"h%d.example.org" % i) for i in range(9)]}
    for i in range(9):
        zone[b"h%d.example.org" % i] = [b"192.0.2.%d" % i]
    flows, asked = _search(b"sip:desk@example.org", zone)
    assert flows == [(b"UDP", b"192.0.2.%d" % i, 5060) for i in range(8)]
    assert asked == [b"_sip._udp.example.org"] + [b"h%d.example.org" % i for i in range(8)]


def test_what_is_found_is_kept_for_a_day_at_most():
    """RFC 2181 section 8: an address for ever, and what a server says of a name"""
    assert Search(parse_uri(b"sip:desk@192.0.2.1"), _UDP_FIRST, Random()).ttl == 86400
    search = Search(parse_uri(b"sip:desk@example.org:5060"), _UDP_FIRST, Random())
    search.answer([b"192.0.2.1"], 86401)
    assert search.ttl == 86400


def test_what_is_found_is_kept_no_longer_than_the_shortest_lived_part_of_it():
    search = Search(parse_uri(b"sip:desk@example.org;transport=udp"), _UDP_FIRST, Random())
    search.answer([(0, 0, 5060, b"a.example.org")], 3600)
    assert search.question() == (b"a.example.org", False)
    search.answer([b"192.0.2.1"], 30)
    assert search.question() is None and search.ttl == 30


def test_addresses_are_told_from_names():
    for host in (b"192.0.2.1", b"2001:db8::1", b"::"):
        assert is_address(host)
    for host in (b"example.org", b"pbx1", b"3com.example", b"xn--p1ai"):
        assert not is_address(host)


def test_srv_priorities_come_in_order():
    records = [(20, 0, 1, b"c"), (10, 5, 1, b"b"), (5, 9, 1, b"a")]
    assert [record[3] for record in srv_order(records, Random())] == [b"a", b"b", b"c"]


def test_srv_records_without_weight_come_first_where_chance_says_nothing():
    """RFC 2782: in whatever order a server gives them; a weight of 0 has a small chance and not none"""
    for records in (
        [(0, 5, 1, b"five"), (0, 0, 1, b"none"), (0, 1, 1, b"one")],
        [(0, 1, 1, b"one"), (0, 5, 1, b"five"), (0, 0, 1, b"none")],
    ):
        assert srv_order(records, lambda n: bytes(n))[0][3] == b"none"


def test_each_number_up_to_the_sum_of_weights_has_the_same_chance():
    """RFC 2782: 0 and the sum included; the first record whose running sum reaches it is taken"""
    taken = []
    for number in range(20):
        records = [(0, 3, 1, b"three"), (0, 1, 1, b"one")]
        taken.append(srv_order(records, lambda n, number=number: number.to_bytes(n, "big"))[0][3])
    assert taken == ([b"one"] * 2 + [b"three"] * 3) * 4


def test_srv_weights_are_chances():
    random = Random()
    records = [(0, 0, 1, b"never"), (0, 1, 1, b"rare"), (0, 3, 1, b"often")]
    first = [srv_order(records, random)[0][3] for _ in range(1000)]
    assert 690 > first.count(b"often") > 500  # of the sums 0 to 4 three lead to it
    assert 290 > first.count(b"rare") > 120
    assert sorted(srv_order(records, random)) == sorted(records)


# What the user agent does with it


def test_message_for_a_name_is_moved_to_the_place_found_before_it_is_sent():
    ua = _agent()
    assert ua.send(b"c1", b"sip:desk@example.org", b"hot", _NOW) == [Resolve(_PLACE)]
    events = ua.resolved(_PLACE, [_THREE, _TWO], _NOW)
    assert _sent(events) == [_THREE]
    assert events[0].data.startswith(b"MESSAGE sip:desk@example.org SIP/2.0\r\nVia: SIP/2.0/TCP ")
    assert b"\r\nCSeq: 1 MESSAGE\r\n" in events[0].data
    assert ua.receive(_answer(events[0].data, 200), _THREE, _NOW)[0].name == "delivered"
    assert ua.resolved(_PLACE, [_THREE], _NOW) == []


def test_the_proxys_uri_says_where_to_look_when_there_is_one():
    proxy = b"sip:example.net;transport=tcp"
    ua = _agent(proxy=proxy)
    assert ua.send(b"c1", b"sip:desk@example.org:5099", b"hot", _NOW) == [Resolve(b"sip:example.net;transport=tcp")]


def test_silent_flow_is_given_up_after_timer_f_for_the_next_one():
    ua = _agent()
    ua.send(b"c1", b"sip:desk@example.org", b"hot", _NOW)
    first = ua.resolved(_PLACE, [_ONE, _TWO], _NOW)[0].data
    now = (_NOW + 32000) & 0x3FFFFFFF
    second = ua.wake(now)
    assert _sent(second) == [_TWO]
    assert first.split(b"Call-ID")[1] == second[0].data.split(b"Call-ID")[1]  # CSeq and all
    assert first.split(b"branch=")[1][:23] != second[0].data.split(b"branch=")[1][:23]
    done = ua.receive(_answer(second[0].data, 200), _TWO, now)
    assert done == [Outcome(b"c1", "delivered", 200, b"Reason", None)]
    assert ua.wait_ms(now) is None


def test_all_flows_silent_is_one_timeout():
    ua = _agent()
    ua.send(b"c1", b"sip:desk@example.org", b"hot", _NOW)
    ua.resolved(_PLACE, [_ONE, _TWO], _NOW)
    assert _sent(ua.wake((_NOW + 32000) & 0x3FFFFFFF)) == [_TWO]
    assert [event.name for event in ua.wake((_NOW + 64000) & 0x3FFFFFFF)] == ["timeout"]
    assert ua.wait_ms(_NOW) is None


def test_flow_that_failed_or_answered_503_is_followed_by_the_next_one():
    ua = _agent()
    ua.send(b"c1", b"sip:desk@example.org", b"hot", _NOW)
    ua.resolved(_PLACE, [_THREE, _ONE, _TWO], _NOW)
    second = ua.failed(_THREE, _NOW)
    assert _sent(second) == [_ONE] and b"SIP/2.0/UDP" in second[0].data
    third = ua.receive(_answer(second[0].data, 503), _ONE, _NOW)
    assert _sent(third) == [_TWO]
    last = ua.receive(_answer(third[0].data, 503, b"Retry-After: 9\r\n"), _TWO, _NOW)
    assert last == [Outcome(b"c1", "failed", 503, b"Reason", b"9")]


def test_any_other_answer_is_final_for_all_flows():
    for status in (408, 480, 500, 600):
        ua = _agent()
        ua.send(b"c1", b"sip:desk@example.org", b"hot", _NOW)
        sent = ua.resolved(_PLACE, [_ONE, _TWO], _NOW)
        events = ua.receive(_answer(sent[0].data, status), _ONE, _NOW)
        assert [event.status for event in events] == [status], status


def test_next_message_starts_with_a_flow_that_is_alive():
    ua = _agent()
    ua.send(b"c1", b"sip:desk@example.org", b"hot", _NOW)
    ua.resolved(_PLACE, [_ONE, _TWO], _NOW)
    ua.receive(_answer(ua.failed(_ONE, _NOW)[0].data, 200), _TWO, _NOW)
    for seconds, first in ((0, _TWO), (29, _TWO), (30, _ONE)):
        assert ua.uac.rescue().peers.live_first([_ONE, _TWO], (_NOW + 1000 * seconds) & 0x3FFFFFFF)[0] == first, seconds


def test_each_flow_that_led_nowhere_is_remembered():
    ua = _agent()
    flows = [_ONE, _TWO, (b"UDP", b"192.0.2.3", 5060), (b"UDP", b"192.0.2.4", 5060)]
    ua.send(b"c1", b"sip:desk@example.org", b"hot", _NOW)
    ua.resolved(_PLACE, flows, _NOW)
    for flow in flows[:3]:
        ua.failed(flow, _NOW)
    assert ua.live_first(flows, _NOW)[0] == flows[3]
    assert ua.live_first(flows[:3], (_NOW + 30000) & 0x3FFFFFFF) == flows[:3]


def test_flow_is_left_alone_for_as_long_as_its_retry_after_says():
    ua = _agent()
    ua.send(b"c1", b"sip:desk@example.org", b"hot", _NOW)
    sent = ua.resolved(_PLACE, [_ONE, _TWO], _NOW)
    ua.receive(_answer(sent[0].data, 503, b"Retry-After: 120 (on fire);duration=60\r\n"), _ONE, _NOW)
    for seconds, first in ((119, _TWO), (120, _ONE)):
        assert ua.uac.rescue().peers.live_first([_ONE, _TWO], (_NOW + 1000 * seconds) & 0x3FFFFFFF)[0] == first, seconds


def test_where_every_flow_is_dead_the_one_to_revive_first_goes_first():
    ua = _agent()
    ua.uac.peers = Peers((), None)
    ua.uac.rescue().peers.dead = {_ONE: (_NOW + 9000) & 0x3FFFFFFF, _TWO: (_NOW + 5000) & 0x3FFFFFFF}
    assert ua.uac.rescue().peers.live_first([_ONE, _TWO], _NOW) == [_TWO, _ONE]
    assert ua.uac.rescue().peers.live_first([_ONE, _THREE, _TWO], _NOW) == [_THREE, _TWO, _ONE]


def test_dead_flows_are_remembered_in_bounded_memory():
    ua = _agent()
    for i in range(100):
        ua.send(b"c%d" % i, b"sip:desk@192.0.2.%d" % i, b"hot", _NOW)
        ua.failed((b"UDP", b"192.0.2.%d" % i, 5060), _NOW)
    assert len(ua.uac.rescue().peers.dead) <= 16


def test_many_dead_flows_are_eight_attempts_and_one_outcome():
    ua = _agent()
    flows = [(b"UDP", b"192.0.2.%d" % i, 5060) for i in range(20)]
    events = list(ua.send(b"c1", b"sip:desk@192.0.2.0", b"hot", _NOW, flow=flows))
    for flow in flows:
        events += ua.failed(flow, _NOW)
    assert [event.name for event in events if type(event) is Outcome] == ["failed"]
    assert len(_sent(events)) == 9


def test_name_that_is_not_found_is_a_failure():
    ua = _agent()
    ua.send(b"c1", b"sip:desk@example.org", b"hot", _NOW)
    assert ua.resolved(_PLACE, [], _NOW, b"no such name") == [Outcome(b"c1", "failed", 503, b"no such name", None)]
    ua = _agent(transport=b"TCP")
    ua.send(b"c1", b"sip:desk@example.org", b"hot", _NOW)
    assert [event.status for event in ua.resolved(_PLACE, [], _NOW)] == [503]
    assert ua.resolved(_PLACE, [_ONE], _NOW) == []


def test_refused_tcp_that_was_our_preference_is_followed_by_udp():
    ua = _agent(transport=b"TCP")
    sent = ua.send(b"c1", b"sip:desk@192.0.2.1", b"hot", _NOW)
    assert _sent(sent) == [(b"TCP", b"192.0.2.1", 5060)]
    again = ua.failed((b"TCP", b"192.0.2.1", 5060), _NOW)
    assert _sent(again) == [_ONE] and b"SIP/2.0/UDP" in again[0].data
    assert [event.status for event in ua.failed(_ONE, _NOW)] == [503]


def test_refused_tcp_that_was_asked_for_is_a_failure():
    for target, proxy in (
        (b"sip:desk@192.0.2.1;transport=tcp", None),
        (b"sip:desk@192.0.2.1", b"sip:192.0.2.1;transport=tcp"),
    ):
        ua = _agent(transport=b"TCP", proxy=proxy)
        ua.send(b"c1", target, b"hot", _NOW)
        assert [event.status for event in ua.failed((b"TCP", b"192.0.2.1", 5060), _NOW)] == [503]


_CHALLENGE = b'WWW-Authenticate: Digest realm="example.org", nonce="%s", algorithm=SHA-256\r\n'


def test_next_flow_may_ask_for_credentials_as_the_first_one_did():
    ua = _agent()
    ua.uac.settings["credentials"] = ((b"", b"boiler", b"secret"),)
    ua.send(b"c1", b"sip:desk@example.org", b"hot", _NOW)
    sent = ua.resolved(_PLACE, [_ONE, _TWO], _NOW)
    sent = ua.receive(_answer(sent[0].data, 401, _CHALLENGE % b"n1"), _ONE, _NOW)
    assert _sent(sent) == [_ONE] and b'nonce="n1"' in sent[0].data
    sent = ua.receive(_answer(sent[0].data, 503), _ONE, _NOW)
    assert _sent(sent) == [_TWO] and b"Authorization" not in sent[0].data
    sent = ua.receive(_answer(sent[0].data, 401, _CHALLENGE % b"n2"), _TWO, _NOW)
    assert _sent(sent) == [_TWO] and b'nonce="n2"' in sent[0].data
    assert ua.receive(_answer(sent[0].data, 401, _CHALLENGE % b"n3"), _TWO, _NOW)[0].status == 401


def test_credentials_are_given_at_once_where_they_were_asked_for_before():
    ua = _agent()
    ua.uac.settings["credentials"] = ((b"", b"boiler", b"secret"),)
    ua.send(b"c1", b"sip:desk@example.org", b"hot", _NOW)
    sent = ua.resolved(_PLACE, [_ONE], _NOW)
    sent = ua.receive(_answer(sent[0].data, 401, _CHALLENGE % b"n1"), _ONE, _NOW)
    ua.receive(_answer(sent[0].data, 200), _ONE, _NOW)
    ua.send(b"c2", b"sip:desk@example.org", b"hot", _NOW)
    sent = ua.resolved(_PLACE, [_ONE], _NOW)
    assert b'nonce="n1"' in sent[0].data and b"\r\nCSeq: 1 MESSAGE" in sent[0].data


def _challenged(nonce):
    """Return a user agent that has been challenged at _ONE, and the octets of its answer's line."""
    ua = _agent(credentials=((b"", b"boiler", b"secret"),))
    ua.send(b"c1", b"sip:desk@example.org", b"hot", _NOW)
    sent = ua.resolved(_PLACE, [_ONE], _NOW)
    sent = ua.receive(_answer(sent[0].data, 401, _CHALLENGE % nonce), _ONE, _NOW)
    ua.receive(_answer(sent[0].data, 200), _ONE, _NOW)
    at = sent[0].data.find(b"Authorization")
    return ua, sent[0].data.find(b"\r\n", at) + 2 - at


def test_credentials_from_before_come_along_as_far_as_the_budget_goes():
    """R3428-8.2, R3261-22-4: 1300 octets with them; where it would be one more, the request begins without"""
    kept = 384 + len(b"boiler") + len(b"sip:desk@example.org")  # room for usual ones
    spare = kept - _challenged(b"n")[1]
    for octets, have in ((spare, True), (spare + 1, False)):
        ua, _ = _challenged(b"n" + b"o" * octets)
        (text,), compact = ua.fit(b"sip:desk@example.org", b"x" * 2000, "truncate")
        ua.send(b"c" * 20, b"sip:desk@example.org", text, _NOW, compact=compact)
        (transmit,) = ua.resolved(_PLACE, [_ONE], _NOW)
        assert len(transmit.data) == (1300 if have else 1300 - kept)
        assert (transmit.data.find(b"Authorization") > 0) == have


def test_redirect_to_a_name_is_looked_up_like_any_other():
    ua = _agent()
    sent = ua.send(b"c1", b"sip:desk@192.0.2.1", b"hot", _NOW)
    moved = ua.receive(_answer(sent[0].data, 302, b"Contact: <sip:desk@example.org>\r\n"), _ONE, _NOW)
    assert moved == [Resolve(_PLACE)]
    assert _sent(ua.resolved(_PLACE, [_TWO], _NOW)) == [_TWO]


def test_registration_moves_on_and_stays_where_it_was_taken():
    ua = _agent()
    assert ua.register(_NOW, registrar=b"sip:example.org") == [Resolve(_PLACE)]
    ua.resolved(_PLACE, [_ONE, _TWO], _NOW)
    second = ua.failed(_ONE, _NOW)
    assert _sent(second) == [_TWO]
    contact = b"Contact: <sip:boiler@192.0.2.7:5060>;expires=3600\r\n"
    ua.receive(_answer(second[0].data, 200, contact), _TWO, _NOW)
    assert _sent(ua.wake((_NOW + 25000) & 0x3FFFFFFF)) == [_TWO]  # the ping
    assert [type(event) for event in ua.failed(_TWO, _NOW)] == [RegistrationLost]


def test_retry_after_is_read_with_comment_and_parameters_and_is_an_hour_at_most():
    for value, seconds in (
        (b"120", 120),
        (b"18 (back soon)", 18),
        (b"5;duration=9", 5),
        (b"4294967295", 3600),
        (b"soon", 0),
        (b"-1", 0),
        (None, 0),
    ):
        assert retry_after_s(value) == seconds, value


def test_a_binding_whose_flow_fails_is_sought_by_its_registrars_name_again():
    ua = _agent()
    assert ua.register(_NOW, registrar=b"sip:example.org") == [Resolve(_PLACE)]
    sent = ua.resolved(_PLACE, [_ONE], _NOW)
    contact = b"Contact: <sip:boiler@192.0.2.7:5060>;expires=3600\r\n"
    ua.receive(_answer(sent[0].data, 200, contact), _ONE, _NOW)
    now = (_NOW + 2400000) & 0x3FFFFFFF
    assert _sent(ua.wake(now))[:1] == [_ONE]
    assert [event for event in ua.failed(_ONE, now) if type(event) is Resolve] == [Resolve(_PLACE)]


def test_what_waits_for_a_flow_that_fails_is_a_503_like_what_is_pending_there():
    ua = _agent()
    for call_id in (b"c1", b"c2"):
        ua.send(call_id, b"sip:desk@192.0.2.1", b"hot", _NOW)
    assert sorted([(event.call_id, event.status) for event in ua.failed(_ONE, _NOW)]) == [(b"c1", 503), (b"c2", 503)]
