"""A faster reader of messages, where compiled patterns are at hand: it yields what agent.message yields.

One pattern finds the fields of a request as nearly every peer writes it, one more each kind of value. What they don't
take is read by the portable parsers, so that they may be as narrow as they like: they accept less, and of what they
accept they make the same. None of them can match in two ways, so their work is linear.
"""

import re
import sys
from collections.abc import Callable
from functools import cache, cached_property, lru_cache
from operator import itemgetter
from typing import Any

from sipmote.agent import message, uri
from sipmote.agent.headers import values
from sipmote.agent.headers.values import Via
from sipmote.agent.uas.checks import ONCE
from sipmote.agent.uri import Uri

_URIS = 512  # remembered: requests to a server name the same few
_LONGEST_URI = 256  # octets of one that is remembered

# What is taken of a value has no control characters, so that no octet of a line's end stands alone, and no blank at its
# ends. The fields that may have octets beyond ASCII are slower.
_TEXT = r"[!-~][ -~]*+(?<! )"
_PLAIN = r"[!#-+\--;=-~][ !#-+\--;=-~]*+(?<! )"  # and nothing that hides or is a comma
_WORDS = r"[!-~\x80-\xff][ -~\x80-\xff]*+(?<! )"
_FIELDS = {
    "Via": _PLAIN,
    **dict.fromkeys(("Max-Forwards", "Call-ID", "CSeq", "User-Agent", "Contact", "Allow", "Accept"), _TEXT),
    **dict.fromkeys(("Supported", "Date", "Expires", "Priority", "Server", "Content-Type"), _TEXT),
    **dict.fromkeys(("From", "To", "Subject", "Organization"), _WORDS),
    "Content-Length": "[0-9]{1,9}+",
}
_MOST = 64  # lines, of a request and of its Via: each takes memory while a pattern looks on
_TOKEN = r"[A-Za-z0-9\-.!%*_+`'~]++"
_VIA = 2  # places of the values in what the pattern finds, behind method and Request-URI
_VIAS = 3  # the lines of Via behind the first one
_PLACES = {name.lower().encode(): place for place, name in enumerate(_FIELDS, _VIAS)} | {b"via": _VIA}
_NEVER = -1  # the place of nothing


def _request() -> re.Pattern[bytes]:
    """Return the pattern of a request: each field may come once, in any order, Via as lines that follow each other."""
    lines = []
    for name, value in _FIELDS.items():
        once = f"(?({_PLACES[name.lower().encode()] + 1})(?!))"  # fails where this group has matched already
        more = rf"((?:Via: *+{_PLAIN}\r\n){{0,{_MOST}}})" if name == "Via" else ""
        lines.append(rf"{name[0]}{once}{name[1:]}: *+({value})\r\n{more}")
    return re.compile(
        rf"([A-Z]++) ([!-~]++) SIP/2\.0\r\n(?:{'|'.join(lines)}|(?!)()){{1,{_MOST}}}\r\n".encode("latin-1")
    )


_match = _request().match
_via = re.compile(
    rf"SIP/2\.0/([A-Z]++) ([a-z0-9.\-]++)(?::([0-9]{{1,5}}+))?(;rport)?;branch=({_TOKEN})(;rport)?".encode()
).fullmatch
_address = re.compile(rf'(?:"([^"\\<>]*+)" ?+)?<([^<>"]++)>(?:;tag=({_TOKEN}))?'.encode()).fullmatch
_cseq = re.compile(rf"([0-9]{{1,9}}+) ({_TOKEN})".encode()).fullmatch
_remembered = lru_cache(_URIS)(uri.parse_uri)


@cache
def _getter(names: bytes) -> Callable[[tuple[Any, ...]], tuple[bytes | None, ...]]:
    """Return what takes the values of these fields, a handful of constants, out of what the pattern has found."""
    return itemgetter(*[_PLACES.get(name, _NEVER) for name in names.split()])


class Message(message.Message):
    """A message as agent.message.Message has it.

    names are only looked for when somebody asks for them.
    """

    grammar = sys.modules[__name__]
    _found: tuple[Any, ...] | None = None  # each value by its place, None where there is no such field

    def __init__(self, data: bytes) -> None:
        match = _match(data)
        if match is None or match.end() > self.most:
            super().__init__(data)
            return
        self.data = data
        self._found = found = match.groups()
        self.method = found[0]
        self.uri = found[1]
        self.body_at = match.end()
        length = found[_LENGTH]
        if length is not None:
            self.length = int(length)

    @cached_property
    def names(self) -> list[bytes]:  # type: ignore[override]
        """Of its fields, in order."""
        return message.Message(self.data[: self.body_at]).names

    def check(self, once: bytes = b"") -> None:
        if self._found is None or self.fault is not None or (once and once is not ONCE):
            super().check(once)

    def get(self, name: bytes) -> bytes | None:
        if self._found is None:
            return super().get(name)
        value: bytes | None = self._found[_PLACES.get(name, _NEVER)]
        return value

    def values(self, names: bytes) -> tuple[bytes | None, ...]:
        return super().values(names) if self._found is None else _getter(names)(self._found)

    def all(self, name: bytes) -> list[bytes]:
        if self._found is None:
            return super().all(name)
        value = self._found[_PLACES.get(name, _NEVER)]
        if name == b"via" and self._found[_VIAS]:
            return [value] + [line[4:].lstrip() for line in self._found[_VIAS].split(b"\r\n")[:-1]]
        return [] if value is None else [value]

    def members(self, name: bytes) -> list[bytes]:
        return self.all(name) if name == b"via" and self._found is not None else super().members(name)


_LENGTH = _PLACES[b"content-length"]


def parse_via(value: bytes) -> Via:
    """Return what agent.headers.values.parse_via makes of a value."""
    found = _via(value)
    if found is None:
        return values.parse_via(value)
    transport, host, port, before, branch, after = found.groups()
    if (before and after) or (port and int(port) > 65535):
        return values.parse_via(value)
    params = [(b"branch", branch)]
    if before or after:
        params.insert(0 if before else 1, (b"rport", None))
    return Via(transport, host, None if port is None else int(port), params, value)


def parse_address(value: bytes) -> tuple[bytes, bytes, list[Any]]:
    """Return what agent.headers.values.parse_address makes of a value."""
    found = _address(value)
    if found is None:
        return values.parse_address(value)
    display, uri, tag = found.groups()
    return display or b"", uri, [] if tag is None else [(b"tag", tag)]


def parse_cseq(value: bytes) -> tuple[int, bytes]:
    """Return what agent.headers.values.parse_cseq makes of a value."""
    found = _cseq(value)
    return values.parse_cseq(value) if found is None else (int(found[1]), found[2])


def parse_uri(value: bytes) -> Uri:
    """Return what agent.uri.parse_uri makes of a value. It is not to be changed: others may get the same one."""
    return _remembered(value) if len(value) <= _LONGEST_URI else uri.parse_uri(value)
