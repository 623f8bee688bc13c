"""R0-P10: how many octets may leave for somebody who has not shown that he is there."""

from sipmote.sip.rations import Rations

STRANGER = (b"UDP", b"192.0.2.7", 5060)
REQUEST = b"MESSAGE sip:a@b SIP/2.0\r\nVia: x\r\nCall-ID: one\r\n\r\n"
COMPACT = b"MESSAGE sip:a@b SIP/2.0\r\nv: x\r\ni:one\r\n\r\n"


def test_a_ration_is_used_up_by_all_transmissions_together() -> None:
    for request in (REQUEST, COMPACT):
        rations = Rations()
        rations.give(b"one", 2 * len(request))
        assert [rations.allow(request, STRANGER) for _ in range(4)] == [True, True, False, False]
        rations.end(b"one")
        assert rations.allow(request, STRANGER)


def test_only_what_has_a_ration_is_held_back() -> None:
    rations = Rations()
    rations.give(b"one", 0)
    assert not rations.allow(REQUEST, STRANGER)
    assert rations.allow(REQUEST.replace(b"one", b"two"), STRANGER)
    assert rations.allow(b"SIP/2.0 200 OK\r\nCall-ID: two\r\n\r\n", STRANGER)
    assert rations.allow(REQUEST, (b"TCP", *STRANGER[1:]))


def test_who_has_shown_that_he_is_there_gets_all() -> None:
    rations = Rations()
    rations.give(b"one", 0)
    rations.prove((*STRANGER, "a socket"))
    assert rations.allow(REQUEST, STRANGER)
    assert not rations.allow(REQUEST, (b"UDP", b"192.0.2.7", 5061))
    for port in range(5000):  # they are forgotten in their order
        rations.prove((b"UDP", b"192.0.2.8", port))
    assert not rations.allow(REQUEST, STRANGER)
