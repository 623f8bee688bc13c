"""Where a UAS answers to, and whether: RFC 3261 sections 8.2, 17.2.3 and 18.2."""

from agent.events import Dropped
from tests.helpers import MESSAGE, NOW, UDP, changed, deliver, desk

_VIA = b"SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bK776sgdkse"


def test_a_request_without_a_readable_topmost_via_gets_no_answer():
    """R3261-8.2-1: whatever else is right or wrong with it"""
    for via in (
        b"",
        b",",
        b", " + _VIA,
        b"SIP/2.0/UDP",
        b"SIP/2.0/UDP ;branch=z9hG4bK1",
        b"SIP/2.0/UDP [::1;branch=z9hG4bK1",
        b"SIP/2.0/UDP 192.0.2.1:port",
        b"192.0.2.1;branch=z9hG4bK1",
        b"\r\nVia: " + _VIA,
    ):
        for data in (MESSAGE, changed(MESSAGE, b"1 MESSAGE", b"x MESSAGE")):
            assert [type(event) for event in desk().receive(changed(data, _VIA, via), UDP, NOW)] == [Dropped], via


def test_what_is_wrong_behind_the_address_of_the_topmost_via_is_a_400():
    """R3261-8.2-1: parameters, the next Via, or another version"""
    for via in (_VIA + b";;", _VIA + b", ,", _VIA + b",", _VIA + b';x="', b"SIP/3.0/UDP 192.0.2.1", _VIA + b"\r\nv:"):
        assert deliver(desk(), changed(MESSAGE, _VIA, via)) == (400, None), via
    assert deliver(desk(), changed(MESSAGE, _VIA, _VIA + b", what others wrote"))[0] == 200
