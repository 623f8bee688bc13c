from agent.headers.uri_equality import equivalent
from agent.uri import parse_uri


def both_ways(one, other):
    one, other = parse_uri(one), parse_uri(other)
    assert equivalent(one, one) and equivalent(other, other)
    assert equivalent(one, other) == equivalent(other, one)
    return equivalent(one, other)


def test_uris_that_the_rfc_calls_equivalent_are():
    """R3261-19-1: the pairs of RFC 3261 section 19.1.4, and some of our own"""
    for one, other in (
        (b"sip:%61lice@atlanta.com;transport=TCP", b"sip:alice@AtlanTa.CoM;Transport=tcp"),
        (b"sip:carol@chicago.com", b"sip:carol@chicago.com;newparam=5"),
        (b"sip:carol@chicago.com", b"sip:carol@chicago.com;security=on"),
        (b"sip:carol@chicago.com;newparam=5", b"sip:carol@chicago.com;security=on"),
        (
            b"sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            b"sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            b"sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            b"sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
        (b"sip:a@b;x=%41b", b"sip:a@b;X=aB"),
        (b"sip:a@b;x", b"sip:a@b;x;y"),
        (b"sip:a@b?Subject=%78", b"sip:a@b?subject=x"),
        (b"sip:a%3bb@c", b"sip:a%3Bb@c"),
        (b"sip:a%00@c", b"sip:%61%00@c"),
        (b"sip:[2001:DB8::1]", b"sip:[2001:db8::1]"),
        (b"tel:+358-555", b"TEL:+358-555"),
    ):
        assert both_ways(one, other), (one, other)


def test_uris_that_the_rfc_calls_different_are():
    """R3261-19-1: the pairs of RFC 3261 section 19.1.4, and some of our own"""
    for one, other in (
        (b"SIP:ALICE@AtLanTa.CoM;Transport=udp", b"sip:alice@AtLanTa.CoM;Transport=UDP"),
        (b"sip:bob@biloxi.com", b"sip:bob@biloxi.com:5060"),
        (b"sip:bob@biloxi.com", b"sip:bob@biloxi.com;transport=udp"),
        (b"sip:bob@biloxi.com", b"sip:bob@biloxi.com:6000;transport=tcp"),
        (b"sip:carol@chicago.com", b"sip:carol@chicago.com?Subject=next%20meeting"),
        (b"sip:bob@phone21.boxesbybob.com", b"sip:bob@192.0.2.4"),
        (b"sip:carol@chicago.com;security=on", b"sip:carol@chicago.com;security=off"),
        (b"sip:a@b;x", b"sip:a@b;x=1"),
        (b"sip:a@b;maddr=c", b"sip:a@b;maddr=d"),
        (b"sip:a@b;user=phone", b"sip:a@b"),
        (b"sip:a@b;ttl=1", b"sip:a@b"),
        (b"sip:a@b?x=1", b"sip:a@b?x=2"),
        (b"sip:a@b?x=1", b"sip:a@b?x=1&x=1"),
        (b"sip:a@b?x=1", b"sip:a@b?y=1"),
        (b"sip:a:%41@b", b"sip:a:a@b"),
        (b"sip:a%3Bb@c", b"sip:a;b@c"),
        (b"sip:a%40b@c", b"sip:a%2540b@c"),
        (b"sip:b", b"sip:a@b"),
        (b"sip:a@b", b"sips:a@b"),
        (b"tel:+358-555", b"tel:+358-556"),
    ):
        assert not both_ways(one, other), (one, other)


def test_equivalence_is_not_handed_on():
    """R3261-19-1: two that equal a third need not equal each other"""
    plain = b"sip:carol@chicago.com"
    assert both_ways(plain, plain + b";security=on") and both_ways(plain, plain + b";security=off")
    assert not both_ways(plain + b";security=on", plain + b";security=off")
