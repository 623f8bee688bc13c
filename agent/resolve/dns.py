"""DNS over UDP for a stub resolver (RFC 1035): writes a query of one question, and reads the records of its response.

Record types: A, AAAA, SRV (RFC 2782) and CNAME. Only the answer section is read. Names in responses are turned to lower
case; no name has a dot at its end, and the root is b"".
"""

from struct import pack, unpack_from

from ..compat import const
from ..errors import ParseError

A = 1
AAAA = 28
SRV = 33
_CNAME = const(5)
_IN = const(1)
_HEADER = const(12)  # octets
_RECORD = const(11)  # octets, the least that a record has
_MAX_NAME = const(254)  # octets, label lengths included, without the root's
_MAX_CHAIN = const(8)  # CNAMEs that are followed
_LONGEST_TTL = const(86400)  # seconds; RFC 2181 section 8 lets us cap it


class Response:
    """A server's response. rcode: 0 fine, 3 no such name. truncated: the datagram had no room for all of it (TC)."""

    def __init__(self, rcode: int, truncated: bool) -> None:
        self.rcode = rcode
        self.truncated = truncated
        self.records: list[tuple] = []  # (name, type, ttl in seconds, value)

    def find(self, name: bytes, kind: int) -> tuple[list, int]:
        """Return (values, seconds they may be kept) of the records of one type that a name has. Follows CNAMEs.

        A and AAAA: the address as text. SRV: (priority, weight, port, target).
        """
        wanted = name.lower()
        seconds = _LONGEST_TTL
        for _ in range(_MAX_CHAIN):
            values = []
            alias = None
            for owner, found, ttl, value in self.records:
                if owner != wanted or found not in (kind, _CNAME):
                    continue
                seconds = min(seconds, ttl)
                if found == kind:
                    values.append(value)
                else:
                    alias = value
            if values or alias is None:
                return values, seconds
            wanted = alias
        return [], seconds


def build_query(number: int, name: bytes, kind: int) -> bytes:
    """Return a query, as a datagram, for a name's records of one type.

    number: random, 0..65535; the response repeats it. Raises ParseError for text that is no host name.
    """
    question = b""
    for label in name.split(b"."):
        if not 0 < len(label) < 64:
            raise ParseError("a name with 1 to 63 octets between its dots was expected")
        question += bytes((len(label),)) + label
    if len(question) > _MAX_NAME:
        raise ParseError("a name of 253 octets at most was expected")
    return pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + question + pack(">BHH", 0, kind, _IN)


def parse_response(data: bytes, number: int, name: bytes, kind: int) -> Response:
    """Read the response to our query with this number, name and type. Raises ParseError for any other datagram."""
    if len(data) < _HEADER:
        raise ParseError("a DNS header was expected")
    found, flags, questions, answers = unpack_from(">HHHH", data, 0)
    if found != number or flags & 0xF800 != 0x8000 or questions != 1:
        raise ParseError("a DNS response to our question was expected")
    if answers * _RECORD > len(data):
        raise ParseError("no more records than fit was expected")
    asked, at = _read_name(data, _HEADER)
    if asked != name.lower() or data[at : at + 4] != pack(">HH", kind, _IN):
        raise ParseError("a DNS response to our question was expected")
    at += 4
    response = Response(flags & 15, flags & 0x0200 != 0)
    for _ in range(answers):
        owner, at = _read_name(data, at)
        if at + 10 > len(data):
            raise ParseError("a whole DNS record was expected")
        found, group, ttl, size = unpack_from(">HHIH", data, at)
        at += 10
        if at + size > len(data):
            raise ParseError("a whole DNS record was expected")
        if group == _IN and found in (kind, _CNAME):
            if ttl > 0x7FFFFFFF:  # RFC 2181 section 8
                ttl = 0
            response.records.append((owner, found, min(ttl, _LONGEST_TTL), _read_value(data, found, at, size)))
        at += size
    return response


def _read_name(data: bytes, at: int) -> tuple[bytes, int]:
    """Return (name, position behind it). Each pointer must lead further back than the last: no circles."""
    labels: list[bytes] = []
    octets = 0
    after = 0  # position behind the name; set by the first pointer, which ends it
    begin = at
    while at < len(data):
        size = data[at]
        if size == 0:
            return b".".join(labels).lower(), after or at + 1
        if size >= 0xC0:
            if at + 1 >= len(data):
                break
            after = after or at + 2
            at = (size & 0x3F) << 8 | data[at + 1]
            if at >= begin:
                raise ParseError("a pointer to an earlier name was expected")
            begin = at
            continue
        octets += size + 1
        if size > 63 or octets > _MAX_NAME:
            raise ParseError("a name of 253 octets at most was expected")
        labels.append(data[at + 1 : at + 1 + size])
        at += size + 1
    raise ParseError("the end of a name was expected")


def _read_value(data: bytes, kind: int, at: int, size: int) -> object:
    end = at + size
    if kind == A and size == 4:
        return b"%d.%d.%d.%d" % unpack_from("BBBB", data, at)
    if kind == AAAA and size == 16:
        return b":".join([b"%x" % group for group in unpack_from(">HHHHHHHH", data, at)])
    if kind == SRV and size > 6:
        target, after = _read_name(data, at + 6)
        if after == end:
            return unpack_from(">HHH", data, at) + (target,)
    if kind == _CNAME:
        target, after = _read_name(data, at)
        if after == end:
            return target
    raise ParseError("as many octets as a record of this type has were expected")
