"""Requests with more to them than plain text for a URI, and copies of requests with changes. Loaded by the first one."""

from .errors import UsageError
from .headers.delta import parse_delta
from .request import Request

_OPTIONS = (
    "content_type",
    "date",
    "expires",
    "fallback",
    "method",
    "extra",
    "owner",
    "route",
    "subject",
    "compact",
    "max_forwards",
)


class FullRequest(Request):
    """A Request with options.

    content_type, subject: one line of text each. expires: seconds that the content stays valid; adds Date if the time is
    known. compact: with the short header names of RFC 3261 section 7.3.3. fallback: content type and body for a peer
    that refuses the first ones with 415. date, max_forwards: of a message that is passed on.
    method, extra (header lines), owner: of a request that is no MESSAGE. route: a registration's ServiceRoute.
    """

    subject: bytes | None = None
    compact = False
    extra = b""

    def __init__(
        self, call_id: bytes, target: tuple, sender: bytes, tag: bytes, body: bytes, options: dict[str, object]
    ) -> None:
        """Raises UsageError for an unknown option and for a value that would break the request."""
        Request.__init__(self, call_id, target, sender, tag, body)
        self.peer = self.key  # whom it is for, wherever redirects lead
        self.content_type: bytes | None = b"text/plain"
        for name in options:
            if name not in _OPTIONS:
                raise UsageError("there is no option %s for a request" % name)
            value = options[name]
            if name == "max_forwards":
                self.hops = b"%d" % value
            else:
                setattr(self, name, value)
        if self.expires is not None and parse_delta(b"%d" % self.expires) is None:
            raise UsageError("expires: 0 to 4294967295 seconds")
        if self.content_type is None:
            self.content_line = b""
        else:
            check_line(self.content_type)
            self.content_line = b"Content-Type: %s\r\n" % self.content_type
        if self.subject is not None:
            check_line(self.subject)

    def encode(self, uri: bytes, cseq: int, via: bytes, unix: int | None, credentials: bytes) -> bytes:
        """Return the octets of one attempt, as Request.encode() does."""
        data = Request.encode(self, uri, cseq, via, unix, credentials)
        if self.compact:
            from .budget import shorten

            data = shorten(data, len(self.body))
        return data

    def fields(self, unix: int | None) -> bytes:
        """Return further header lines; unix as in encode()."""
        lines = self.extra
        if self.route is not None:
            lines += self.route.line(self.uri)  # type: ignore[attr-defined]
        if self.expires is not None:
            lines += b"Expires:%d\r\n" % self.expires
        if unix is not None:
            from .headers.date_writer import format_date

            lines += b"Date:%s\r\n" % format_date(unix)
        if self.subject is not None:
            lines += b"Subject: %s\r\n" % self.subject
        return lines


def check_line(value: bytes) -> None:
    """Raise UsageError for what would end a header field, or begin another one: nothing a caller gives may do that."""
    if not value or value.find(b"\r") >= 0 or value.find(b"\n") >= 0 or value.find(b"\0") >= 0:
        raise UsageError("Call-ID, content type and subject: one line of text each was expected")
