"""Requests with more to them than plain text for a URI. Loaded by the first one."""

from .errors import UsageError
from .headers.delta import parse_delta
from .request import Request
from .target import read_target

_ANYWHERE = (b"TLS",)  # a flow for what is read and not sent to
_OPTIONS = (
    "content_type",
    "date",
    "display",
    "expires",
    "fallback",
    "fields",
    "subject",
    "compact",
    "max_forwards",
    "is_away",
)


class FullRequest(Request):
    """A Request with options.

    content_type, subject: one line of text each; no content type for no body. expires: seconds that the content stays
    valid; adds Date if the time is known. compact: with the short header names of RFC 3261 section 7.3.3. fallback:
    content type and body for a peer that refuses the first ones. date, max_forwards: of a message that is passed on;
    date: Unix seconds, 0 for no Date.
    is_away: it is for nobody whom we were told of, so that credentials for any realm are not for him.
    display: a name to stand before the URI of From, in its quotes. fields: more header lines, each with its CRLF, none
    of a name that we set.
    """

    subject: bytes | None = None
    display: bytes | None = None
    fields = b""
    compact = False

    def __init__(
        self,
        uac: "Uac",  # type: ignore[name-defined]  # noqa: F821
        call_id: bytes,
        target: tuple,
        sender: bytes,
        tag: bytes,
        body: bytes,
        options: dict[str, object],
    ) -> None:
        """Raises UsageError for an unknown option and for a value that would break the request."""
        Request.__init__(self, call_id, target, sender, tag, body)
        self.uac = uac  # whose clock dates it
        self.peer = self.key  # whom it is for, wherever redirects lead
        self.content_type: bytes | None = b"text/plain"
        for name in options:
            if name not in _OPTIONS:
                raise UsageError("there is no option %s for a request" % name)
            value = options[name]
            if name == "max_forwards":
                self.hops = b"%d" % value  # type: ignore[str-format]
            else:
                setattr(self, name, value)
        if self.expires is not None and parse_delta(b"%d" % self.expires) is None:
            raise UsageError("expires: 0 to 4294967295 seconds")
        if self.content_type is None:
            self.content_line = b""
        else:
            check_line(self.content_type)
            self.content_line = b"Content-Type: %s\r\n" % self.content_type
        for line in [self.subject, self.display] + self.fields.split(b"\r\n")[:-1]:
            if line is not None:
                check_line(line)

    def encode(self, cseq: int, via: bytes, fields: bytes, now: int, uri: bytes | None = None) -> bytes:
        """Return the octets of one attempt, as Request.encode() does, with all that was asked for."""
        lines = self.fields
        if self.route is not None:
            uri = self.route.request_uri(self.uri)  # type: ignore[attr-defined]
            lines += self.route.line(self.uri)  # type: ignore[attr-defined]
        if self.expires is not None:
            lines += b"Expires:%d\r\n" % self.expires
        unix = self.date
        if unix is None and self.expires and self.uac.clock is not None:
            unix = self.uac.clock.unix(now)
        if unix:
            from .headers.date_writer import format_date

            lines += b"Date:%s\r\n" % format_date(unix)
        if self.subject is not None:
            lines += b"Subject: %s\r\n" % self.subject
        data = Request.encode(self, cseq, via, lines + fields, now, uri)
        if self.display is not None:
            data = data.replace(b"\r\nFrom: ", b"\r\nFrom: " + self.display + b" ", 1)
        if self.compact:
            from .budget import shorten

            data = shorten(data, len(self.body))
        return data


def full_request(
    uac: "Uac",  # type: ignore[name-defined]  # noqa: F821
    call_id: bytes,
    target: bytes,
    body: bytes,
    flow: tuple | list | None = None,
    sender: bytes | None = None,
    **options: object,
) -> FullRequest:
    """Return a request for target as agent.uac.Uac.request() does: with options, by a proxy or a route, for im: URIs.

    flow: next hop, instead of the proxy or the target; a list has more, to try when the first leads nowhere.
    sender: URI of From, instead of our address-of-record. The others: see FullRequest.
    """
    check_line(call_id)
    settings = uac.settings
    if settings.get("resolve_im") is not None and target[:3].lower() == b"im:":  # RFC 3428 section 5
        target = settings["resolve_im"](target) or target
    flows = [] if flow is None else flow if isinstance(flow, list) else [flow]
    hop = settings.get("first_hop") if uac.route is None else uac.route.first_hop
    read = read_target(target, uac.transport, flows[0] if flows else None if hop is None else hop[0])
    fallback = options.get("fallback")
    if fallback and uac.rescue().has_refused(read[2], options.get("content_type")):
        options["content_type"], body = fallback  # type: ignore[misc]
    if sender is not None:
        read_target(sender, uac.transport, _ANYWHERE)
    request = FullRequest(uac, call_id, read, sender or uac.aor, uac.token(4), body, options)
    request.route = uac.route
    request.first_hop = hop
    if flows:
        request.flows, request.place = tuple(flows), None
    elif hop is not None:
        request.flows, request.place = (hop[0],), hop[1]
    return request


def check_line(value: bytes) -> None:
    """Raise UsageError for what would end a header field, or begin another one: nothing a caller gives may do that."""
    if not value or value.find(b"\r") >= 0 or value.find(b"\n") >= 0 or value.find(b"\0") >= 0:
        raise UsageError("Call-ID, content type, subject and other fields: one line of text each was expected")
