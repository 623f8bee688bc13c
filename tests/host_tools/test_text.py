"""R0-P15: text in the charsets, codings and structures that the field sends is shown as text, or marked."""

import gzip
import tracemalloc
import zlib

import pytest

from sipmote.agent.errors import ParseError
from sipmote.inbox.text import MAX_UNPACKED, decoded, inflate, text_of


@pytest.mark.parametrize(
    ("charset", "octets", "text"),
    [
        ("utf-8", b"\xef\xbb\xbf\xc3\xbc", "ü"),
        ("UTF8", b"\xc3\xbc", "ü"),
        ("us-ascii", b"\xc3\xbc", "ü"),
        ("ascii", b"hi", "hi"),
        ("ANSI_X3.4-1968", b"hi", "hi"),
        ("latin1", b"\xfc", "ü"),
        ("ISO_8859-1:1987", b"\xfc", "ü"),
        ("iso8859-2", b"\xf8", "ř"),
        ("latin2", b"\xf8", "ř"),
        ("ISO-8859-5", b"\xbf", "П"),
        ("ISO-8859-7", b"\xf6", "φ"),
        ("iso-8859-15", b"\xa4", "€"),
        ("windows-1250", b"\xf8", "ř"),
        ("cp1252", b"\x80", "€"),
        ("Windows-1251", b"\xcf", "П"),
        ("win-1251", b"\xcf", "П"),
        ("windows-1256", b"\xc7", "\u0627"),
        ("IBM850", b"\x81", "ü"),
        ("cp866", b"\x8f", "П"),
        ("KOI8-R", b"\xf0", "П"),
        ("koi8-u", b"\xa4", "є"),
        ("TIS-620", b"\xa1", "ก"),
        ("UTF-16", "hi €".encode("utf-16-be"), "hi €"),  # RFC 2781 section 4.3
        ("UTF-16", "\ufeffhi €".encode("utf-16-be"), "hi €"),
        ("UTF-16", "\ufeffhi €".encode("utf-16-le"), "hi €"),
        ("utf-16be", "hi €".encode("utf-16-be"), "hi €"),
        ("utf-16le", "hi €".encode("utf-16-le"), "hi €"),
        ("UTF-16LE", "\ufeffhi €".encode("utf-16-le"), "hi €"),
        ("ISO-10646-UCS-2", "hi €".encode("utf-16-be"), "hi €"),
        ("UCS-2", "\ufeffhi €".encode("utf-16-le"), "hi €"),
        ("utf-32", "€".encode("utf-32-be"), "€"),
        ("UTF-32LE", "€".encode("utf-32-le"), "€"),
        ("utf-32", "\ufeff€".encode("utf-32-le"), "€"),
        ("UTF-7", b"+IKw- 5", "€ 5"),
        ("GB2312", b"\xb1\xa8\xbe\xaf", "报警"),
        ("GB2312", "镕".encode("gbk"), "镕"),  # of GBK, which is what is meant
        ("GBK", b"\xb1\xa8", "报"),
        ("gb18030", "㐀".encode("gb18030"), "㐀"),
        ("cp936", b"\xb1\xa8", "报"),
        ("HZ-GB-2312", b"~{1(~}", "报"),
        ("Big5", b"\xb3\xf8", "報"),
        ("Shift_JIS", b"\x93\xfa", "日"),
        ("x-sjis", "①".encode("cp932"), "①"),
        ("EUC-JP", b"\xc6\xfc", "日"),
        ("ISO-2022-JP", b"\x1b$BF|\x1b(B", "日"),
        ("EUC-KR", b"\xb0\xe6", "경"),
        ("ks_c_5601-1987", b"\xb0\xe6", "경"),
    ],
)
def test_each_charset_by_the_names_that_people_give_it(charset: str, octets: bytes, text: str) -> None:
    for content_type in (
        f"text/plain;charset={charset}",
        f'Text / Plain ; Format=flowed ; CharSet = "{charset.upper()}"',
        f"text/plain; charset='{charset}'",
        f"text/plain;charset={charset};",
        f"text/plain;;charset={charset};format=;x y",
    ):
        assert text_of(content_type, octets) == (text, False), content_type


@pytest.mark.parametrize(
    ("content_type", "octets", "text", "damaged"),
    [
        ("text/plain", b"\xc3\xbc", "ü", False),
        ("text/plain", b"ok \xff", "ok \ufffd", True),
        ("text/plain", "\ufeff€".encode("utf-16-le"), "€", False),
        ("text/plain;charset=", b"\xc3\xbc", "ü", False),
        ("text/plain;" + "x;" * 100, b"\xc3\xbc", "ü", False),
        ("text/plain;charset=unheard-of", b"plain\r\n", "plain\r\n", False),
        ("text/plain;charset=unheard-of", b"p\0l", "p\0l", True),
        ("text/plain;charset=unheard-of", b"\x1b$)C", "\x1b$)C", True),
        ("text/plain;charset=unheard-of", b"\xc3\xbc", "ü", True),
        ("text/plain;charset=idna", b"xn--", "xn--", False),  # a codec of Python, and no charset
        ("text/plain;charset=utf-16", b"\0h\0", "h\ufffd", True),
        ("text/plain;charset=utf-7", b"+2AA-", "?", True),
        ("text/plain;charset=shift_jis", b"\x93", "\ufffd", True),
        ("text/plain;charset=windows-1251", b"\xff\xfe", "яю", False),
        ("text/plain;charset=latin1", b"\xef\xbb\xbfhi", "hi", False),
        ("image/png", b"\x89PNG", None, False),
        ("application/octet-stream", b"hi", None, False),
        ("", b"hi", None, False),
        ("image/png", b"", "", False),
    ],
)
def test_what_cannot_be_read_is_marked(content_type: str, octets: bytes, text: str | None, damaged: bool) -> None:
    assert text_of(content_type, octets) == (text, damaged)


_XML = '<?xml version="1.0" encoding="%s"?>\n<a>报警</a>'


@pytest.mark.parametrize(
    ("content_type", "octets", "text"),
    [
        ("application/json", '{"t": "ü"}'.encode(), '{"t": "ü"}'),
        ("application/json; charset=latin1", b'"\xfc"', '"ü"'),
        ("application/json", '{"t": 1}'.encode("utf-16-le"), '{"t": 1}'),
        ("application/json", '["t"]'.encode("utf-16-be"), '["t"]'),
        ("application/senml+json", b"[]", "[]"),
        ("Application/MANSCDP+xml", (_XML % "GB2312").encode("gb2312"), _XML % "GB2312"),
        ("application/xml", (_XML % "utf-8").encode(), _XML % "utf-8"),
        ("text/xml", (_XML % "gbk").replace('"', "'").encode("gbk"), (_XML % "gbk").replace('"', "'")),
        ("application/xml;charset=utf-8", (_XML % "gbk").encode(), _XML % "gbk"),  # RFC 7303 section 3
        ("application/xml;charset=gbk", b"\xef\xbb\xbf" + (_XML % "gbk").encode(), _XML % "gbk"),
        ("application/xml", (_XML % "utf-16").encode("utf-16-be"), _XML % "utf-16"),
        ("application/xml", (_XML % "utf-16").encode(), _XML % "utf-16"),  # it isn't: else we could not read that
        ("application/scaip+xml", b"<mrq/>", "<mrq/>"),
    ],
)
def test_json_and_xml_are_text(content_type: str, octets: bytes, text: str) -> None:
    """RFC 8259 section 8.1, RFC 7303 section 3"""
    assert text_of(content_type, octets) == (text, False)


def _multipart(kind: str, *parts: bytes, boundary: bytes = b"b") -> tuple[str, bytes]:
    body = b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts)
    return f'multipart/{kind}; boundary="{boundary.decode()}"', b"preamble\r\n" + body + b"--" + boundary + b"--\r\nend"


_PLAIN = b"Content-Type: text/plain; charset=latin1\r\n\r\n\xfc"
_HTML = b"content-type : text/html\r\n\r\n<b>"
_IMAGE = b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw=="
_BASE64 = b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\nw7w=\r\n"
_QUOTED = b"Content-Transfer-Encoding: quoted-printable\r\n\r\n=C3=BC"


@pytest.mark.parametrize(
    ("content_type", "body", "text"),
    [
        (*_multipart("mixed", _IMAGE, _PLAIN, _BASE64), "ü"),
        (*_multipart("alternative", _HTML, _BASE64), "ü"),
        (*_multipart("Related", _HTML, _IMAGE), "<b>"),
        (*_multipart("mixed", _QUOTED), "ü"),
        (*_multipart("mixed", b"\r\nno header"), "no header"),
        (*_multipart("mixed", b"\r\n"), ""),
        (*_multipart("mixed", b"Content-Type: application/json\r\n\r\n{}", _IMAGE), "{}"),
        (*_multipart("mixed", _IMAGE), None),
        (*_multipart("mixed"), None),
        ("multipart/mixed", b"--b\r\n\r\nhi\r\n--b--", None),
        ("multipart/mixed;boundary=b;", b"--b  \r\n\r\nhi\r\nho\r\n--b--", "hi\r\nho"),
        ("multipart/mixed;boundary=b", b"--b\r\n\r\nhi", "hi"),
        ("multipart/mixed;boundary=b", b"--b", None),
        ("multipart/mixed;boundary=b", b"--b\nContent-Type: text/plain\n\nhi\n--b--\n", "hi"),
        ("multipart/mixed;boundary=b", b"--b\r\nno header\r\n--b\r\n\r\nhi\r\n--b--", "hi"),
    ],
)
def test_of_a_multipart_the_first_text_is_shown(content_type: str, body: bytes, text: str | None) -> None:
    """RFC 2046 section 5.1: text/plain before any other"""
    assert text_of(content_type, body) == (text, False)


def test_multiparts_in_each_other_are_opened_four_deep() -> None:
    kind, body = _multipart("alternative", _HTML, _PLAIN, boundary=b"bbbbb")
    for n in range(4, 0, -1):
        assert text_of(kind, body) == ("ü", False), n
        inner = f"Content-Type: {kind}\r\n\r\n".encode() + body
        kind, body = _multipart("mixed", _IMAGE, inner, boundary=b"b" * n)  # they begin alike
    assert text_of(kind, body) == (None, False)


@pytest.mark.parametrize(
    ("encoding", "content", "expected"),
    [
        (b"base64", b"SGVpw58h\r\n", b"Hei\xc3\x9f!"),
        (b" BASE64", b"SGVp\r\nw58h\r\n", b"Hei\xc3\x9f!"),
        (b"base64", b"SGVpw", b"SGVpw"),
        (b"quoted-printable", b"Hei=C3=9f=\r\n! =3D  \r\n", b"Hei\xc3\x9f! =  \r\n"),
        (b"Quoted-Printable", b"a= \t\r\nb=\nc=", b"abc"),
        (b"quoted-printable", b"1=2 =Z9 =4", b"1=2 =Z9 =4"),
        (b"8bit", b"a=41", b"a=41"),
        (b"x-unheard-of", b"SGVp", b"SGVp"),
    ],
)
def test_what_was_encoded_for_the_way_is_decoded(encoding: bytes, content: bytes, expected: bytes) -> None:
    """RFC 2045 section 6; what is neither base64 nor quoted-printable stays as it is"""
    fields = [(b"content-type", b"text/plain"), (b"content-transfer-encoding", encoding)]
    assert decoded(content, fields) == expected
    assert decoded(content, fields[:1]) == content


def test_64_parts_are_looked_at() -> None:
    """whatever 64 KB of delimiters cost"""
    for n, text in ((63, "ü"), (64, None)):
        kind, body = _multipart("mixed", *[_IMAGE] * n, _PLAIN)
        assert text_of(kind, body) == (text, False)


def test_packed_bodies_are_unpacked_and_bounded() -> None:
    """a small body that becomes a large one costs what the limit says"""
    body = "Keller: 81 °C".encode()
    raw = zlib.compressobj(wbits=-15)
    for packed, encoding in (
        (zlib.compress(body), b"deflate"),
        (raw.compress(body) + raw.flush(), b"deflate"),  # as some wrote it who took RFC 2616 at its word
        (gzip.compress(body), b"gzip"),
        (zlib.compress(body) + b"\r\n", b"deflate"),
    ):
        assert inflate(packed, encoding) == body
    assert len(inflate(zlib.compress(bytes(MAX_UNPACKED)), b"deflate")) == MAX_UNPACKED
    bomb = zlib.compress(bytes(30_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(ParseError) as refused:
            inflate(bomb, b"deflate")
        assert tracemalloc.get_traced_memory()[1] < 4 * MAX_UNPACKED
    finally:
        tracemalloc.stop()
    assert refused.value.status == 413
    for packed, encoding in (
        (zlib.compress(body)[:-5], b"deflate"),
        (zlib.compress(body), b"gzip"),
        (gzip.compress(body), b"deflate"),
        (b"no such thing", b"deflate"),
        (b"", b"gzip"),
    ):
        with pytest.raises(ParseError) as refused:
            inflate(packed, encoding)
        assert refused.value.status == 400
