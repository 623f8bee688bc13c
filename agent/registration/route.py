"""Where a registrar wants our messages to go first (RFC 3608). Loaded by the first registration that is told so."""

from ..errors import ParseError
from ..headers.strict import check
from ..headers.values import parse_address
from ..message import Message
from ..uac import Uac
from ..uri import Uri, parse_uri


class ServiceRoute:
    """The way that a registrar wants our messages to go (RFC 3608).

    uri: of its first hop. flow: where that is, or the outbound proxy before it. routes: the values of Service-Route.
    """

    def __init__(self, uri: Uri, flow: tuple, routes: list[bytes]) -> None:
        self.uri = uri
        self.flow = flow
        self._is_loose = uri.param(b"lr") is not None
        self._routes = routes if self._is_loose else routes[1:]

    def lead(self, target: Uri) -> tuple[bytes, bytes]:
        """Return the Request-URI and the Route line for a target (RFC 3261 section 12.2.1.1).

        A first hop without lr, a strict router, is the Request-URI itself; the target is then the end of the Route.
        An im: URI must not be there (RFC 3428 section 5), so that it remains the Request-URI, without a Route.
        """
        if self._is_loose:
            return target.request_uri(), b"Route: %s\r\n" % b", ".join(self._routes)
        if target.scheme == b"im":
            return target.request_uri(), b""
        return self.uri.request_uri(), b"Route: %s\r\n" % b", ".join(self._routes + [b"<%s>" % target.request_uri()])


def read_route(ua: Uac, message: Message) -> ServiceRoute | None:
    """Return the route that a 200 asks for, None for none or a useless one.

    It has sip: and sips: URIs only (RFC 3428 section 5).
    """
    try:
        check(message)  # a line's end in a value would be sent on
        routes = message.members(b"service-route")
        uris = [parse_uri(parse_address(route)[1]) for route in routes]
        if [1 for uri in uris if uri.scheme not in (b"sip", b"sips")]:
            return None
        return ServiceRoute(uris[0], ua.proxy_flow or uris[0].flow(ua.transport), routes)
    except ParseError:
        return None
