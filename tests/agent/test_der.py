"""R8551-2: what is read of ASN.1, however it is encoded, and what nonsense is stopped by."""

from binascii import unhexlify

from agent.cms.der import INTEGER, OCTETS, OID, SEQUENCE, SET, encode
from agent.cms.der_reader import decode
from agent.errors import ParseError
from tests.helpers import Dice, raises

# openssl asn1parse -genconf with a SEQUENCE of INTEGER 1 and [0] OCTET STRING, and its twin in BER by hand
DEFINITE = unhexlify("300e020101a0090407616c61726d2031")
INDEFINITE = unhexlify("3080020101a08024800405616c61726d0402203100000000" + "0000")


def test_an_element_is_written_with_the_shortest_length():
    assert encode(OCTETS, b"ab", b"c") == b"\x04\x03abc"
    assert encode(SEQUENCE) == b"\x30\x00"
    for size, head in ((127, b"\x04\x7f"), (128, b"\x04\x81\x80"), (255, b"\x04\x81\xff"), (256, b"\x04\x82\x01\x00")):
        assert encode(OCTETS, b"x" * size) == head + b"x" * size
        assert decode(head + b"x" * size).octets == b"x" * size


def test_definite_and_indefinite_lengths_read_the_same():
    for data in (DEFINITE, INDEFINITE):
        root = decode(data)
        assert (root.tag, root.raw) == (SEQUENCE, data)
        assert root.take(INTEGER).octets == b"\x01"
        assert root.maybe(SET) is None
        assert [part.tag for part in root.rest()] == [0xA0]
        assert root.take(0xA0).octets == b"alarm 1"
        assert root.rest() == [] and root.maybe(0xA0) is None


def test_a_path_of_tags_leads_inside():
    assert decode(DEFINITE).parts[1].take(OCTETS).octets == b"alarm 1"
    root = decode(encode(SEQUENCE, encode(SET, encode(OID, b"\x2a\x03"))))
    assert root.take(SET, OID).octets == b"\x2a\x03"
    raises(ParseError, decode(DEFINITE).take, SET)
    raises(ParseError, decode(DEFINITE).take, INTEGER, OID)
    raises(ParseError, decode(b"\x30\x00").take, INTEGER)


def test_a_string_in_pieces_is_a_string_even_without_any():
    for data in (b"\x24\x80\x04\x02al\x24\x05\x04\x03arm\0\0", b"\x04\x05alarm"):
        root = decode(encode(SEQUENCE, data))
        assert root.take(OCTETS).octets == b"alarm"
    assert decode(b"\x24\x80\0\0").octets == b""


def test_lengths_that_are_not_the_shortest_are_read():
    assert decode(b"\x04\x84\x00\x00\x00\x01x").octets == b"x"


def test_what_is_cut_short_at_any_octet_is_refused():
    for data in (DEFINITE, INDEFINITE):
        for size in range(len(data)):
            raises(ParseError, decode, data[:size])


def test_octets_behind_the_element_are_refused():
    raises(ParseError, decode, DEFINITE + b"\0")


def test_bombs_are_stopped():
    cases = (
        b"\x30\x80" * 4000,  # depth without end
        b"\x30\x80" * 17 + b"\0\0" * 17,
        b"\x30\x82\x40\x00" + b"\x05\x00" * 8192,  # elements
        b"\x24\x80" + b"\x04\x00" * 8192 + b"\0\0",
        b"\x04\x84\xff\xff\xff\xffx",  # lengths
        b"\x04\xff" + b"\xff" * 127,
        b"\x04\xff" + b"\x00" * 20,
        b"\x04\x83\x10\x00\x00x",
        b"\x30\x03\x04\x7fx",  # longer than what it is in
        b"\x04\x80x\0\0",  # a primitive one without a length
        b"\x1f\x81\x01\x00",  # tags of several octets
        b"\x30\x80\x04\x01x\0",
    )
    for data in cases:
        raises(ParseError, decode, data)
    assert len(decode(b"\x30\x82\x03\xe6" + b"\x05\x00" * 499).parts) == 499
    assert decode(b"\x30\x80" * 16 + b"\0\0" * 16).tag == SEQUENCE


def test_definite_lengths_are_as_deep_as_indefinite_ones():
    """R8551-2: 16 levels"""
    data = b""
    for _ in range(16):
        data = encode(SEQUENCE, data)
    assert decode(data).raw == data
    raises(ParseError, decode, encode(SEQUENCE, data))


def test_whatever_the_octets_nothing_but_parse_error_is_raised():
    dice = Dice(8551)
    for _ in range(600):
        data = bytearray(INDEFINITE if dice.roll(2) else DEFINITE)
        for _ in range(1 + dice.roll(3)):
            data[dice.roll(len(data))] = dice.roll(256)
        try:
            decode(bytes(data)).octets  # noqa: B018
        except ParseError:
            continue
