"""Messages that are no command, and bodies that aren't just text/plain in UTF-8. Loaded by the first of them."""

from agent.headers.values import media_type
from mote.log import WARNING
from mote.net.sockets import now

_UTF_8 = (b"", b"utf-8", b"utf8", b"us-ascii")


def ignore(mote: object, event: object, status: int, reason: str) -> None:
    """Answer a MessageReceived, and log why it doesn't run anything."""
    phrase = reason.encode() if status != 200 and status != 403 else b""
    mote.shell.carry_out(mote.agent.respond(event, status, now(), phrase))
    sender, address = event.sender.decode(), event.flow[1].decode()
    mote.log(WARNING, "message_ignored", sender=sender, address=address, reason=reason)


def read(message: object) -> tuple:
    """Return (text, None), or (None, (status, reason)) for a body that isn't text in UTF-8."""
    body = message.body
    content_type = message.get(b"content-type") or b""
    if media_type(content_type) not in (b"text/plain", b""):
        return None, (200, "no text")  # it is for us to leave out (Content-Disposition, RFC 3261 section 20.11)
    charset = b"".join(content_type.lower().split()).partition(b";charset=")[2].partition(b";")[0].strip(b'"')
    if charset not in _UTF_8 and body and (max(body) > 127 or not min(body)):
        return None, (415, "no text in UTF-8")  # the same octets might be other words
    try:
        return body.decode(), None
    except UnicodeError:
        return None, (400, "no text in UTF-8")
