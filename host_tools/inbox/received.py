"""A message as the inbox keeps and shows it: what is worth knowing of it."""

import base64
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sipmote.agent.cms.smime import Opened, is_protected
from sipmote.agent.cpim import imdn
from sipmote.agent.cpim import imdn_reply as receipt
from sipmote.agent.cpim.reader import Cpim, parse_cpim
from sipmote.agent.errors import ParseError
from sipmote.agent.headers import lenient
from sipmote.agent.headers.delta import parse_delta
from sipmote.agent.headers.values import media_type
from sipmote.agent.message import Message
from sipmote.agent.uas import MessageReceived
from sipmote.agent.uas.freshness import expiry, is_stale
from sipmote.agent.uri import parse_uri
from sipmote.inbox.heartbeat import HEARTBEAT, read_heartbeat
from sipmote.inbox.text import decoded, is_multipart, text_of
from sipmote.people import logins, person
from sipmote.sip.places import place
from sipmote.sip.reader import parse_address, parse_cseq
from sipmote.sip.reader import parse_uri as parse_sender

if TYPE_CHECKING:  # who reads no S/MIME loads no ciphers
    from sipmote.smime.reader import Reader, Verdict

_FIRST_USE = b"nc=00000001"  # of a nonce: this request is the answer to a challenge (RFC 3261 section 22.2)
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_CARRIED = (  # of the header fields that a relay passes on; all that begin with Content- are, too
    *(
        b"subject",
        b"mime-version",
        b"priority",
        b"auto-submitted",
        b"organization",
        b"reply-to",
        b"in-reply-to",
        b"user-agent",
    ),
)
_OURS = (b"content-type", b"content-length")  # for which there are other places
_EARLIEST = 1577836800  # 2020: an earlier Date is that of a clock which nobody has set

_NOT_OF_A_HEARTBEAT = ("content_type", "body", "body_base64", "encoding_error", "duplicate")  # of a message's line
_STATE = re.compile(rb"<(?:\w+:)?state>\s*(\w+)")  # of an isComposing document (RFC 3994)


@dataclass(frozen=True)
class Parcel:
    """What a message needs to be passed on, beside what is stored of every message."""

    date: int  # Unix seconds
    expires: int | None  # seconds
    max_forwards: int
    user: str  # of its Request-URI, "" without one
    display: bytes  # of From, as it stands between its quotes, b"" without one
    fields: bytes  # further header lines that go on with it, those that speak of its content first of all
    octets: int  # of its request


@dataclass(slots=True)
class Received:
    """A message that came in, as text for people and machines; only its body is still octets.

    Of a message/cpim, content_type and body are those of its content. display_name, priority: what the sender says, as
    it says from whom it is.
    """

    call_id: str
    cseq: int
    sender: str
    to: str
    subject: str | None
    content_type: str
    body: bytes
    date: int | None
    received: float
    expired: bool | None
    stale: bool | None
    transport: str
    source: str
    user: str | None = None  # who has authenticated for it
    display_name: str | None = None
    priority: str | None = None
    duplicate: bool = False
    cpim: Cpim | None = None
    author: str | None = None  # who message/cpim says it is from
    parcel: Parcel | None = None  # what passing it on takes
    encrypted: bool = False  # until we opened it
    unauthenticated: bool = False  # encrypted so that others could change it, and signed by nobody we trust
    for_others: tuple[str, ...] = ()  # whom it says it is for, none of whom we are
    verdict: "Verdict | None" = None  # on its signature
    from_tag: str = ""  # what follows the URI in From, its tag first of all
    challenged: bool = False  # has a challenge raised its CSeq by one?
    id: int = 0  # of its row in the store; 0: it has none
    twin: int = 0  # id of what it is the duplicate of
    looped: bool = False  # has it come back to the relay that passed it on?
    generation: int = 0  # Store.generation of that
    in_reply_to: tuple[str, ...] = ()  # Call-IDs of what it says it answers
    valid_until: int | None = None  # Unix seconds: its Expires counted from its Date, or from when it came
    open: bool = False  # is it to be acknowledged?
    again: bool = False  # may it have been shown, or its command have run, before we were stopped?

    @property
    def answerable(self) -> bool:
        """Is sender a URI? Else it is what stood in its place."""
        try:
            parse_sender(self.sender.encode())
        except ParseError:
            return False
        return True

    @property
    def message_id(self) -> str | None:
        """What the sender calls it (RFC 5438), whatever Call-IDs it travels under."""
        return None if self.cpim is None else _optional(receipt.message_id(self.cpim))

    @property
    def digest(self) -> str | None:
        """What stands for the Message-ID of a signed message, so that it can't be sent again in another's request."""
        return None if self.verdict is None else self.verdict.digest

    @property
    def disguised(self) -> bool:
        """Does it say that it is from somebody else than the SIP request does?"""
        return self.author is not None and person(self.author) not in (person(self.sender), "anonymous.invalid")

    @property
    def is_by_sender(self) -> bool:
        """Is it by who it is from, in the SIP request and in message/cpim alike, by his signature or a shared key?"""
        return self.verdict is not None and self.verdict.is_good and not self.disguised

    @property
    def is_in_login(self) -> bool:
        """Is the login by which it came that of who the SIP request says it is from?"""
        return self.user is not None and self.user in logins(self.sender)

    def text(self) -> tuple[str | None, bool]:
        """Return the text in the body, None without any, and whether some octets of it were no characters."""
        return text_of(self.content_type, self.body)

    def line(self) -> dict[str, Any]:
        """Return the event line for machines."""
        text, encoding_error = self.text()
        line: dict[str, Any] = {
            "event": "message",
            "from": self.sender,
            "to": self.to,
            "call_id": self.call_id,
            "content_type": self.content_type,
            "body": text,
            "transport": self.transport,
            "source": self.source,
            "user": self.user,
            "date": None if self.date is None else rfc3339(self.date),
            "received": rfc3339(self.received),
            "expired": self.expired,
            "stale": self.stale,
            "duplicate": self.duplicate,
        }
        said = {"subject": self.subject, "display_name": self.display_name, "priority": self.priority}
        line.update({name: value for name, value in said.items() if value is not None})
        if not self.answerable:
            line["from_error"] = True
        if self.cpim is not None:
            line["cpim"] = self._cpim_line(self.cpim)
        if self.verdict is not None:
            line["signature"] = self.verdict.line()
        line.update(
            {mark: True for mark in ("encrypted", "unauthenticated", "for_others", "again") if getattr(self, mark)}
        )
        if text is None or is_multipart(self.content_type):  # its text isn't all
            line["body_base64"] = base64.b64encode(self.body).decode()
        if encoding_error:
            line["encoding_error"] = True
        return line

    def heartbeat(self) -> dict[str, Any] | None:
        """Return what the heartbeat of a board says (read_heartbeat()), None for any other message.

        Raises ParseError for one that says nothing; with 493 if it was encrypted.
        """
        if media_type(self.content_type.encode()) != HEARTBEAT:
            return None
        try:
            return read_heartbeat(self.body)
        except ParseError as error:
            raise ParseError(error.detail, 493 if self.encrypted else error.status) from None

    def heartbeat_line(self, said: dict[str, Any]) -> dict[str, Any]:
        """Return the event line of a heartbeat that says this: as a message's, without a text."""
        line = {key: value for key, value in self.line().items() if key not in _NOT_OF_A_HEARTBEAT}
        return {**line, "event": "heartbeat", **said}

    def notice(self) -> dict[str, Any] | None:
        """Return the event line of what a program tells, not a person: a notification, or that somebody is typing.

        None for a message. Raises ParseError for a notification that says nothing; with 493 if it was encrypted.
        """
        media = self.content_type.lower().encode()
        if media.startswith(imdn.XML):
            try:
                message_id, _, status = imdn.parse_notification(self.body)
            except ParseError as error:
                raise ParseError(error.detail, 493 if self.encrypted else error.status) from None
            told = {"event": "notification", "message_id": _readable(message_id), "status": _readable(status)}
        elif media.startswith(imdn.COMPOSING):
            state = _STATE.search(self.body)
            told = {"event": "composing", "status": _readable(state[1]) if state else "active"}
        else:
            return None
        return {**told, "from": self.sender, "to": self.to, "call_id": self.call_id}

    def _cpim_line(self, cpim: Cpim) -> dict[str, Any]:
        unix = cpim.unix()
        line = {
            "from": self.author,
            "to": _optional(cpim.address(b"To")),
            "datetime": None if unix is None else rfc3339(unix),
            "subject": _optional(cpim.get(b"Subject")),
            "message_id": self.message_id,
        }
        found: dict[str, Any] = {key: value for key, value in line.items() if value is not None}
        if self.disguised:
            found["from_differs"] = True
        return found


def describe(
    event: MessageReceived, received: float, parcel: Parcel | None = None, reader: "Reader | None" = None
) -> Received:
    """Read what we keep out of a message that came at received (Unix seconds).

    parcel: what passing it on takes; then a message/cpim stays as it is. reader: for S/MIME, None to leave that.
    Raises ParseError for a message/cpim that breaks the rules of RFC 3862 or requires what we don't know, and for
    S/MIME that can't be read; with 493 for whatever is wrong inside of what was encrypted.
    """
    content_type = event.message.get(b"content-type") or b""
    if reader is None or not is_protected(content_type):
        return _describe(event, received, parcel, Opened(content_type, event.message.body), None)
    envelope = reader.open(content_type, _decoded(event.message))
    try:
        return _describe(event, received, parcel, envelope, reader)
    except ParseError as error:
        if envelope.encrypted:
            raise ParseError(error.detail, 493) from None
        raise


def _describe(
    event: MessageReceived, received: float, parcel: Parcel | None, envelope: Opened, reader: "Reader | None"
) -> Received:
    """As describe(), of what is inside of the envelope; reader: None where there was no S/MIME around it."""
    message = event.message
    body = envelope.body if parcel is not None or reader is not None else _decoded(message)
    content_type, body, cpim = _open(envelope.content_type, body, parcel is None)
    author = None if cpim is None else _optional(cpim.address(b"From"))
    verdict, unauthenticated = None, False
    if reader is not None:
        verdict = reader.judge(envelope, author or _readable(event.sender), None if cpim is None else cpim.unix())
        unauthenticated = reader.is_unauthenticated(envelope, verdict)
    transport, host, port = event.flow[:3]
    return Received(
        call_id=_readable(event.call_id),
        cseq=parse_cseq(message.get(b"cseq"))[0],
        sender=respelled(_readable(event.sender)),
        to=_recipient(message.get(b"to")),
        content_type=_readable(content_type),
        body=body,
        date=event.date,
        received=received,
        expired=event.expired,
        stale=_signed_long_ago(verdict, received) or event.stale,
        transport=transport.decode().lower(),
        source=place(host.decode(), port),
        user=_optional(event.user),
        **_claims(message),
        cpim=cpim,
        author=author,
        parcel=parcel,
        encrypted=envelope.encrypted,
        unauthenticated=unauthenticated,
        verdict=verdict,
        from_tag=_after_uri(message.get(b"from") or b""),
        in_reply_to=_in_reply_to(message) if message.get(b"in-reply-to") else (),
        valid_until=expiry(message, int(received)),
        challenged=_FIRST_USE in (message.get(b"authorization") or b""),
    )


def _signed_long_ago(verdict: "Verdict | None", received: float) -> bool:
    return verdict is not None and verdict.signed_at is not None and is_stale(verdict.signed_at, received)


def _in_reply_to(message: Message) -> tuple[str, ...]:
    """Return the Call-IDs that a message says it answers (RFC 3261 section 20.21)."""
    return tuple(_readable(name.strip()) for value in message.all(b"in-reply-to") for name in value.split(b","))


def _claims(message: Message) -> dict[str, Any]:
    """Return what the sender says of itself and of its message, None for what it doesn't say."""
    sender = message.get(b"from") or b""
    display = b"" if sender.startswith(b"<") else _address(sender)[0]
    if b"\\" in display:
        display = _QUOTED_PAIR.sub(rb"\1", display)
    return {
        "subject": _optional(message.get(b"subject")),
        "display_name": _readable(display) if display else None,
        "priority": _optional(message.get(b"priority")),
    }


def pack(event: MessageReceived, received: float) -> Parcel | None:
    """Return the parcel that a message makes; None when it may be passed on no more (Max-Forwards 0)."""
    message = event.message
    hops = parse_delta(message.get(b"max-forwards"))
    hops = 70 if hops is None else min(hops, 70)
    if hops == 0:
        return None
    is_dated = event.date is not None and event.date > _EARLIEST
    date = event.date if is_dated else int(received)
    user = parse_uri(message.uri).user or b""
    display = _address(message.get(b"from") or b"")[0]
    if b'"' in display.replace(b"\\\\", b"").replace(b'\\"', b""):
        display = b""
    expires = parse_delta(message.get(b"expires"))
    return Parcel(date, expires, hops - 1, user.decode(), display, _fields(message), len(message.data))


def _fields(message: Message) -> bytes:
    """Return the header lines of a message that its recipient needs as its sender wrote them."""
    lines = []
    for name in dict.fromkeys(message.names):
        if (name.startswith(b"content-") or name in _CARRIED) and name not in _OURS:
            for value in message.all(name):
                if value and not any(octet in value for octet in b"\r\n\0"):
                    lines.append(b"%s: %s\r\n" % (name.title(), value))
    return b"".join(lines)


def _decoded(message: Message) -> bytes:
    """Return the body, without the Content-Transfer-Encoding that some send, though SIP needs none."""
    encoding = message.get(b"content-transfer-encoding")
    return message.body if encoding is None else decoded(message.body, [(b"content-transfer-encoding", encoding)])


def _open(content_type: bytes, body: bytes, opened: bool) -> tuple[bytes, bytes, Cpim | None]:
    """Return content type and body of what is inside, and the message/cpim that they were in."""
    cpim = None
    if not opened:
        return content_type, body, None
    if media_type(content_type) == imdn.CPIM:
        cpim = parse_cpim(body, (imdn.NAMESPACE,))
    elif b"Message-ID: " in body:
        cpim = _unlabelled(body)
    if cpim is not None:
        content_type, body = cpim.content_type, decoded(cpim.body, cpim.mime)
    return content_type, body, cpim


def respelled(uri: str) -> str:
    """Return the same for spellings of a URI that differ in the case of scheme and host (RFC 3261 section 19.1.4).

    To parse each sender's costs more.
    """
    scheme, colon, rest = uri.partition(":")
    user, at, host = rest.rpartition("@")
    return f"{scheme.lower()}{colon}{user}{at}{host.lower()}" if colon else uri


def _after_uri(value: bytes) -> str:
    """Return the parameters of a From, roughly: what tells two requests of one sender apart."""
    return _readable(value[value.rfind(b">") + 1 :])


@lru_cache(256)
def _recipient(value: bytes) -> str:
    """Return the URI of a To that the core has found good: there are few, as most come to the same."""
    return _readable(_address(value)[1])


def _address(value: bytes) -> tuple[bytes, bytes, list[Any]]:
    """Split a From or To that the core has found good, or good enough, into (display name, URI, parameters)."""
    try:
        found = parse_address(value)
        parse_sender(found[1])
    except ParseError:
        return lenient.parse_address(value)
    return found


def _unlabelled(body: bytes) -> Cpim | None:
    """Return a message/cpim that a store has passed on as text, as Kamailio's msilo does; None for any other text."""
    start = body.find(b"] ") + 2 if body.startswith(b"[Offline message - ") else 0
    try:
        cpim = parse_cpim(body[start:], (imdn.NAMESPACE,))
    except ParseError:
        return None
    return cpim if cpim.address(b"From") and receipt.message_id(cpim) else None


@lru_cache(64, typed=True)  # 1 and 1.0 are not written alike
def rfc3339(unix: float) -> str | None:
    """Return a point in time for machines, e.g. "2010-11-13T23:29:00Z"; milliseconds where it has any.

    None outside the years 1 to 9999, which a time zone can lead to.
    """
    precision = "seconds" if isinstance(unix, int) else "milliseconds"
    try:
        return datetime.fromtimestamp(unix, UTC).isoformat(timespec=precision).replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return None


def _readable(value: bytes | None) -> str:
    """Decode a header field value; octets that are no UTF-8 become escapes, so that no two values become one."""
    return (value or b"").decode("utf-8", "backslashreplace")


def _optional(value: bytes | None) -> str | None:
    return None if value is None else _readable(value)
