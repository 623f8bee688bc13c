"""ASN.1 in DER, the half that reads; agent.cms.der writes.

Two forms of BER that some peers send are taken, too: indefinite lengths, and strings in pieces. Anybody can send us
this, so depth, number of elements and lengths have limits, and every error raises ParseError.
"""

from ..compat import const
from ..errors import ParseError
from .der import OCTETS

_CONSTRUCTED = const(0x20)
_MAX_DEPTH = const(16)  # a certificate inside SignedData reaches 10
_MAX_ELEMENTS = const(500)  # a certificate has about 80
_MAX_LENGTH = const(0xFFFFFF)


class Element:
    """One element that was read. Callers take its parts in the order of the grammar, with take() and maybe().

    tag: the tag octet; OCTETS also for an octet string in pieces. parts: the elements inside a constructed one.
    """

    __slots__ = ("_at", "_data", "_end", "_next", "_start", "parts", "tag")

    def __init__(self, data: bytes, start: int, at: int) -> None:
        self._data = data
        self._start = start
        self._at = at
        self._end = at
        self._next = 0
        self.tag: int = OCTETS if data[start] == OCTETS | _CONSTRUCTED else data[start]
        self.parts: list[Element] = []

    def _is_constructed(self) -> bool:
        return self._data[self._start] & _CONSTRUCTED != 0

    @property
    def raw(self) -> bytes:
        """The whole element, as it came."""
        return self._data[self._start : self._end]

    @property
    def octets(self) -> bytes:
        """The contents; the pieces of a string are joined."""
        if self._is_constructed():
            return b"".join([part.octets for part in self.parts])
        return self._data[self._at : self._end]

    def maybe(self, tag: int) -> "Element | None":
        """Return the next part if it has this tag, and go on behind it; None otherwise."""
        if self._next == len(self.parts) or self.parts[self._next].tag != tag:
            return None
        self._next += 1
        return self.parts[self._next - 1]

    def take(self, *tags: int) -> "Element":
        """Return the next part, whose tag must be the first one; with more tags, descend: its next part, and so on."""
        found = self
        for tag in tags:
            part = found.maybe(tag)
            if part is None:
                raise ParseError("another element was expected in ASN.1")
            found = part
        return found

    def rest(self) -> "list[Element]":
        """Return the parts that have not been taken."""
        return self.parts[self._next :]


def decode(data: bytes) -> Element:
    """Read the one element that fills data. Raises ParseError."""
    root = _read(data, 0, len(data), _MAX_DEPTH, [_MAX_ELEMENTS])
    if root._end != len(data):
        raise ParseError("nothing behind an ASN.1 element was expected")
    return root


def _read(data: bytes, start: int, end: int, depth: int, left: list) -> Element:
    """Read the element at start, with its parts; it must end at or before end.

    depth: how many levels may follow. left: a list of one number, the elements that may still come.
    """
    left[0] -= 1
    if depth == 0 or left[0] < 0:
        raise ParseError("ASN.1 less deep and with fewer elements was expected")
    at = start + 2
    if at > end or data[start] & 0x1F == 0x1F:
        raise ParseError("a tag of one octet and a length were expected in ASN.1")
    size: int = data[start + 1]
    if size > 0x80:
        octets = size & 0x7F
        size = 0
        for i in range(octets):
            if at + i >= end or size > _MAX_LENGTH >> 8:
                raise ParseError("a length below 16 MiB was expected in ASN.1")
            size = size << 8 | data[at + i]
        at += octets
    elif size == 0x80:
        return _read_to_mark(data, start, end, depth, left)
    found = Element(data, start, at)
    found._end = at + size
    if found._end > end:
        raise ParseError("as much as the length says was expected in ASN.1")
    if found._is_constructed():
        while at < found._end:
            part = _read(data, at, found._end, depth - 1, left)
            found.parts.append(part)
            at = part._end
    return found


def _read_to_mark(data: bytes, start: int, end: int, depth: int, left: list) -> Element:
    """Read an element of indefinite length: two zero octets end it (X.690 section 8.1.3.6)."""
    found = Element(data, start, start + 2)
    at = start + 2
    if not found._is_constructed():
        raise ParseError("a definite length of a primitive element was expected in ASN.1")
    while data[at : at + 2] != b"\0\0":
        part = _read(data, at, end, depth - 1, left)
        found.parts.append(part)
        at = part._end
    found._end = at + 2
    if found._end > end:
        raise ParseError("an end of contents was expected in ASN.1")
    return found
