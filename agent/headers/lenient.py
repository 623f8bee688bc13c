"""Header field values with flaws that nothing depends on, read as well as can be. Loaded for the first one.

The functions that are named as in agent.headers.values are the grammar (see agent.message) by which a request is read
again that strictly is none. No rule of RFC 3261 section 8.2 asks to refuse it, and RFC 4475 section 1 leaves it to the
element: a receiver of alarms doesn't lose one for how its sender writes a name.
"""

from ..compat import const
from ..errors import ParseError
from ..uri import parse_uri as _parse_uri
from . import values
from .quoting import closing_quote, split_outside_quotes
from .values import Via, param, parse_cseq  # noqa: F401  # it has no flaws of that kind

_MAX_PARAMS = const(64)  # as in a value without flaws
_MAX_VALUE = const(1024)  # octets: nobody's slip makes more
_SCHEMES = (b"sip:", b"sips:", b"tel:")


def parse_uri(value: bytes) -> "Uri | None":  # type: ignore[name-defined]  # noqa: F821
    """Return what agent.uri.parse_uri makes of a URI, None for what is none."""
    try:
        return _parse_uri(value)
    except ParseError:
        return None


def parse_address(value: bytes) -> tuple[bytes, bytes, list]:
    """Split a From or To value into (display name, URI, parameters), as agent.headers.values.parse_address does.

    The URI is what stands in its place and may be none. Of several in angle brackets it is the last one. It is UTF-8:
    in any other charset its octets become escapes, as they should be in a URI.
    Raises ParseError for an empty value, a long one, and for more parameters than anybody needs.
    """
    if len(value) > _MAX_VALUE:
        raise ParseError("a shorter value was expected")
    try:
        found = values.parse_address(value)
        _parse_uri(found[1])
        return found
    except ParseError:
        if not value:
            raise
    display = b""
    end = closing_quote(value, 0) if value[:1] == b'"' else -1
    if end > 0:
        display = value[1:end]
        value = value[end + 1 :]
    closing = value.find(b">;")
    if closing < 0:
        closing = value.rfind(b">")
    opening = value.rfind(b"<", 0, max(closing, 0))
    if opening >= 0:
        name = value[:opening]
        uri = value[opening + 1 : closing]
        rest = value[closing + 1 :].partition(b";")[2]
    else:
        uri, _, rest = value.partition(b";")
        at = _scheme(uri)
        name = uri[:at]
        uri = uri[at:]
    return display or name.strip(b' \t<"'), _text(uri.strip(b" \t<>")), read_params(rest)


def _text(uri: bytes) -> bytes:
    try:
        uri.decode()
    except UnicodeError:
        return b"".join([bytes((c,)) if c < 127 else b"%%%02X" % c for c in uri])
    return uri


def _scheme(text: bytes) -> int:
    """Return where a URI begins that a name stands before, without angle brackets; 0 where none is seen."""
    text = text.lower()
    for scheme in _SCHEMES:
        at = text.find(scheme)
        if at > 0:
            return at
    return 0


def read_params(value: bytes) -> list:
    """Split what follows the first semicolon, as agent.headers.values.split_params does.

    Empty ones are left out. Of two with one name the first one counts, as param() finds it; but a second tag or branch
    raises ParseError, for by these a request is known.
    """
    try:
        parts = split_outside_quotes(value, b";")
    except ParseError:
        parts = value.split(b";", _MAX_PARAMS + 1)
    params = []
    for part in parts:
        name, equals, content = part.partition(b"=")
        if part.strip():
            params.append((name.strip().lower(), content.strip() if equals else None))
    if len(params) > _MAX_PARAMS:
        raise ParseError("fewer parameters were expected")
    names = [name for name, _ in params]
    if names.count(b"tag") > 1 or names.count(b"branch") > 1:
        raise ParseError("one tag and one branch at most were expected")
    return params


def parse_via(value: bytes) -> Via:
    """Take a Via apart. Raises ParseError where what an answer depends on has flaws.

    With rport that is not the sent-by, such as an IPv6 address without brackets: then it is just what it is.
    """
    if len(value) > _MAX_VALUE:
        raise ParseError("a shorter value was expected")
    head, _, rest = value.partition(b";")
    params = read_params(rest)
    try:
        via = values.parse_via(head)
    except ParseError:
        if param(params, b"rport") is None:
            raise
        protocol, _, sent_by = head.rstrip().rpartition(b" ")
        via = values.parse_via(protocol + b" unreadable")
        via.host = sent_by.lower()
    return Via(via.transport, via.host, via.port, params, value)
