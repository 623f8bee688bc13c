"""What strangers send to be expensive: kinds of datagrams, in any size. The same every time."""

from collections.abc import Iterator

from tests.helpers import MESSAGE, changed, with_body

_FIRST = {  # a field begins so, so that what follows is looked at
    b"Via": b"SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bK776sgdkse;x=",
    b"From": b"<sip:boiler@example.org>;tag=1;x=",
    b"To": b"<sip:desk@example.org>;x=",
    b"Call-ID": b"a",
    b"CSeq": b"1",
    b"Contact": b"<sip:a@b>;x=",
    b"Content-Type": b"text/plain;x=",
    b"Content-Length": b"1",
    b"Authorization": b"Digest realm=",
    b"Require": b"a",
    b"Subject": b"a",
    b"Date": b"a",
    b"Expires": b"1",
    b"Timestamp": b"1",
}
_PIECES = (
    *(b",", b'"', b"\\", b";", b"<", b">", b"%", b"=", b"/", b":", b"0", b" ", b"a", b"@", b"\t", b"&", b"\0", b"\xff"),
    *(b"a,", b'""', b'"\\"', b'\\"', b"a;", b";a", b";a=1", b"<>", b"%41", b'a="b",', b"<a>,", b"\r\n ", b'"",', b"a "),
)
_NUMBERED = (b"a%d=1,", b'a%d="\\"b",', b";a%d", b';a%d="b"', b"<sip:a%d>,", b"a%d ", b",a%d", b"\r\n a%d")
_LINES = (
    *(b"v\r\n", b"X: y\r\n", b"v: SIP/2.0/UDP a\r\n", b"f\r\n", b":\r\n", b"t: a\r\n", b"X:\r\n \r\n", b"i: 1\r\n"),
    *(b"Require: a\r\n", b"Authorization: Digest a=b\r\n", b"\r\n \r\n", b"Contact: <sip:a@b>\r\n", b"l: 1\r\n"),
)
_URIS = (b"sip:", b"sip:desk@example.org;x=", b"sip:desk@example.org?a=", b"tel:1")
_STATUS = b"SIP/2.0 401 Unauthorized\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa\r\n"
_CPIM = b"From: <sip:a@b>\r\nTo: <sip:desk@example.org>\r\n"
_BODIES = (  # content type, how the body begins, how it goes on, how it ends
    (b"text/plain", b"", b"\xc3\xa4\0", b""),
    (b"text/plain", b"Message-ID: ", b"a\r\nMessage-ID: ", b""),
    (b"message/cpim", _CPIM, b"X.a: b\r\n", b"\r\n\r\nhello"),
    (b"message/cpim", _CPIM + b"Subject: ", b"\\u0041", b"\r\n\r\n\r\nhello"),
    (b"message/cpim", _CPIM + b"Subject:;a=", b'"\\""', b" x\r\n\r\n\r\nhello"),
    (b"message/cpim", _CPIM + b"Require: ", b"a,", b"\r\n\r\n\r\nhello"),
    (b"message/cpim", _CPIM + b"\r\n", b"X: y\r\n", b"\r\nhello"),
    (b"message/cpim", _CPIM + b"\r\nContent-Type: text/plain\r\n", b" a\r\n", b"\r\nhello"),
    (b"multipart/mixed;boundary=a", b"--a\r\n\r\n", b"--a\r\n\r\n", b"--a--\r\n"),
    (b"application/im-iscomposing+xml", b"", b"<state>", b""),
    (b"application/pkcs7-mime;smime-type=enveloped-data", b"", b"\x30\x80", b""),
)


def datagrams(octets: int) -> Iterator[tuple[str, bytes]]:
    """Give (what is odd, a datagram of about so many octets)."""
    for name in _FIRST:
        for piece in _PIECES:
            value = piece * (octets // len(piece))
            yield f"{name!r} of {piece!r}", _with(name, value)
            yield f"{name!r}, begun well, of {piece!r}", _with(name, _FIRST[name] + value)
        for piece in _NUMBERED:
            value = b"".join([piece % i for i in range(octets // len(piece))])[:octets]
            yield f"{name!r}, numbered, of {piece!r}", _with(name, _FIRST[name] + value)
    for line in _LINES:
        lines = line * (octets // len(line))
        yield f"lines {line!r} first", changed(MESSAGE, b"Via:", lines + b"Via:")
        yield f"lines {line!r} last", changed(MESSAGE, b"Content-Length:", lines + b"Content-Length:")
        yield f"a response of {line!r}", _STATUS + lines + b"\r\n"
        yield f"no end after {line!r}", MESSAGE[: MESSAGE.find(b"Via:")] + lines
    for piece in _PIECES:
        yield f"nothing but {piece!r}", piece * (octets // len(piece))
        for first in _URIS:
            uri = first + piece * (octets // len(piece))
            yield f"a URI {first!r} of {piece!r}", changed(MESSAGE, b"MESSAGE sip:desk@", b"MESSAGE " + uri)
    for kind, first, piece, last in _BODIES:
        body = first + piece * ((octets - len(first + last)) // len(piece)) + last
        yield f"a body {kind!r} of {piece!r}", changed(with_body(body), b"text/plain", kind)


def _with(name: bytes, value: bytes) -> bytes:
    """Return a message with this value of a field, in place of its own if it has one."""
    line = b"\r\n" + name + b": "
    at = MESSAGE.find(line)
    if at < 0:
        return changed(MESSAGE, b"\r\nContent-Length:", line + value + b"\r\nContent-Length:")
    return MESSAGE[:at] + line + value + MESSAGE[MESSAGE.find(b"\r\n", at + 2) :]
