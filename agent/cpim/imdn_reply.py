"""Disposition notifications (RFC 5438), the answering side: which ones a message asks for, and writing them."""

from ..headers.values import media_type
from .imdn import COMPOSING, ENTITIES, MAX_ID, NAMESPACE, XML, identify
from .reader import Cpim
from .writer import build_cpim, format_datetime

STATUSES = (b"delivered", b"failed", b"forbidden", b"error")  # of a delivery, RFC 5438 section 7.2.1.1
_DOCUMENT = (
    b'%s<imdn xmlns="urn:ietf:params:xml:ns:imdn"><message-id>%s</message-id><datetime>%s</datetime>%s'
    b"<delivery-notification><status><%s/></status></delivery-notification></imdn>"
)
_DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>\r\n'
_RECIPIENTS = b"<recipient-uri>%s</recipient-uri><original-recipient-uri>%s</original-recipient-uri>"


def message_id(cpim: Cpim) -> bytes | None:
    """Return the Message-ID of a message; None when it has none, or one of more than MAX_ID octets."""
    value = cpim.get(b"Message-ID", NAMESPACE)
    return value if value and len(value) <= MAX_ID else None


def asked(cpim: Cpim) -> list:
    """Return which notifications a message asks for: positive-delivery, negative-delivery, processing, display.

    A message without a Message-ID asks for none, and nobody answers a notification (RFC 5438 sections 7.1.1.2, 8).
    """
    value = cpim.get(b"Disposition-Notification", NAMESPACE)
    if value is None or message_id(cpim) is None or media_type(cpim.content_type) in (XML, COMPOSING):
        return []
    return [word[: (word + b";").find(b";")].strip().lower() for word in value.split(b",")]


def build_notification(
    original: Cpim, status: bytes, sender: bytes, to: bytes, own_id: bytes, unix: int, is_brief: bool = False
) -> bytes:
    """Return a notification, as a message/cpim body, that answers the message original.

    status: one of STATUSES. sender: our URI, to which the message came; to: the URI of the message's sender.
    own_id: a fresh Message-ID for the notification. unix: the time, in Unix seconds. is_brief: without what the schema
    of RFC 5438 section 11.1 makes optional, some 200 octets.
    """
    declaration = recipients = b""
    if not is_brief:
        recipient = _encode(original.address(b"To") or sender)
        declaration, recipients = _DECLARATION, _RECIPIENTS % (recipient, recipient)
    document = _DOCUMENT % (
        declaration,
        _encode(message_id(original) or b""),
        _encode(original.get(b"DateTime") or format_datetime(unix)),
        recipients,
        status,
    )
    return build_cpim(sender, to, document, XML, unix, extra=identify(own_id), disposition=b"notification")


def _encode(text: bytes) -> bytes:
    text = text.replace(b"&", b"&amp;")
    for sign, entity in ENTITIES[:4]:
        text = text.replace(sign, entity)
    return text
