"""Is a message well-formed in all its lines? For requests, and for responses that are read further than their Via.

Apart from agent.message, since a board that gets its 200 needs none of it.
"""

from ..errors import ParseError
from ..message import SHORT, Message

_FULL = {b"%c" % SHORT[name]: name for name in SHORT}


def check(message: Message) -> list[bytes]:
    """Return the name of each field, in order, in full and in lower case, of a message that is well-formed.

    Raises ParseError, with the status that a request like this deserves, for what the message has as its fault, an
    octet of a line's end that stands alone, or a line that is no header field (RFC 3261 section 7.3).
    """
    if message.fault is not None:
        raise ParseError(message.fault[0], message.fault[1])
    data = message.data
    names = []
    for i in range(len(message.lines) - 1):
        at = message.lines[i]
        colon = data.find(b":", at, message.lines[i + 1])
        name = b"" if colon < 0 else data[at:colon].rstrip().lower()
        if not name or name.find(b" ") >= 0:
            raise ParseError("a header field name and a colon were expected")
        names.append(_FULL.get(name, name))
    ends = data.count(b"\r\n", 0, message.body_at)
    if data.count(b"\n", 0, message.body_at) != ends or data.count(b"\r", 0, message.body_at) != ends:
        raise ParseError("CRLF at each line's end and no CR or LF elsewhere was expected")
    return names
