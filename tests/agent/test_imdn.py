"""R3428-4.3, R3428-4.10: disposition notifications (RFC 5438) asked for, given and read; automata that stay silent."""

from agent.cpim import imdn
from agent.cpim import imdn_reply as receipt
from agent.cpim.reader import parse_cpim
from agent.cpim.writer import build_cpim
from agent.errors import ParseError
from tests.helpers import raises

ALICE = b"sip:alice@example.com"
BOB = b"sip:bob@example.com"
XML = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<imdn xmlns="urn:ietf:params:xml:ns:imdn">\n'
    b"  <message-id>34jk324j</message-id>\n  <datetime>2008-04-04T12:16:49-05:00</datetime>\n"
    b"  <recipient-uri>im:bob@example.com</recipient-uri>\n"
    b"  <original-recipient-uri\n      >im:bob@example.com</original-recipient-uri>\n"
    b"  <delivery-notification>\n    <status>\n      <delivered/>\n    </status>\n  </delivery-notification>\n</imdn>\n"
)  # as in RFC 5438 section 7.2.1.1


def asking(message_id=b"34jk324j", unix=976743600, content_type=b"text/plain"):
    return parse_cpim(build_cpim(ALICE, BOB, b"hi", content_type, unix, extra=imdn.ask(message_id)))


def test_a_message_asks_to_be_told_of_its_delivery():
    cpim = asking()
    assert receipt.message_id(cpim) == b"34jk324j"
    assert receipt.asked(cpim) == [b"positive-delivery", b"negative-delivery"]


def test_the_prefix_of_a_peer_and_its_parameters_make_no_difference():
    cpim = parse_cpim(
        b"NS: i <urn:ietf:params:imdn>\r\ni.Message-ID: 1\r\n"
        b"i.Disposition-Notification: Display, positive-delivery;x=y,processing\r\n\r\n\r\nhi"
    )
    assert receipt.asked(cpim) == [b"display", b"positive-delivery", b"processing"]


def test_nothing_is_asked_without_a_namespace_or_a_sensible_message_id():
    for text in (
        b"Message-ID: 1\r\nDisposition-Notification: positive-delivery\r\n",
        b"imdn.Message-ID: 1\r\nimdn.Disposition-Notification: positive-delivery\r\n",
        b"NS: imdn <urn:ietf:params:imdn>\r\nimdn.Disposition-Notification: positive-delivery\r\n",
        b"NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: \r\nimdn.Disposition-Notification: positive-delivery\r\n",
        imdn.ask(b"x" * 257),
        b"NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: 1\r\n",
    ):
        assert receipt.asked(parse_cpim(text + b"\r\n\r\nhi")) == []


def test_an_acknowledgement_is_never_acknowledged():
    for content_type in (b"message/imdn+xml", b"Message/IMDN+XML; charset=utf-8", b"application/im-iscomposing+xml"):
        assert receipt.asked(asking(content_type=content_type)) == []


def test_a_notification_tells_whose_and_what_became_of_it():
    for status in receipt.STATUSES:
        body = receipt.build_notification(asking(b"a<b&c"), status, BOB, ALICE, b"own", 976743700)
        cpim = parse_cpim(body)
        assert cpim.address(b"From") == BOB
        assert cpim.address(b"To") == ALICE
        assert cpim.unix() == 976743700
        assert cpim.content_type == b"message/imdn+xml"
        assert cpim.mime[1] == (b"content-disposition", b"notification")
        assert receipt.message_id(cpim) == b"own"
        assert receipt.asked(cpim) == []
        assert imdn.parse_notification(cpim.body) == (b"a<b&c", b"delivery", status)
        assert cpim.body.find(b"<datetime>2000-12-13T21:40:00Z</datetime>") > 0  # the message's, not our own
        assert cpim.body.find(b"<recipient-uri>sip:bob@example.com</recipient-uri>") > 0


def test_a_notification_names_the_recipient_that_the_message_names():
    """RFC 5438 section 7.2.1.1: a group, say, though it is one of its members who tells; without a To who tells."""
    for to, named in ((b"To: <sip:group@example.com>\r\n", b"sip:group@example.com"), (b"", BOB)):
        original = parse_cpim(to + imdn.ask(b"1") + b"\r\n\r\nhi")
        body = receipt.build_notification(original, b"delivered", BOB, ALICE, b"own", 0)
        assert body.find(b"<recipient-uri>%s</recipient-uri>" % named) > 0
        assert body.find(b"<original-recipient-uri>%s</original-recipient-uri>" % named) > 0


def test_a_notification_of_a_message_without_a_date_has_the_time_of_its_making():
    body = receipt.build_notification(asking(unix=None), b"delivered", BOB, ALICE, b"own", 0)
    assert body.find(b"<datetime>1970-01-01T00:00:00Z</datetime>") > 0


def test_the_documents_of_others_are_read():
    for document in (
        XML,
        XML.replace(b"\n", b"\r\n"),
        XML.replace(b"  ", b"").replace(b"\n", b""),
        XML.replace(b"<delivered/>", b"<delivered ></delivered>"),
        XML.replace(b"<delivered/>", b"<!-- <failed/> --><delivered/><failed/>"),
        XML.replace(b"</message-id>", b"</message-id><message-id>other</message-id>"),
        b"<i:imdn xmlns:i='urn:ietf:params:xml:ns:imdn'><i:message-id>\n34jk324j\n</i:message-id>"
        b"<i:delivery-notification><i:status><i:delivered/></i:status></i:delivery-notification></i:imdn>",
    ):
        assert imdn.parse_notification(document) == (b"34jk324j", b"delivery", b"delivered"), document
    display = XML.replace(b"delivery-n", b"display-n").replace(b"<delivered/>", b"<displayed/>")
    assert imdn.parse_notification(display) == (b"34jk324j", b"display", b"displayed")


def test_what_is_no_notification_is_refused():
    for document in (
        b"",
        b"<",
        b"<>",
        b"< />",
        b"hello",
        XML[:-80],
        XML.replace(b"34jk324j", b""),
        XML.replace(b"34jk324j", b"x" * 257),
        XML.replace(b"<delivered/>", b""),
        XML.replace(b"<delivered/>", b"<!-- <delivered/>"),
        XML.replace(b"delivery-notification", b"other"),
        XML.replace(b"<imdn", b"<!DOCTYPE imdn [<!ENTITY a 'b'>]><imdn"),
        XML.replace(b"<delivered/>", b"<deliv\x7fred/>"),
        XML.replace(b"<delivered/>", b"<d\xc3\xa9livr\xc3\xa9/>"),
        XML + b" " * 8192,
    ):
        raises(ParseError, imdn.parse_notification, document)


def test_a_notification_has_8192_octets_at_most():
    padded = XML + b" " * (8192 - len(XML))
    assert imdn.parse_notification(padded) == (b"34jk324j", b"delivery", b"delivered")
    raises(ParseError, imdn.parse_notification, padded + b" ")
