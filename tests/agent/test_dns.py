"""R3428-3.3: DNS messages for finding the next hop, from good servers and from bad ones."""

from agent.errors import ParseError
from agent.resolve.dns import AAAA, SRV, A, build_query, parse_response
from tests.helpers import raises

# A response to SRV _sip._udp.example.org: two records, names compressed against the question and each other.
_SRV_RESPONSE = (
    b"\x12\x34\x81\x80\0\1\0\2\0\0\0\0"
    b"\x04_sip\x04_udp\x07example\x03org\0\0\x21\0\1"
    b"\xc0\x0c\0\x21\0\1\0\0\x0e\x10\0\x0b\0\x0a\0\x3c\x13\xc4\x02s1\xc0\x16"
    b"\xc0\x0c\0\x21\0\1\0\0\0\x3c\0\x0b\0\x14\0\0\x13\xc5\x02s2\xc0\x16"
)
# A www.example.org: an alias (CNAME), and the address of what it stands for.
_ALIAS_RESPONSE = (
    b"\0\7\x81\x80\0\1\0\2\0\0\0\0"
    b"\x03www\x07example\x03org\0\0\1\0\1"
    b"\xc0\x0c\0\5\0\1\0\0\0\x1e\0\7\4host\xc0\x10"
    b"\xc0\x2d\0\1\0\1\0\0\1\x2c\0\4\xc0\0\2\7"
)
_QUESTION = b"\1a\0\0\1\0\1"  # A a


def _response(answers, question=_QUESTION, number=7, flags=b"\x81\x80", count=None):
    header = bytes((0, number)) + flags + b"\0\1" + bytes((0, count or len(answers))) + b"\0\0\0\0"
    return header + question + b"".join(answers)


def _record(kind, data, name=b"\xc0\x0c", ttl=b"\0\0\0\x3c", group=b"\0\1"):
    return name + bytes((0, kind)) + group + ttl + bytes((0, len(data))) + data


def test_query_is_one_question_with_recursion_desired():
    assert build_query(0x1234, b"_sip._tcp.example.org", SRV) == (
        b"\x12\x34\1\0\0\1\0\0\0\0\0\0\x04_sip\x04_tcp\x07example\x03org\0\0\x21\0\1"
    )
    assert build_query(65535, b"a", AAAA)[:2] == b"\xff\xff"


def test_names_that_dns_can_not_carry_are_refused():
    for name in (b"", b".", b"a..b", b"a.", b"x" * 64, b".".join([b"x" * 63] * 4), b".".join([b"x"] * 128)):
        raises(ParseError, build_query, 1, name, A)
    build_query(1, b".".join([b"x"] * 127), A)


def test_srv_records_are_read_through_their_pointers():
    response = parse_response(_SRV_RESPONSE, 0x1234, b"_sip._udp.example.org", SRV)
    assert response.find(b"_sip._udp.example.org", SRV) == (
        [(10, 60, 5060, b"s1.example.org"), (20, 0, 5061, b"s2.example.org")],
        60,
    )
    assert (response.rcode, response.truncated) == (0, False)


def test_names_are_equal_whatever_the_case_of_their_letters():
    loud = _SRV_RESPONSE.replace(b"example", b"eXAMPLe")
    assert len(parse_response(loud, 0x1234, b"_SIP._udp.Example.ORG", SRV).find(b"_sip._UDP.example.org", SRV)[0]) == 2


def test_alias_is_followed_to_its_address_and_the_least_ttl_counts():
    response = parse_response(_ALIAS_RESPONSE, 7, b"www.example.org", A)
    assert response.find(b"www.example.org", A) == ([b"192.0.2.7"], 30)


def test_an_alias_is_a_name_however_many_octets_it_has():
    """As many as an address has, among others."""
    for size in (1, 2, 14, 15):
        name = b"x" * size
        wire = bytes((size,)) + name + b"\0"
        data = _response([_record(5, wire), _record(1, b"\xc0\0\2\1", name=wire)])
        assert parse_response(data, 7, b"a", A).find(b"a", A)[0] == [b"192.0.2.1"]


def test_an_address_beside_an_alias_is_taken():
    """R3428-3.3: no name should have both (RFC 2181 section 10.1); what was asked for is there then"""
    for answers in (
        [_record(5, b"\1b\0"), _record(1, b"\xc0\0\2\1")],
        [_record(1, b"\xc0\0\2\1"), _record(5, b"\1b\0")],
    ):
        assert parse_response(_response(answers), 7, b"a", A).find(b"a", A)[0] == [b"192.0.2.1"]


def test_aliases_in_a_circle_come_to_an_end():
    circle = _response([_record(5, b"\1b\0"), _record(5, b"\xc0\x0c", name=b"\1b\0")])
    assert parse_response(circle, 7, b"a", A).find(b"a", A)[0] == []
    itself = _response([_record(5, b"\xc0\x0c")])
    assert parse_response(itself, 7, b"a", A).find(b"a", A)[0] == []


def test_long_chain_of_aliases_is_given_up():
    def chain(links):
        names = [b"a"] + [b"n%d" % i for i in range(links)]
        wire = [bytes((len(name),)) + name + b"\0" for name in names]
        records = [_record(5, wire[i + 1], name=wire[i]) for i in range(links)]
        records.append(_record(1, b"\xc0\0\2\1", name=wire[links]))
        data = _response(records)
        return parse_response(data, 7, b"a", A).find(b"a", A)[0]

    assert chain(7) == [b"192.0.2.1"]
    assert chain(8) == []


def test_ipv6_address_is_read():
    question = b"\1a\0\0\x1c\0\1"
    data = _response([_record(28, b"\x20\x01\x0d\xb8" + b"\0" * 11 + b"\x01")], question)
    assert parse_response(data, 7, b"a", AAAA).find(b"a", AAAA)[0] == [b"2001:db8:0:0:0:0:0:1"]


def test_srv_target_of_the_root_is_an_empty_name():
    data = _response([_record(33, b"\0\0\0\0\0\0\0")], b"\1a\0\0\x21\0\1")
    assert parse_response(data, 7, b"a", SRV).find(b"a", SRV)[0] == [(0, 0, 0, b"")]


def test_no_such_name_and_a_truncated_response_are_told():
    for flags, rcode, truncated in (
        (b"\x81\x80", 0, False),
        (b"\x81\x83", 3, False),
        (b"\x83\x80", 0, True),
        (b"\x85\x8f", 15, False),
    ):
        response = parse_response(_response([], flags=flags), 7, b"a", A)
        assert (response.rcode, response.truncated) == (rcode, truncated)


def test_records_of_others_and_of_other_types_and_classes_are_passed_over():
    answers = [
        _record(1, b"\xc0\0\2\1", name=b"\1b\0"),
        _record(16, b"\4text"),
        _record(1, b"\xc0\0\2\2", group=b"\0\3"),
        _record(1, b"\xc0\0\2\3"),
    ]
    assert parse_response(_response(answers), 7, b"a", A).find(b"a", A)[0] == [b"192.0.2.3"]


def test_ttl_is_a_day_at_most_and_a_negative_one_is_none():
    for ttl, expected in ((b"\x7f\xff\xff\xff", 86400), (b"\x80\0\0\0", 0), (b"\0\0\0\5", 5)):
        data = _response([_record(1, b"\xc0\0\2\1", ttl=ttl)])
        assert parse_response(data, 7, b"a", A).find(b"a", A)[1] == expected


def test_response_to_another_question_is_refused():
    good = _response([_record(1, b"\xc0\0\2\1")])
    parse_response(good, 7, b"a", A)
    raises(ParseError, parse_response, good, 8, b"a", A)
    raises(ParseError, parse_response, good, 7, b"b", A)
    raises(ParseError, parse_response, good, 7, b"a", AAAA)
    raises(ParseError, parse_response, _response([], flags=b"\x01\x80"), 7, b"a", A)  # a query
    raises(ParseError, parse_response, _response([], flags=b"\xa9\x80"), 7, b"a", A)  # another opcode
    raises(ParseError, parse_response, good[:4] + b"\0\2" + good[6:], 7, b"a", A)


def test_pointers_that_do_not_lead_back_are_refused():
    for name in (
        b"\xc0\x13",  # at itself
        b"\xc0\x15",  # forward
        b"\1b\xc0\x13",  # at the name it ends
        b"\xff\xff",  # beyond the end
        b"\xc0",  # cut
    ):
        raises(ParseError, parse_response, _response([_record(1, b"\xc0\0\2\1", name=name)]), 7, b"a", A)


def test_pointers_to_each_other_are_refused():
    # The second record's name leads back into the first one's data, which leads to the second one's name.
    first = _record(16, b"\xc0\x21")
    second = _record(1, b"\xc0\0\2\1", name=b"\xc0\x1f")
    raises(ParseError, parse_response, _response([first, second]), 7, b"a", A)


def test_names_of_253_octets_and_labels_of_63_are_read():
    """RFC 1035 section 2.3.4; one octet more is refused"""
    for labels in ([63, 63, 63, 61], [1] * 127):
        for more in (0, 1):
            sizes = list(labels)
            sizes[-1] += more
            name = b".".join([b"x" * size for size in sizes])
            question = b"".join([bytes((size,)) + b"x" * size for size in sizes]) + b"\0\0\1\0\1"
            if more:
                raises(ParseError, parse_response, _response([], question), 7, name, A)
            else:
                assert len(name) == 253
                assert parse_response(_response([], question), 7, name, A).rcode == 0


def test_pointers_lead_far():
    """RFC 1035 section 4.1.4: 14 bits; what looks like 13 is none"""
    text = _record(16, b"x" * 250)
    for count in (1, 2, 3, 5):
        at = 12 + len(_QUESTION) + count * len(text)
        pointer = bytes((0xC0 | at >> 8, at & 255))
        answers = [text] * count + [_record(1, b"\xc0\0\2\1", name=b"\1b\0"), _record(1, b"\xc0\0\2\2", name=pointer)]
        assert parse_response(_response(answers), 7, b"a", A).find(b"b", A)[0] == [b"192.0.2.1", b"192.0.2.2"]


def test_label_types_that_were_never_defined_are_refused():
    """RFC 1035 section 4.1.4: 10 and 01; also where they would lead to a name if they were a pointer"""
    head = _record(16, b"")[:-2]
    before = b"x" * (0x3F00 - 12 - len(_QUESTION) - len(head) - 2)
    size = len(before) + 3
    for first in (0x40, 0x80, 0xBF):
        record = _record(1, b"\xc0\0\2\1", name=bytes((first, 0)))
        data = _response([head, bytes((size >> 8, size & 255)), before, b"\1b\0", record], count=2)
        assert data[0x3F00 : 0x3F00 + 3] == b"\1b\0"
        raises(ParseError, parse_response, data, 7, b"a", A)


def test_names_of_more_than_253_octets_are_refused():
    raises(ParseError, parse_response, _response([_record(1, b"\xc0\0\2\1", name=b"\1b" * 128 + b"\0")]), 7, b"a", A)
    for end in (b"", b"\0"):
        long = _record(1, b"\xc0\0\2\1", name=b"\x40" + b"b" * 64 + end)
        raises(ParseError, parse_response, _response([long]), 7, b"a", A)


def test_records_of_the_least_size_are_passed_over():
    """RFC 1035 section 4.1.3: of the root, without data, up to the last octet"""
    least = _record(16, b"", name=b"\0")
    address = _record(1, b"\xc0\0\2\1")
    for answers, found in (([least], []), ([least] * 40, []), ([address] + [least] * 40, [b"192.0.2.1"])):
        assert parse_response(_response(answers), 7, b"a", A).find(b"a", A)[0] == found


def test_counts_beyond_the_datagram_are_refused_at_once():
    good = _response([_record(1, b"\xc0\0\2\1")])
    raises(ParseError, parse_response, good[:6] + b"\xff\xff" + good[8:], 7, b"a", A)
    raises(ParseError, parse_response, _response([_record(1, b"\xc0\0\2\1")], count=2), 7, b"a", A)


def test_response_cut_anywhere_is_refused():
    for data, number, name, kind in (
        (_SRV_RESPONSE, 0x1234, b"_sip._udp.example.org", SRV),
        (_ALIAS_RESPONSE, 7, b"www.example.org", A),
    ):
        for end in range(len(data)):
            raises(ParseError, parse_response, data[:end], number, name, kind)


def test_record_data_of_another_size_than_its_type_has_is_refused():
    for kind, data in ((1, b"\xc0\0\2"), (1, b"\xc0\0\2\1\1"), (1, b"\xc0\0\2\1" * 4), (5, b"\1b\0\0"), (5, b"")):
        raises(ParseError, parse_response, _response([_record(kind, data)]), 7, b"a", A)
    for data in (b"\0\0\0\0\0\0", b"\0\0\0\0\0\0\1b\0\0"):
        raises(ParseError, parse_response, _response([_record(33, data)], b"\1a\0\0\x21\0\1"), 7, b"a", SRV)


def test_mutated_responses_are_read_or_refused_and_nothing_else():
    seed = 20260101
    outcomes = [0, 0]
    for turn in range(1500):
        data = bytearray(_SRV_RESPONSE if turn % 2 else _ALIAS_RESPONSE)
        for _ in range(1 + turn % 3):
            seed = (seed * 16807) % 2147483647
            data[seed % len(data)] = (0xC0, 0xFF, 0, 0x0C, seed >> 8 & 255)[seed // 256 % 5]
        name, kind = (b"_sip._udp.example.org", SRV) if turn % 2 else (b"www.example.org", A)
        try:
            parse_response(bytes(data), 0x1234 if turn % 2 else 7, name, kind).find(name, kind)
            outcomes[0] += 1
        except ParseError:
            outcomes[1] += 1
    assert outcomes[0] > 100 and outcomes[1] > 100
