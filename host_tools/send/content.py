"""What goes out for a text: the text itself, or message/cpim around it, or S/MIME around either."""

import copy
import os
import re
import time
import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sipmote.agent.cms import mime
from sipmote.agent.cpim import imdn
from sipmote.agent.cpim.writer import build_cpim
from sipmote.agent.errors import UsageError
from sipmote.agent.uri import parse_uri

if TYPE_CHECKING:  # loaded for who asks for S/MIME
    from sipmote.smime.writer import Writer

_JOINER = "\u200d"  # of emoji
_SKIN_TONES = "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"
_DATE = 36  # octets of a Date header field
_LONG = 300  # octets of a text whose every length takes as much room as any's
_TOKEN = r"[A-Za-z0-9\-.!%*_+`'~]+"
_MEDIA_TYPE = re.compile(  # RFC 3261 section 25.1, media-type
    rf"""{_TOKEN}/{_TOKEN}(?: *; *{_TOKEN}=(?:{_TOKEN}|"(?:[^"\\\x00-\x1f\x7f]|\\[ -~])*"))*"""
)


def content_type(text: str) -> bytes:
    """Return a type of content as it goes into its header field; raises UsageError for what is none."""
    if not _MEDIA_TYPE.fullmatch(text):
        raise UsageError(f"--content-type {text!r}: TYPE/SUBTYPE was expected, such as text/plain or application/json")
    return os.fsencode(text)


class Content:
    """Makes the options of UserAgent.send out of a text.

    What is signed has no other version to fall back to, and its time in Date, too (RFC 3428 section 11). What is only
    encrypted does without message/cpim unless there is something to put there.
    """

    def __init__(
        self,
        target: bytes,
        content_type: bytes,
        subject: bytes | None,
        expires: int | None,
        is_cpim: bool,
        notify: bool,
        signs: bool,
        writer: "Writer | None",
    ) -> None:
        """is_cpim: message/cpim in any case. notify: ask in there to be told of delivery. signs: writer signs."""
        self._to = target
        self._type = content_type
        self._charset = b"text/plain;charset=UTF-8" if content_type == b"text/plain" else content_type
        self._subject = subject
        self._expires = expires
        self._signs = signs
        self._writer = writer
        self._headers: Callable[[bytes], bytes] = imdn.identify if writer is None else _no_headers
        if notify:
            self._headers = imdn.ask
        self._is_cpim = is_cpim or notify or signs or (writer is not None and subject is not None)

    def prepare(self, text: bytes) -> bytes:
        """Return a text as it is to be cut in parts."""
        return mime.canonical(text) if self._writer and self._type.startswith(b"text/") else text

    def of(self, text: bytes, sender: bytes, call_id: bytes, to_measure: bool = False) -> dict[str, Any]:
        """Return content_type, body and whatever belongs to them. to_measure: as long as they may become."""
        unix = int(time.time())
        content_type, body = self._type, text
        if self._is_cpim:
            to = parse_uri(self._to).address_of_record()
            headers = self._headers(call_id)
            content_type = imdn.CPIM
            body = build_cpim(sender, to, text, self._charset, unix, self._subject, headers)
        elif self._writer:
            content_type = self._charset
        if self._writer:
            content_type, body = self._writer.protect(content_type, body, to_measure)
            return {"content_type": content_type, "body": body, "date": unix if self._signs else None}
        fallback = {"fallback": (self._type, text)} if self._is_cpim else {}
        return {"content_type": content_type, "body": body, **fallback}

    def around(self, sender: bytes) -> int:
        """Return the octets that come to those of a text in the body."""
        return len(self.of(b"x" * _LONG, sender, b"0" * 20, True)["body"]) - _LONG

    def advice(self, sender: bytes) -> str:
        """Return what to do about a text that is too long because it is protected, "" where it isn't."""
        if self._writer is None:
            return ""
        whole, lighter = self.around(sender), copy.copy(self)
        told = []
        for how, lighter._writer in self._writer.lighter():
            told.append(f"{whole - lighter.around(sender)} fewer {how}")
        return f"; its protection takes {whole} octets" + (f": {', '.join(told)}" if told else "")

    def reserve(self, sender: bytes) -> int:
        """Return the octets that come to those of a text in all."""
        is_dated = self._signs and not self._expires  # with Expires it is counted already
        return self.around(sender) + (_DATE if is_dated else 0)


def _no_headers(message_id: bytes) -> bytes:
    """Do without an identity: who signs has one in the signature, and no room to spare."""
    return b""


def joins(text: bytes, at: int) -> bool:
    """Does the character that begins at an octet of UTF-8 belong to the one before it, in whatever script?"""
    character = text[at : at + 4].decode("utf-8", "ignore")[:1]
    before = text[max(at - 4, 0) : at].decode("utf-8", "ignore")[-1:]
    if not character or before == _JOINER or (before == "\r" and character == "\n"):
        return bool(character)
    return character == _JOINER or unicodedata.category(character)[0] == "M" or character in _SKIN_TONES
