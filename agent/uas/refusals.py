"""The answers that a board seldom gives: all but the plain 200. Loaded by the first of them."""

from ..compat import const
from ..errors import ParseError
from ..headers.values import media_type, takes
from ..message import Message
from .response import response
from .server_transaction import ServerTransaction

_CAPABILITIES = b"Accept-Language: *\r\nSupported:\r\n"
_ALLOW = b"Allow: MESSAGE, OPTIONS\r\n"
_KNOWN = (b"INVITE", b"BYE", b"REGISTER", b"SUBSCRIBE", b"NOTIFY", b"PUBLISH", b"INFO", b"PRACK", b"UPDATE", b"REFER")
_UNPACKED = (b"deflate", b"gzip")  # where the shell has what unpacks them
_MAX_VALUE = const(256)  # octets of a value that is given back

REASONS = {
    100: b"Trying",
    200: b"OK",
    202: b"Accepted",
    400: b"Bad Request",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    413: b"Request Entity Too Large",
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


def read_body(message: Message, accepted: tuple, inflate: object | None) -> tuple[int, bytes | None]:
    """Return (0, the body if it had to be unpacked), or the status for one that we can't read (section 8.2.3)."""
    status, body = 415, None
    encoding = _encoding(message)
    taken = takes(accepted, media_type(message.get(b"content-type") or b""))
    if taken and not encoding:
        status = 0
    elif taken and inflate is not None and encoding in _UNPACKED:  # as Linphone sends its notifications
        status = 0
        try:
            body = inflate(message.body, encoding)  # type: ignore[operator]
        except ParseError as error:
            status = error.status
    optional = (message.get(b"content-disposition") or b"").lower().find(b"handling=optional") >= 0
    return 0 if optional else status, body


def _encoding(message: Message) -> bytes:
    """Return what a body is packed with, b"" for nothing. x-gzip is an old name of gzip (RFC 2616 section 3.5)."""
    encoding = (message.get(b"content-encoding") or b"").lower()
    return b"" if encoding == b"identity" else b"gzip" if encoding == b"x-gzip" else encoding


def _encodings(inflate: object | None) -> bytes:
    return b"Accept-Encoding: %s\r\n" % (b"identity" if inflate is None else b"deflate, gzip, identity")


def refusal(status: int, message: Message, accepted: tuple, inflate: object | None = None) -> tuple[int, bytes]:
    """Return (status, header lines) of the answer to a request that doesn't come to the application.

    status: 405 for every method that is not served, 200 for OPTIONS and CANCEL. accepted: media ranges.
    """
    if status == 405:
        return 405 if message.method in _KNOWN else 501, _ALLOW
    if status == 420:
        return _extensions(message)
    if status == 415 and _encoding(message) not in (b"",) + (_UNPACKED if inflate else ()):
        return 415, _encodings(inflate)
    if message.method == b"OPTIONS" and status == 200:  # section 11.2
        return 200, _ALLOW + _accept(accepted) + _encodings(inflate) + _CAPABILITIES
    return status, b""


def _extensions(message: Message) -> tuple[int, bytes]:
    """Name what a request requires: we have no extensions (section 8.2.2.3)."""
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


def _accept(accepted: tuple) -> bytes:
    return b"Accept: %s\r\n" % b", ".join(accepted)


def complete(status: int, reason: bytes, fields: bytes, accepted: tuple) -> tuple[bytes, bytes]:
    """Return (reason phrase, header lines) of a response, with what the status asks for where they are b""."""
    if status == 415 and not fields:
        fields = _accept(accepted)
    return reason or REASONS.get(status, b""), fields


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
