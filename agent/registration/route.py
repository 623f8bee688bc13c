"""Where a registrar wants our messages to go first (RFC 3608). Loaded by the first registration that is told so."""

from ..any_target import place_of
from ..errors import ParseError
from ..headers.values import parse_address
from ..message import Message
from ..uri import Uri, parse_uri


class ServiceRoute:
    """The way that a registrar wants our messages to go (RFC 3608).

    uri: of its first hop. first_hop: (flow, place) of that, or of the outbound proxy before it (by_proxy).
    """

    def __init__(self, uri: Uri, first_hop: tuple, by_proxy: bool, routes: list[bytes]) -> None:
        """routes: the values of Service-Route."""
        self.uri = uri.request_uri()
        self.first_hop = first_hop
        self.by_proxy = by_proxy
        self._is_loose = uri.param(b"lr") is not None
        self._routes = routes if self._is_loose else routes[1:]

    def request_uri(self, target: bytes) -> bytes:
        """Return the Request-URI for a target (RFC 3261 section 12.2.1.1).

        A first hop without lr, a strict router, is the Request-URI itself; the target is then the end of the Route. An
        im: URI must not be there (RFC 3428 section 5), so that it remains the Request-URI, without a Route.
        """
        return target if self._is_loose or target[:3].lower() == b"im:" else self.uri

    def line(self, target: bytes) -> bytes:
        """Return the Route line for a target, b"" for none."""
        if self._is_loose:
            return b"Route: %s\r\n" % b", ".join(self._routes)
        if target[:3].lower() == b"im:":
            return b""
        return b"Route: %s\r\n" % b", ".join(self._routes + [b"<%s>" % target])


def read_route(response: Message, transport: bytes, proxy: tuple | None) -> ServiceRoute | None:
    """Return the route that a 200 asks for, None for none or a useless one; it has sip: and sips: URIs only (RFC 3428
    section 5).

    transport: where a URI names none. proxy: (flow, place) of the outbound proxy, None without one.
    """
    try:
        response.check()  # a line's end in a value would be sent on
        routes = response.members(b"service-route")
        uris = [parse_uri(parse_address(route)[1]) for route in routes]
        if [1 for uri in uris if uri.scheme not in (b"sip", b"sips")]:
            return None
        first_hop = proxy or (uris[0].flow(transport), place_of(uris[0]))
        return ServiceRoute(uris[0], first_hop, proxy is not None, routes)
    except ParseError:
        return None
