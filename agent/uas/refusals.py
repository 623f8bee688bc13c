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


def is_unreadable(message: Message, accepted: tuple) -> bool:
    """Has a request a body that we can't read, and need to? (section 8.2.3)"""
    if (message.get(b"content-disposition") or b"").lower().find(b"handling=optional") >= 0:
        return False
    return _is_encoded(message) or not takes(accepted, media_type(message.get(b"content-type") or b""))


def _is_encoded(message: Message) -> bool:
    encoding = message.get(b"content-encoding")
    return encoding is not None and encoding.lower() != b"identity"


def refusal(status: int, message: Message, accepted: tuple) -> tuple[int, bytes]:
    """Return (status, header lines) of the answer to a request that doesn't come to the application.

    status: 405 for every method that is not served, 200 for OPTIONS and CANCEL. accepted: media ranges.
    """
    if status == 405:
        return 405 if message.method in _KNOWN else 501, _ALLOW
    if status == 420:
        return _extensions(message)
    if status == 415 and _is_encoded(message):
        return 415, b"Accept-Encoding: identity\r\n"
    if message.method == b"OPTIONS" and status == 200:  # section 11.2
        return 200, _ALLOW + _accept(accepted) + _CAPABILITIES
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
