"""R3261-19-1, R3261-19-4, R3428-8.1: a plain target is read without the grammar, and as the grammar reads it."""

from agent import any_target
from agent.errors import UsageError
from agent.target import read_target
from tests.helpers import raises

PLAIN = (
    b"sip:desk@192.0.2.9",
    b"sip:desk@192.0.2.9:1",
    b"sip:Desk.2_a-b@Example.ORG:5060",
    b"sip:desk@example.org:65535",
    b"sip:d@h",
    b"sip:example.org",
    b"sip:desk@Example.org;transport=tcp",
    b"sip:192.0.2.9:5070;transport=tls",
    b"sip:desk@example.org;transport=udp",
)
NOT_PLAIN = (
    b"sips:desk@example.org",
    b"sip:desk@example.org:05060",
    b"sip:desk@example.org;transport=TCP",
    b"sip:desk@example.org;transport=tcp;lr",
    b"sip:desk@example.org;lr",
    b"sip:desk@[2001:db8::1]:5070",
    b"sip:%64esk@example.org",
    b"SIP:desk@example.org",
    b"sip:desk:secret@example.org",
    b"sip:desk@example.org?Subject=x",
)
WRONG = (
    b"sip:desk@example.org:65536",
    b"sip:desk@example.org:100000",
    b"sip:desk@example.org:",
    b"sip:desk@example.org:port",
    b"sip:desk@",
    b"sip:",
    b"sip:desk@example.org;",
    b"sip:desk@example.org;transport=sctp",
    b"sip:@example.org",
    b"sip:a@b@c",
    b"xsip:desk@example.org:5060@x",
)
TRANSPORTS = (b"UDP", b"TCP", b"TLS")


def test_a_plain_target_is_what_the_grammar_makes_of_it():
    for uri in PLAIN:
        for transport in TRANSPORTS:
            assert read_target(uri, transport, None) == any_target.read_any(uri, transport, None), uri


def test_a_plain_target_takes_no_grammar():
    def grammar(uri, transport, first_flow):
        raise AssertionError("the grammar was asked for %r" % uri)

    read_any = any_target.read_any
    any_target.read_any = grammar
    try:
        for uri in PLAIN:
            read_target(uri, b"UDP", None)
        for uri in NOT_PLAIN + WRONG:
            raises(AssertionError, read_target, uri, b"UDP", None)
    finally:
        any_target.read_any = read_any


def test_what_is_no_target_is_the_callers_error():
    for uri in WRONG:
        raises(UsageError, read_target, uri, b"UDP", None)


def test_the_default_port_is_that_of_the_transport():
    for transport, port in ((b"UDP", 5060), (b"TCP", 5060), (b"TLS", 5061)):
        assert read_target(b"sip:desk@example.org", transport, None)[3] == (transport, b"example.org", port)


def test_an_address_is_not_looked_up():
    """R3261-19-5: of either family, also where it begins with colons; nor is a maddr"""
    for uri in (
        b"sip:desk@192.0.2.9",
        b"sip:desk@[2001:db8::1]",
        b"sip:desk@[::1]:5070",
        b"sip:desk@example.org;maddr=192.0.2.9",
    ):
        assert read_target(uri, b"UDP", None)[4] is None, uri
    for uri in (b"sip:desk@example.org", b"sips:desk@example.org:5070"):
        assert read_target(uri, b"TLS", None)[4] == uri.replace(b"desk@", b"")
