"""The message/cpim format (RFC 3862): message headers in UTF-8, a blank line, then a MIME entity with the content.

This half reads; agent.cpim.writer writes. An inner Content-Length is ignored: the content runs to the end. Multipart
content is left in one piece.
"""

from ..compat import const
from ..date_reader import day_number
from ..errors import ParseError
from ..headers.date_writer import civil
from ..headers.quoting import closing_quote
from ..headers.values import media_type
from .mime import parse_mime

CORE = b"urn:ietf:params:cpim-headers:"  # the namespace of the names without prefix, until NS says otherwise
_KNOWN = (b"From", b"To", b"cc", b"DateTime", b"Subject", b"NS", b"Require")
_ONCE = (b"From", b"DateTime")
_ADDRESSES = (b"From", b"To", b"cc")
_NAME = b"!#$%&'*+-^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_MAX_HEADERS = const(64)
_MAX_HEAD = const(4096)  # octets of them
_TEXT = b"text/plain;charset=us-ascii"  # MIME's default, RFC 2046 section 5.1


class Cpim:
    """A message/cpim body.

    data: all its octets, for passing it on unchanged. headers: a list of (namespace, name, parameters, value), both
    as written and in order; namespace None: no NS header defines the prefix. content_type: the type of the content.
    body_at: where in data the content begins.
    """

    def __init__(self, data: bytes, headers: list, mime: list, body_at: int) -> None:
        self.data = data
        self.headers = headers
        self.mime = mime  # (name in lower case, value, unfolded) of the content
        self.body_at = body_at

    @property
    def body(self) -> bytes:
        """The content, to the last octet."""
        return self.data[self.body_at :]

    @property
    def content_type(self) -> bytes:
        """The content's type with its parameters."""
        for name, value in self.mime:
            if name == b"content-type":
                return value  # type: ignore[no-any-return]
        return _TEXT

    def get(self, name: bytes, namespace: bytes = CORE) -> bytes | None:
        """Return the first header's value, escapes decoded; None without one. Names are case-sensitive."""
        for found in self.headers:
            if found[1] == name and found[0] == namespace:
                return unescape(found[3])
        return None

    def address(self, name: bytes) -> bytes | None:
        """Return the URI of the first From, To or cc."""
        for found in self.headers:
            if found[1] == name and found[0] == CORE:
                return parse_address(found[3])[1]
        return None

    def unix(self) -> int | None:
        """Return DateTime in Unix seconds; None when it is missing or malformed."""
        return parse_datetime(self.get(b"DateTime"))


def parse_cpim(data: bytes, namespaces: tuple = ()) -> Cpim:
    """Read a message/cpim body.

    namespaces: namespaces, beside the core one, whose headers the caller understands. MIME headers before the message
    headers are skipped: a part of a multipart/signed has them, and old Linphones send them. NS is always read without
    a prefix, so that a message can change the default namespace back.
    Raises ParseError for a body that breaks RFC 3862 section 3, and for a Require of a header that we don't understand.
    """
    at = 0
    if data[:13].lower() == b"content-type:":
        if media_type(data[13 : data.find(b"\r\n")]) != b"message/cpim":
            raise ParseError("message/cpim and nothing else was expected")
        at = data.find(b"\r\n\r\n") + 4
    headers: list = []
    prefixes = {b"": CORE}
    while True:
        end = data.find(b"\r\n", at)
        if end < 0:
            raise ParseError("CRLF and a blank line after the message headers were expected")
        if end == at:
            break
        if len(headers) == _MAX_HEADERS or end > _MAX_HEAD:
            raise ParseError("64 message headers at most were expected, of 4096 octets")
        header = _parse_header(data[at:end], prefixes)
        headers.append(header)
        if header[0] == CORE:
            _check_core(header, headers, prefixes, namespaces)
        at = end + 2
    mime, body_at = parse_mime(data, end + 2)
    return Cpim(data, headers, mime, body_at)


def parse_address(value: bytes) -> tuple[bytes, bytes]:
    """Split a From, To or cc value into (formal name, URI). Raises ParseError (RFC 3862 section 4.1)."""
    at = 0
    if value[:1] == b'"':
        at = _end_of_string(value, 0)
    opening = value.find(b"<", at)
    if opening < 0 or value[-1:] != b">" or opening + 2 == len(value) or value.find(b" ", opening) >= 0:
        raise ParseError("a URI in angle brackets was expected in From, To and cc")
    if at and value[at:opening] not in (b"", b" "):
        raise ParseError("an address after the formal name was expected")
    name = value[1 : at - 1] if at else value[:opening].rstrip(b" ")
    return unescape(name), value[opening + 1 : -1]


def _parse_header(line: bytes, prefixes: dict) -> tuple:
    """Split name ":" *( ";" parameter ) SP value (RFC 3862 section 3.1)."""
    colon = line.find(b":")
    dot = line.find(b".", 0, max(colon, 0))
    prefix = line[:dot] if dot >= 0 else b""
    name = line[dot + 1 : max(colon, 0)]
    if not _is_name(name) or (dot >= 0 and not _is_name(prefix)):
        raise ParseError("a message header of name, colon and value was expected")
    space = at = colon + 1
    while line[at : at + 1] == b";":  # a quoted parameter may have spaces
        space = line.find(b" ", at)
        quote = line.find(b'"', at)
        if 0 <= quote < space:
            space = at = _end_of_string(line, quote)
        else:
            at = space
    if line[space : space + 1] != b" ":
        raise ParseError("one space before a message header's value was expected")
    value = line[space + 1 :]
    if min(line) < 32 or line.find(b"\x7f") >= 0:
        raise ParseError("message headers without control characters were expected")
    if not is_utf8(line):
        raise ParseError("message headers in UTF-8 were expected")
    namespace = CORE if name == b"NS" and not prefix else prefixes.get(prefix)
    return namespace, name, line[colon + 1 : space], value


def _check_core(header: tuple, headers: list, prefixes: dict, namespaces: tuple) -> None:
    name, value = header[1], header[3]
    if name in _ADDRESSES:
        parse_address(value)
    if name in _ONCE and len([1 for found in headers if found[0] == CORE and found[1] == name]) > 1:
        raise ParseError("From and DateTime once at most were expected")
    if name == b"NS":
        opening = value.find(b"<")
        prefix = value[: max(opening, 0)].rstrip(b" ")
        if opening < 0 or value[-1:] != b">" or (prefix and not _is_name(prefix)):
            raise ParseError("a prefix and a URI in angle brackets were expected in NS")
        prefixes[prefix] = value[opening + 1 : -1]
    elif name == b"Require":
        for wanted in value.split(b","):
            wanted = wanted.strip(b" ")
            dot = wanted.find(b".")
            namespace = prefixes.get(wanted[:dot] if dot >= 0 else b"")
            if namespace not in namespaces and (namespace != CORE or wanted[dot + 1 :] not in _KNOWN):
                raise ParseError("a message that requires no header we don't understand was expected")


def _end_of_string(value: bytes, quote: int) -> int:
    """Return the position just behind the quoted string that begins at quote."""
    end = closing_quote(value, quote)
    if end < 0:
        raise ParseError("a closing quote was expected")
    return end + 1


def _is_name(value: bytes) -> bool:
    return len(value) > 0 and not value.strip(_NAME)


def is_utf8(value: bytes) -> bool:
    """Is value well-formed UTF-8? A board's own decoder lets overlong forms and surrogates through."""
    i = 0
    n = len(value) if value and max(value) >= 0x80 else 0
    while i < n:
        c = value[i]
        i += 1
        if c < 0x80:
            continue
        more = 1 if c < 0xE0 else 2 if c < 0xF0 else 3
        if not 0xC2 <= c <= 0xF4 or i + more > n:
            return False
        least = 0xA0 if c == 0xE0 else 0x90 if c == 0xF0 else 0x80
        most = 0x9F if c == 0xED else 0x8F if c == 0xF4 else 0xBF
        if not least <= value[i] <= most:
            return False
        end = i + more
        while i + 1 < end:
            i += 1
            if value[i] & 0xC0 != 0x80:
                return False
        i = end
    return True


_ESCAPES = {b"b": b"\b", b"t": b"\t", b"n": b"\n", b"r": b"\r", b'"': b'"', b"'": b"'", b"\\": b"\\"}


def unescape(value: bytes) -> bytes:
    """Decode the escapes of RFC 3862 section 2.3.2. One it doesn't know, and half a surrogate pair, stay as written."""
    parts = value.split(b"\\")
    out = [parts[0]]
    i = 1
    while i < len(parts):
        part = parts[i]
        if not part and i + 1 < len(parts):  # an escaped backslash: no escape begins with the next part
            i += 1
            out.append(b"\\" + parts[i])
        elif part[:1] in _ESCAPES:
            out.append(_ESCAPES[part[:1]] + part[1:])
        else:
            code = _code(part[:5])
            out.append(b"\\" + part if code is None else chr(code).encode() + part[5:])
        i += 1
    return b"".join(out)


def _code(value: bytes) -> int | None:
    """Return the number in uXXXX; None for other text, and for a surrogate, which is half a character."""
    if len(value) != 5 or value[:1] != b"u":
        return None
    for c in value[1:]:
        if not (48 <= c <= 57 or 97 <= (c | 32) <= 102):
            return None
    code = int(value[1:], 16)
    return None if 0xD800 <= code <= 0xDFFF else code


def parse_datetime(value: bytes | None) -> int | None:
    """Return the Unix seconds of an RFC 3339 date-time, fractions left out; None for anything else."""
    if value is None or len(value) < 20:
        return None
    numbers = []
    for start, end, sign in ((0, 4, b"-"), (5, 7, b"-"), (8, 10, b"Tt"), (11, 13, b":"), (14, 16, b":"), (17, 19, b"")):
        if not value[start:end].isdigit() or (sign and value[end : end + 1] not in sign):
            return None
        numbers.append(int(value[start:end]))
    at = 19
    if value[at : at + 1] == b".":
        at += 1
        while value[at : at + 1].isdigit():
            at += 1
        if at == 20:
            return None
    zone = value[at:]
    offset = 0
    if len(zone) == 6 and zone[:1] in b"+-" and zone[3:4] == b":" and zone[1:3].isdigit() and zone[4:].isdigit():
        if int(zone[1:3]) > 23 or int(zone[4:]) > 59:
            return None
        offset = int(zone[1:3]) * 3600 + int(zone[4:]) * 60
        if zone[:1] == b"-":
            offset = -offset
    elif zone not in (b"Z", b"z"):
        return None
    year, month, day, hour, minute, second = numbers
    if year < 1970 or not 1 <= month <= 12 or hour > 23 or minute > 59 or second > 60:
        return None
    date = day_number(year, month, day)
    if civil(date) != (year, month, day):
        return None
    return (date * 24 + hour) * 3600 + minute * 60 + second - offset
