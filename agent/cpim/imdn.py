"""Disposition notifications (RFC 5438), the asking side: the headers to ask with, and reading a notification.

A notification is a small XML document. We search it for the tags we need, since a board has no XML library. Entities
other than XML's five and a DOCTYPE are not read. The answering side is agent.cpim.imdn_reply.
"""

from ..compat import const
from ..errors import ParseError
from .identity import CPIM as CPIM
from .identity import NAMESPACE as NAMESPACE
from .identity import identify as identify

XML = b"message/imdn+xml"
COMPOSING = b"application/im-iscomposing+xml"
_KINDS = (b"delivery-notification", b"processing-notification", b"display-notification")
_MAX_DOCUMENT = const(8192)
MAX_ID = 256  # octets
ENTITIES = ((b"<", b"&lt;"), (b">", b"&gt;"), (b'"', b"&quot;"), (b"'", b"&apos;"), (b"&", b"&amp;"))


def ask(message_id: bytes) -> bytes:
    """Return the message headers that ask for a notification of delivery or failure (RFC 5438 section 7.1.1)."""
    return identify(message_id) + b"imdn.Disposition-Notification: positive-delivery, negative-delivery\r\n"


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
    if not found or len(found) > MAX_ID or not kind or not status:
        raise ParseError("a notification with a message-id, a kind and a status was expected")
    return found, kind, status


def _local_name(tag: bytes) -> bytes:
    """Return the name in a start tag without its prefix; b"" for an end tag, a comment or a processing instruction."""
    words = tag.rstrip(b"/").split(None, 1)
    if not words or tag[:1] in b"/!? \t\r\n" or max(words[0]) > 126:  # not one of the names we look for
        return b""
    name = words[0]
    return name[name.find(b":") + 1 :]


def _decode(text: bytes) -> bytes:
    for sign, entity in ENTITIES:
        text = text.replace(entity, sign)
    return text
