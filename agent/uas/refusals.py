"""The answers that a board seldom gives: all but the plain 200. Loaded by the first of them."""

from ..compat import const
from ..errors import ParseError
from ..headers.values import media_type, takes
from ..message import Message
from .response import response
from .server_transaction import ServerTransaction

_CAPABILITIES = b"Accept-Encoding: identity\r\nAccept-Language: *\r\nSupported:\r\n"
_ALLOW = b"Allow: MESSAGE, OPTIONS\r\n"
_KNOWN = (b"INVITE", b"BYE", b"REGISTER", b"SUBSCRIBE", b"NOTIFY", b"PUBLISH", b"INFO", b"PRACK", b"UPDATE", b"REFER")
_MAX_VALUE = const(256)  # octets of a value that is given back

REASONS = {
    100: b"Trying",
    200: b"OK",
    202: b"Accepted",
    400: b"Bad Request",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    415: b"Unsupported Media Type",
    416: b"Unsupported URI Scheme",
    420: b"Bad Extension",
    480: b"Temporarily Unavailable",
    481: b"Call/Transaction Does Not Exist",
    482: b"Loop Detected",
    483: b"Too Many Hops",
    493: b"Undecipherable",
    501: b"Not Implemented",
    503: b"Service Unavailable",
    603: b"Decline",
}


def refuse_method(method: bytes) -> tuple[int, bytes]:
    """Return (status, header lines) for a method that we don't serve (RFC 3261 section 8.2.1)."""
    return 405 if method in _KNOWN else 501, _ALLOW


def refuse_extensions(message: Message) -> tuple[int, bytes]:
    """Return the same for a request that requires extensions: we have none (section 8.2.2.3)."""
    try:
        required = message.members(b"require")
    except ParseError:  # without knowing what it needs it can't be processed
        return 400, b""
    room = _MAX_VALUE - len(required[0])  # one is named, however long it is
    count = 1
    while count < len(required) and room >= len(required[count]) + 2:
        room -= len(required[count]) + 2
        count += 1
    return 420, b"Unsupported: %s\r\n" % b", ".join(required[:count])


def refuse_body(message: Message, accepted: tuple) -> tuple[int, bytes] | None:
    """Return the same for a body that we can't read, None for one that we can, or need not (section 8.2.3)."""
    if (message.get(b"content-disposition") or b"").lower().find(b"handling=optional") >= 0:
        return None
    encoding = message.get(b"content-encoding")
    if encoding is not None and encoding.lower() != b"identity":
        return 415, b"Accept-Encoding: identity\r\n"
    if not takes(accepted, media_type(message.get(b"content-type") or b"")):
        return 415, accept_field(accepted)
    return None


def accept_field(accepted: tuple) -> bytes:
    """Return the header line with the content types that we take."""
    return b"Accept: %s\r\n" % b", ".join(accepted)


def capabilities(accepted: tuple) -> bytes:
    """Return the header lines of a 200 to OPTIONS (section 11.2)."""
    return _ALLOW + accept_field(accepted) + _CAPABILITIES


def timestamp_of(message: Message) -> bytes:
    """Return what a 100 copies of Timestamp: behind it is a delay of the client's own."""
    words = (message.get(b"timestamp") or b"").split(None, 1)
    return words[0] if words and len(words[0]) <= _MAX_VALUE else b""


def trying(transaction: ServerTransaction, now: int) -> bytes:
    """Return a 100, its Timestamp with our delay in seconds (section 8.2.6.1)."""
    timestamp = b""
    if transaction.timestamp:
        ms = transaction.age_ms(now)
        timestamp = b"Timestamp: %s %d.%03d\r\n" % (transaction.timestamp, ms // 1000, ms % 1000)
    return response(100, REASONS[100], transaction.echo, timestamp)
