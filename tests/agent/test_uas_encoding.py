"""R3261-8.2-9, R3428-T1.4..R3428-T1.6: bodies that came packed, where the shell has what unpacks them."""

from agent.errors import ParseError
from tests.helpers import MESSAGE, NOW, UDP, changed, deliver, desk, only, raises, sent, with_body, with_field, without

OPTIONS = changed(without(b"Content-Type", with_body(b"")), b"MESSAGE sip", b"OPTIONS sip", b"1 MESSAGE", b"1 OPTIONS")


def inflate(packed, encoding):
    """Unpack, as the shells do: each octet of this packing stands for three."""
    if packed == b"bad":
        raise ParseError("a body that can be unpacked was expected")
    if packed == b"bomb":
        raise ParseError("a shorter body was expected", 413)
    return encoding + b" ".join([b"%c" % c * 3 for c in packed])


def packed(encoding, body=b"abc"):
    return with_field(b"Content-Encoding: " + encoding, with_body(body))


def test_the_application_gets_what_was_packed():
    """R0-P15: by each of its names; the answer is repeated as ever"""
    for encoding, name in (
        (b"deflate", b"deflate"),
        (b"GZIP", b"gzip"),
        (b"x-gzip", b"gzip"),
        (b"deflate\r\nContent-Disposition: render;handling=optional", b"deflate"),
    ):
        ua = desk(inflate=inflate)
        event = only(ua.receive(packed(encoding), UDP, NOW))
        assert event.message.body == name + b"aaa bbb ccc"
        assert (event.message.missing(), event.sender) == (0, b"sip:boiler@example.org")
        answer = only(ua.respond(event, 200, NOW))
        assert only(ua.receive(packed(encoding), UDP, NOW)).data == answer.data
    without_length = without(b"Content-Length", packed(b"deflate"))
    assert only(desk(inflate=inflate).receive(without_length, UDP, NOW)).message.body == b"deflateaaa bbb ccc"
    assert only(desk(inflate=inflate).receive(packed(b"identity"), UDP, NOW)).message.body == b"abc"
    assert only(desk(inflate=inflate).receive(packed(b"deflate", b""), UDP, NOW)).message.body == b""


def test_a_body_that_cannot_be_unpacked_is_refused():
    for body, status in ((b"bad", 400), (b"bomb", 413)):
        ua = desk(inflate=inflate)
        first = only(ua.receive(packed(b"deflate", body), UDP, NOW))
        assert sent([first]).status == status
        assert only(ua.receive(packed(b"deflate", body), UDP, NOW)) == first


def test_a_request_that_memory_ran_out_for_is_no_repetition_when_it_comes_again():
    """Else it would be met with silence for ever"""
    missing = [MemoryError()]

    def unpacked(octets, encoding):
        if missing:
            raise missing.pop()
        return inflate(octets, encoding)

    ua = desk(inflate=unpacked)
    raises(MemoryError, ua.receive, packed(b"deflate"), UDP, NOW)
    assert ua.wait_ms(NOW) is None
    assert only(ua.receive(packed(b"deflate"), UDP, NOW)).message.body == b"deflateaaa bbb ccc"


def test_accept_encoding_says_what_can_be_unpacked():
    """R3261-8.2-14: in a 415 for an encoding and in the answer to OPTIONS, and in no other"""
    for options, named in (({}, b"identity"), ({"inflate": inflate}, b"deflate, gzip, identity")):
        for data, status in ((packed(b"br"), 415), (packed(b"deflate, gzip"), 415), (OPTIONS, 200)):
            response = sent(desk(**options).receive(data, UDP, NOW))
            assert (response.status, response.get(b"accept-encoding")) == (status, named)
        image = changed(packed(b"deflate"), b"text/plain", b"image/png")
        response = sent(desk(**options).receive(image, UDP, NOW))
        assert response.status == 415
        if options:
            assert response.get(b"accept-encoding") is None and response.get(b"accept") == b"text/plain"
        ua = desk(**options)
        response = sent(ua.respond(only(ua.receive(MESSAGE, UDP, NOW)), 200, NOW))
        assert response.get(b"accept-encoding") is None
    assert deliver(desk(), packed(b"deflate"))[0] == 415
