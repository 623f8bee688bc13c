"""Responses that no transaction remembers. Loaded for a request that can't be processed, or where senders authenticate.

A repeated copy has the same checksum, so it gets the same tag and the same octets.
"""

from binascii import crc32

from ..compat import const
from ..errors import ParseError
from ..events import Transmit
from ..headers.values import parse_via
from ..message import MAX_HEAD, Message
from ..notices import Dropped
from ..uri import parse_uri
from .checks import Incoming
from .response import answer_flow, echo, response, stamped

_MOST = const(65000)  # octets to copy back: a datagram takes no more
_MAX_VIAS = const(4096)  # octets of the Vias of a request that is read twice


def reread(message: Message, flow: tuple) -> Incoming | None:
    """Return a request that has only flaws that nothing depends on, None for any other."""
    if message.fault is not None or sum([len(value) for value in message.all(b"via")]) > _MAX_VIAS:
        return None
    from ..headers import lenient

    try:
        parse_uri(message.uri)
        return Incoming(message, flow, lenient)
    except ParseError:
        return None


def refuse_malformed(message: Message, flow: tuple, error: ParseError) -> list:
    """Return the events for a request that can't be processed: a 400, say, if it leads back to who sent it."""
    back = flow
    detail, status = message.fault or (error.detail, error.status)
    if message.is_overlong:
        from .overlong import outline

        message = outline(message)
    vias = message.all(b"via")
    if not vias:
        return [Dropped("a request without Via", flow)]
    try:
        top, comma, rest = vias[0].partition(b",")
        if len(top) > MAX_HEAD:
            raise ParseError("a shorter Via was expected")
        via = parse_via(top)
        back = answer_flow(via, flow)
        vias[0] = stamped(via, flow) + comma + rest
    except ParseError:
        if not _leads_back(vias[0]):
            return [Dropped("a request whose topmost Via can't be read", flow)]
    events: list = [Dropped(detail, flow)]
    copied = _echo(vias, message)
    if copied and len(copied) < _MOST:
        phrase = b"Version Not Supported" if status == 505 else detail.encode()
        events.insert(0, Transmit(response(status, phrase, copied), back))
    return events


def authenticate(authenticator: object, request: Incoming, now: int) -> tuple[bytes | None, list]:
    """Return (user, []) for a request with good credentials, else (None, the events that challenge its sender).

    Strangers get no state (RFC 3261 section 26.3.2.4).
    """
    message = request.message
    try:
        user, fields = authenticator.check(message, now, request.flow)  # type: ignore[attr-defined]
        if user is not None:
            return user, []
        status, phrase = 401, b"Unauthorized"
    except ParseError as error:
        status, phrase, fields = error.status, error.detail.encode(), b""
    copied = echo(request.vias, request.fields, b"" if request.to_tag else _tag(message))
    events: list = [Transmit(response(status, phrase, copied, fields), request.answer_flow)]
    if message.get(b"authorization") is not None and fields.find(b"stale=true") < 0:
        events.append(Dropped("credentials that were no good", request.flow))
    return None, events


def _tag(message: Message) -> bytes:
    return b"%08x" % (crc32(message.data) & 0xFFFFFFFF)


def _echo(vias: list, message: Message) -> bytes:
    """Return what a response copies from a malformed request, b"" when it lacks something or would break our lines."""
    fields = message.values(b"from to call-id cseq")
    if None in fields:
        return b""
    has_no_tag = b"".join(fields[1].lower().split()).find(b";tag=") < 0
    out = echo(vias, fields, _tag(message) if has_no_tag else b"")
    ends = out.count(b"\r\n")
    return (
        out if out.count(b"\r") == ends == out.count(b"\n") else b""
    )  # a stray one would end our line for some readers


def _leads_back(via: bytes) -> bool:
    """Does a Via that may be of another version, or malformed further on, begin with a transport and an address?"""
    parts = via.split(b",", 1)[0].split(b";", 1)[0].split(b"/", 3)
    try:
        parse_via(b"/".join([b"SIP", b"2.0"] + parts[2:]))
    except ParseError:
        return False
    return True
