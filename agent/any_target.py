"""URIs that are more than a plain target, by the grammar. Loaded by the first one."""

from .errors import ParseError, UsageError
from .uri import Uri, parse_uri


def read_any(uri: bytes, transport: bytes, first_flow: tuple | None) -> tuple:
    """Return what agent.target.read_target() does. Raises UsageError that says what is wrong with the target."""
    try:
        parsed = parse_uri(uri)
        flow = parsed.flow(transport) if first_flow is None else first_flow
    except ParseError as error:
        raise UsageError("target: %s (an im: or tel: URI needs a proxy)" % error.detail)
    if parsed.scheme == b"sips" and flow[0] != b"TLS":
        raise UsageError("a sips: target is sent over TLS only")
    return (parsed.request_uri(), parsed.address_of_record(), parsed.key(), flow, place_of(parsed))


def place_of(uri: Uri) -> bytes | None:
    """Return the URI to look up for where a URI leads: without its user. None for an address, and for no host."""
    host = uri.param(b"maddr") or uri.host
    if not host or host.find(b":") >= 0 or host.replace(b".", b"").isdigit():
        return None
    return Uri(uri.scheme, None, uri.host, uri.port, uri.params).request_uri()
