"""Disposition notifications (RFC 5438): asking for one in message/cpim headers, giving one, reading one.

A notification is a small XML document. It is written by a template and read by searching for its tags: no XML library
on a board, no entities but the five of XML, and no DOCTYPE.
"""

from agent.compat import const
from agent.cpim import Cpim, build_cpim, format_datetime
from agent.errors import ParseError
from agent.headers import media_type

NAMESPACE = b"urn:ietf:params:imdn"
CPIM = b"message/cpim"
XML = b"message/imdn+xml"
COMPOSING = b"application/im-iscomposing+xml"
STATUSES = (b"delivered", b"failed", b"forbidden", b"error")  # of a delivery, RFC 5438 section 7.2.1.1
_KINDS = (b"delivery-notification", b"processing-notification", b"display-notification")
_MAX_DOCUMENT = const(8192)
_MAX_ID = const(256)
_ENTITIES = ((b"<", b"&lt;"), (b">", b"&gt;"), (b'"', b"&quot;"), (b"'", b"&apos;"), (b"&", b"&amp;"))
_DOCUMENT = (
    b'<?xml version="1.0" encoding="UTF-8"?>\r\n<imdn xmlns="urn:ietf:params:xml:ns:imdn"><message-id>%s</message-id>'
    b"<datetime>%s</datetime><recipient-uri>%s</recipient-uri><original-recipient-uri>%s</original-recipient-uri>"
    b"<delivery-notification><status><%s/></status></delivery-notification></imdn>"
)


def identify(message_id: bytes) -> bytes:
    """Return the message headers that give a message an identity of its own, whatever Call-IDs it travels under."""
    return b"NS: imdn <%s>\r\nimdn.Message-ID: %s\r\n" % (NAMESPACE, message_id)


def ask(message_id: bytes) -> bytes:
    """Return the message headers that ask for a notification of delivery or failure (RFC 5438 section 7.1.1)."""
    return identify(message_id) + b"imdn.Disposition-Notification: positive-delivery, negative-delivery\r\n"


def message_id(cpim: Cpim) -> bytes | None:
    """Return the Message-ID of a message, None without one that is a line of text of a sensible length."""
    value = cpim.get(b"Message-ID", NAMESPACE)
    return value if value and len(value) <= _MAX_ID else None


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


def parse_notification(document: bytes) -> tuple[bytes, bytes, bytes]:
    """Return (Message-ID, kind, status) of a message/imdn+xml document.

    kind: b"delivery", b"processing" or b"display". status: the name of the element in status, such as b"delivered".
    Raises ParseError for one that lacks these, is longer than 8192 octets or has a DOCTYPE.
    """
    if len(document) > _MAX_DOCUMENT:
        raise ParseError("a notification of 8192 octets at most was expected")
    found = kind = status = b""
    in_status = False
    at = document.find(b"<")
    while at >= 0:
        comment = document[at : at + 4] == b"<!--"
        end = document.find(b"-->" if comment else b">", at)
        if end < 0 or (document[at + 1 : at + 2] == b"!" and not comment):
            break
        following = document.find(b"<", end)
        name = _local_name(document[at + 1 : end])
        if name == b"message-id" and not found:
            found = _decode(document[end + 1 : max(following, end)].strip())
        elif name in _KINDS:
            kind = name[: name.find(b"-")]
        elif name == b"status":
            in_status = True
        elif name and in_status and not status:
            status = name
        at = following
    if not found or len(found) > _MAX_ID or not kind or not status:
        raise ParseError("a notification with a message-id, a kind and a status was expected")
    return found, kind, status


def _local_name(tag: bytes) -> bytes:
    """Return the name in a start tag without its prefix; b"" for an end tag, a comment or a processing instruction."""
    words = tag.rstrip(b"/").split(None, 1)
    if not words or tag[:1] in b"/!? \t\r\n":
        return b""
    name = words[0]
    return name[name.find(b":") + 1 :]


def _encode(text: bytes) -> bytes:
    text = text.replace(b"&", b"&amp;")
    for sign, entity in _ENTITIES[:4]:
        text = text.replace(sign, entity)
    return text


def _decode(text: bytes) -> bytes:
    for sign, entity in _ENTITIES:
        text = text.replace(entity, sign)
    return text
