"""Writes message/cpim (RFC 3862). Apart from the reader, which a board that only sends it needn't load."""

from ..headers.date_writer import civil


def build_cpim(
    sender: bytes,
    to: bytes,
    body: bytes,
    content_type: bytes = b"text/plain;charset=UTF-8",
    unix: int | None = None,
    subject: bytes | None = None,
    extra: bytes = b"",
    disposition: bytes = b"",
) -> bytes:
    """Return a message/cpim body.

    sender, to: URIs. unix: for DateTime, None without a clock. extra: further header lines, each with its CRLF.
    disposition: for the content's Content-Disposition. Text comes in UTF-8, unescaped.
    """
    out = b"From: <%s>\r\nTo: <%s>\r\n" % (escape(sender), escape(to))
    if unix is not None:
        out += b"DateTime: %s\r\n" % format_datetime(unix)
    if subject is not None:
        out += b"Subject: %s\r\n" % escape(subject)
    out += b"%s\r\nContent-Type: %s\r\n" % (extra, content_type)
    if disposition:
        out += b"Content-Disposition: %s\r\n" % disposition
    return out + b"\r\n" + body


def escape(value: bytes) -> bytes:
    """Return UTF-8 text as a header's value: no control characters, each backslash doubled."""
    out = value.replace(b"\\", b"\\\\")
    for c in value:
        if c < 32 or c == 127:
            break
    else:
        return out
    for code in range(33):
        c = code if code < 32 else 127
        at = b"\b\t\n\r".find(bytes((c,)))
        out = out.replace(bytes((c,)), b"\\" + b"btnr"[at : at + 1] if at >= 0 else b"\\u%04x" % c)
    return out


def format_datetime(unix: int) -> bytes:
    """Return Unix seconds as RFC 3339 has it, e.g. b"2010-11-13T23:29:00Z"."""
    date = unix // 86400
    seconds = unix - date * 86400
    return b"%04d-%02d-%02dT%02d:%02d:%02dZ" % (civil(date) + (seconds // 3600, seconds // 60 % 60, seconds % 60))
