"""Disposition notifications (RFC 5438) for who is asked: what a message wants to be told, and the answer."""

from ..headers.values import media_type
from .imdn import COMPOSING, ENTITIES, MAX_ID, NAMESPACE, XML, identify
from .reader import Cpim
from .writer import build_cpim, format_datetime

STATUSES = (b"delivered", b"failed", b"forbidden", b"error")  # of a delivery, RFC 5438 section 7.2.1.1
_DOCUMENT = (
    b'<?xml version="1.0" encoding="UTF-8"?>\r\n<imdn xmlns="urn:ietf:params:xml:ns:imdn"><message-id>%s</message-id>'
    b"<datetime>%s</datetime><recipient-uri>%s</recipient-uri><original-recipient-uri>%s</original-recipient-uri>"
    b"<delivery-notification><status><%s/></status></delivery-notification></imdn>"
)


def message_id(cpim: Cpim) -> bytes | None:
    """Return the Message-ID of a message, None without one that is a line of text of a sensible length."""
    value = cpim.get(b"Message-ID", NAMESPACE)
    return value if value and len(value) <= MAX_ID else None


def asked(cpim: Cpim) -> list:
    """Return what a message asks to be told, of positive-delivery, negative-delivery, processing and display.

    Nothing without a Message-ID, and nothing for what is itself a notification (RFC 5438 sections 7.1.1.2, 8).
    """
    value = cpim.get(b"Disposition-Notification", NAMESPACE)
    if value is None or message_id(cpim) is None or media_type(cpim.content_type) in (XML, COMPOSING):
        return []
    return [word[: (word + b";").find(b";")].strip().lower() for word in value.split(b",")]


def build_notification(original: Cpim, status: bytes, sender: bytes, to: bytes, own_id: bytes, unix: int) -> bytes:
    """Return the message/cpim body that tells what became of a message that asked.

    status: of STATUSES. sender: the URI that the message came to; to: that of who sent it. own_id: a fresh Message-ID.
    unix: the time, in Unix seconds.
    """
    recipient = _encode(original.address(b"To") or sender)
    document = _DOCUMENT % (
        _encode(message_id(original) or b""),
        _encode(original.get(b"DateTime") or format_datetime(unix)),
        recipient,
        recipient,
        status,
    )
    return build_cpim(sender, to, document, XML, unix, extra=identify(own_id), disposition=b"notification")


def _encode(text: bytes) -> bytes:
    text = text.replace(b"&", b"&amp;")
    for sign, entity in ENTITIES[:4]:
        text = text.replace(sign, entity)
    return text
