"""The text in a body: which charset, which part, how it is packed (RFC 3261 section 7.4, RFC 2046, RFC 7303)."""

import re
import zlib
from binascii import a2b_base64, a2b_qp
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

from sipmote.agent.cpim.mime import parse_mime
from sipmote.agent.errors import ParseError
from sipmote.agent.headers.lenient import read_params
from sipmote.agent.headers.values import media_type, param

MAX_UNPACKED = 65536  # octets that a packed body may have
_MAX_DEPTH = 4  # of multiparts in each other
_MAX_PARTS = 64  # of all of them
_LONGEST = 1024  # characters of a content type; what is behind them isn't read
_UTF_8 = "utf-8"

# Charset names without signs, in lower case, and Python's. No others are looked up: Python searches files for a name it
# doesn't know, and remembers it for ever. Where senders mean more than they say, it is the larger set: GBK is sent as
# GB2312, and windows-932 as Shift_JIS.
_CODECS = {
    **dict.fromkeys(("utf8", "usascii", "ascii", "ansix341968", "iso646us", "unicode11utf8"), _UTF_8),
    **dict.fromkeys(("utf16", "utf16be", "ucs2", "iso10646ucs2", "unicode", "csunicode"), "utf-16-be"),  # RFC 2781 4.3
    "utf16le": "utf-16-le",
    **dict.fromkeys(("utf32", "utf32be", "ucs4", "iso10646ucs4"), "utf-32-be"),
    "utf32le": "utf-32-le",
    "utf7": "utf-7",
    **dict.fromkeys(
        ("gb18030", "gb2312", "gb231280", "gbk", "cp936", "windows936", "ms936", "euccn", "xgbk"), "gb18030"
    ),
    **dict.fromkeys(("hz", "hzgb2312"), "hz"),
    **dict.fromkeys(("big5", "cp950", "windows950", "xbig5", "csbig5"), "cp950"),
    "big5hkscs": "big5hkscs",
    **dict.fromkeys(("shiftjis", "sjis", "xsjis", "mskanji", "cp932", "windows31j", "windows932"), "cp932"),
    **dict.fromkeys(("eucjp", "xeucjp"), "euc_jp"),
    **dict.fromkeys(("iso2022jp", "csiso2022jp", "iso2022jp1", "iso2022jp2"), "iso2022_jp_2"),
    **dict.fromkeys(("euckr", "ksc56011987", "ksc5601", "cp949", "uhc", "windows949"), "cp949"),
    "iso2022kr": "iso2022_kr",
    "johab": "johab",
    **dict.fromkeys(("koi8r", "koi8", "cskoi8r"), "koi8_r"),
    "koi8u": "koi8_u",
    **dict.fromkeys(("tis620", "windows874", "cp874"), "cp874"),
    **dict.fromkeys(("macintosh", "macroman"), "mac_roman"),
    **{f"{name}{page}": f"cp{page}" for page in range(1250, 1259) for name in ("windows", "cp", "xcp", "win")},
    **{f"{name}{page}": f"cp{page}" for page in (437, 850, 852, 855, 858, 862, 866) for name in ("ibm", "cp")},
    **{f"iso8859{part}": f"iso8859-{part}" for part in range(1, 17) if part != 12},
    **{f"{name}{n}": f"iso8859-{part}" for n, part in enumerate((1, 2, 3, 4, 9, 10), 1) for name in ("latin", "l")},
    "latin9": "iso8859-15",
    "latin10": "iso8859-16",
}
_MARKS = (  # byte order marks, the longer ones first
    (b"\0\0\xfe\xff", "utf-32-be"),
    (b"\xff\xfe\0\0", "utf-32-le"),
    (b"\xef\xbb\xbf", _UTF_8),
    (b"\xfe\xff", "utf-16-be"),
    (b"\xff\xfe", "utf-16-le"),
)
_FIRST = [mark[:1] for mark, _ in _MARKS]
_MARK = "\ufeff"
_ENCODING = re.compile(rb"""\s*<\?xml\s[^>]{0,200}?\bencoding\s*=\s*["']([\w.:-]{1,40})["']""")  # RFC 7303 section 3.1
_BLANKS = re.compile(rb"=[ \t]++(?=\r?\n)")  # that were put at a line's end on the way
_SIGNS = re.compile("[^a-z0-9]+")
_PLAIN = re.compile(rb"[\t\r\n -~]*").fullmatch  # what nearly all charsets read alike
_STRUCTURED = ("application/json", "application/xml", "text/xml")


@dataclass(frozen=True, slots=True)
class _Type:
    """A content type: type/subtype in lower case, and of its parameters what matters here.

    codec: Python's name for the charset, UTF-8 without one, None for one that we don't read. boundary: b"" without one.
    """

    kind: str
    is_structured: bool
    has_charset: bool
    codec: str | None
    boundary: bytes

    @property
    def is_multipart(self) -> bool:
        return self.kind.startswith("multipart/")

    @property
    def is_text(self) -> bool:
        return self.is_structured or self.kind.startswith("text/")


def text_of(content_type: str, body: bytes) -> tuple[str | None, bool]:
    """Return the text in a body, None without any, and whether some octets of it were no characters.

    content_type: as in the header field. Of a multipart it is that of the first part of text/plain, else of the first
    one that is text at all.
    """
    type = _type(content_type)
    if type.is_multipart:
        return _first_text(type, body)
    return _text(type, body) if type.is_text or not body else (None, False)


def is_multipart(content_type: str) -> bool:
    """Is there perhaps more in such a body than its text?"""
    return _type(content_type).is_multipart


def decoded(content: bytes, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return content as it was before base64 or quoted-printable (RFC 2045 section 6).

    It is returned as it is where it has no such encoding, or a bad one. fields: names in lower case, and values.
    """
    for name, value in fields:
        if name == b"content-transfer-encoding":
            encoding = value.strip().lower()
            if encoding == b"quoted-printable":
                return a2b_qp(_BLANKS.sub(b"=", content))
            if encoding == b"base64":
                with suppress(ValueError):
                    return a2b_base64(content)
    return content


def inflate(packed: bytes, encoding: bytes) -> bytes:
    """Unpack a body with Content-Encoding deflate or gzip; raises ParseError for a bad one and one that is too long."""
    for form in (31,) if encoding == b"gzip" else (15, -15):  # deflate is zlib's format, but not for everybody
        unpacker = zlib.decompressobj(form)
        try:
            body = unpacker.decompress(packed, MAX_UNPACKED + 1)
        except zlib.error:
            continue
        if len(body) > MAX_UNPACKED:
            raise ParseError("a shorter body was expected", 413)
        if unpacker.eof:
            return body
    raise ParseError("a body that can be unpacked was expected")


def _type(value: str) -> _Type:
    return _read_type(value[:_LONGEST])


@lru_cache(64)
def _read_type(value: str) -> _Type:
    octets = value.encode()
    kind = media_type(octets).decode(errors="replace")
    _, semicolon, rest = octets.partition(b";")
    try:
        params = read_params(rest) if semicolon else []
    except ParseError:
        params = []
    charset = _unquoted(param(params, b"charset")).decode("latin-1").lower()
    codec = _CODECS.get(_SIGNS.sub("", charset.partition(":")[0])) if charset else _UTF_8
    is_structured = kind in _STRUCTURED or kind.endswith(("+json", "+xml"))
    return _Type(kind, is_structured, bool(charset), codec, _unquoted(param(params, b"boundary")))


def _text(type: _Type, body: bytes) -> tuple[str, bool]:
    """Return text_of() a body that is text."""
    codec = _codec(type, body)
    try:
        text = body.decode(codec or _UTF_8)
        if codec == "utf-7":
            text.encode()  # it lets halves of characters through
    except UnicodeError:
        return body.decode(codec or _UTF_8, "replace").encode(errors="replace").decode().removeprefix(_MARK), True
    return text.removeprefix(_MARK), codec is None and not _PLAIN(body)


def _unquoted(value: bytes | None) -> bytes:
    """Return the value of a parameter without its quotes, of which people use both kinds; b"" without one."""
    return (value or b"").strip(b" \t\"'")


def _codec(type: _Type, body: bytes) -> str | None:
    """Return Python's name for a body's charset, None for one that we don't read.

    A byte order mark knows best, unless another charset is named in which its octets are letters. JSON and XML may say
    it themselves; nobody else says nothing and means anything but UTF-8.
    """
    codec = type.codec
    if body[:1] in _FIRST:
        for mark, marked in _MARKS:
            if body.startswith(mark) and (codec is None or codec.startswith("utf-") or marked == _UTF_8):
                return marked
    return codec if type.has_charset or not type.is_structured else _codec_inside(body)


def _codec_inside(body: bytes) -> str | None:
    """Return _codec() of JSON or XML, by what it says itself."""
    if body[:2] in (b"\0<", b"\0{", b"\0["):
        return "utf-16-be"
    if body[:1] in (b"<", b"{", b"[") and body[1:2] == b"\0":
        return "utf-16-le"
    said = _ENCODING.match(body)
    if said is None:
        return _UTF_8
    codec = _CODECS.get(_SIGNS.sub("", said[1].decode().lower()))
    return _UTF_8 if codec and codec.startswith(("utf-16", "utf-32")) else codec  # what could be read was not in that


def _first_text(type: _Type, body: bytes) -> tuple[str | None, bool]:
    """Return text_of() a multipart."""
    found: tuple[str | None, bool] = None, False
    if b"\r\n" not in body:
        body = body.replace(b"\n", b"\r\n")  # a gateway's line ends
    for inner, fields, content in islice(_entities(type, body, 1), _MAX_PARTS):
        if inner.is_text and (found[0] is None or inner.kind == "text/plain"):
            found = _text(inner, decoded(content, fields))
            if inner.kind == "text/plain":
                break
    return found


def _entities(type: _Type, body: bytes, depth: int) -> Iterator[tuple[_Type, list[tuple[bytes, bytes]], bytes]]:
    """Yield type, header fields and content of each part, a multipart before what is in it."""
    for part in _parts(body, type.boundary) if type.boundary else ():
        try:
            fields, at = parse_mime(part, 0)
        except ParseError:  # none that we can read
            fields, at = [(b"content-type", b"")], len(part)
        inner = _type(dict(reversed(fields)).get(b"content-type", b"text/plain").decode("utf-8", "backslashreplace"))
        yield inner, fields, part[at:]
        if inner.is_multipart and depth < _MAX_DEPTH:
            yield from _entities(inner, part[at:], depth + 1)


def _parts(body: bytes, boundary: bytes) -> Iterator[bytes]:
    """Yield the parts of a multipart (RFC 2046 section 5.1.1), also of one that has no end."""
    body = b"\r\n" + body
    delimiter = b"\r\n--" + boundary
    begin = 0
    at = body.find(delimiter)
    while at >= 0:
        end = body.find(b"\r\n", at + 2)
        line = body[at + len(delimiter) : end if end >= 0 else len(body)].rstrip(b" \t")
        if line in (b"", b"--"):  # else it is the delimiter of a multipart inside
            if begin:
                yield body[begin:at]
            if line or end < 0:
                return
            begin = end + 2
        at = body.find(delimiter, end if end >= 0 else len(body))
    if begin:
        yield body[begin:]
