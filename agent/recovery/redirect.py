"""Turning to another URI, because a 3xx says so (RFC 3261 sections 8.1.3.4 and 21.3).

A request remembers the host that it set out for, home: None once a proxy that nobody here has named takes it. is_away
says that it goes to another one. Whoever made it go there, nobody has said that he may try his luck at our password.
"""

from ..any_target import place_of
from ..changed import changed
from ..compat import const
from ..errors import ParseError
from ..headers.quoting import split_list
from ..headers.values import param, parse_address
from ..message import Message
from ..peers import Peers
from ..request import Request
from ..uri import Uri, parse_uri

_USE_PROXY = const(305)
_BEST = const(1000)  # a q value of 1, in thousandths
_MOST = const(16)  # Contacts that are looked at
_LONGEST = const(4096)  # octets of a line of them


def amend(request: Request, status: int, response: Message | None, peers: Peers, now: int) -> Request | None:
    """Return the request for the best Contact that was not tried yet; see agent.recovery.amend().

    The others are kept in its attribute contacts, for when that one fails, too. The Contact of a 305 is no target but
    the proxy that is to take this request.
    """
    if response is None:
        return None
    contacts = best_first(response.all(b"contact"))
    if status == _USE_PROXY:
        return _through(request, contacts)
    return turn_to(request, contacts + getattr(request, "contacts", ()))


def best_first(values: list[bytes]) -> tuple:
    """Return the URIs in Contact values, those with the highest q first (RFC 3261 section 20.10); 1 without a q.

    Nobody has more than a handful: what comes beyond that is left.
    """
    found: list = []
    for value in values[:_MOST]:
        if len(value) > _LONGEST:
            continue
        try:
            for contact in split_list(value)[:_MOST]:
                _, uri, params = parse_address(contact)
                found.append((-_thousandths(param(params, b"q")), len(found), uri))
        except ParseError:
            continue  # what stands before it, and in other lines, is as good as it was
    found.sort()
    return tuple([uri for _, _, uri in found])


def _thousandths(q: bytes | None) -> int:
    whole, _, part = (q or b"1").partition(b".")
    if whole not in (b"0", b"1") or len(part) > 3 or (part and not part.isdigit()):
        return _BEST
    return min(int(whole + (part + b"000")[:3]), _BEST)


def turn_to(request: Request, contacts: tuple) -> Request | None:
    """Return the request for the first of these URIs that was not tried yet, never from sips to sip; None without one.

    An im: or tel: URI is for a proxy to make something of (RFC 3428 section 4); other schemes are nobody's here.
    """
    tried = request.tried if request.key in request.tried else request.tried + (request.key,)
    schemes = (b"sip", b"sips") if request.first_hop is None else (b"sip", b"sips", b"im", b"tel")
    for i in range(len(contacts)):
        try:
            uri = parse_uri(contacts[i])
            flow, place = request.first_hop or (uri.flow(request.flows[0][0]), place_of(uri))
        except ParseError:
            continue
        is_secure = uri.scheme == b"sips"
        key = getattr(request, "lane", b"") + uri.key()  # a reply never gets in front of other messages
        if key in tried or uri.scheme not in schemes or (_is_secure(request) and not is_secure):
            continue
        if is_secure and flow[0] != b"TLS":
            continue
        home = _home(request)
        more = {"tried": tried + (key,), "contacts": contacts[i + 1 :], "home": home, "is_away": home != _host(uri)}
        return changed(request, uri=uri.request_uri(), key=key, flows=(flow,), place=place, **more)
    return None


def _through(request: Request, proxies: tuple) -> Request | None:
    """Return the same request for the first of these proxies that it was not sent to yet, a secure one over TLS."""
    for proxy in proxies:
        try:
            uri = parse_uri(proxy)
            flow = uri.flow(request.flows[0][0])
        except ParseError:
            continue
        mark = b"305:" + uri.key()
        if mark in request.tried or (_is_secure(request) and flow[0] != b"TLS"):
            continue
        hop = (flow, place_of(uri))
        is_away = _home(request) != _host(uri)
        more = {"tried": request.tried + (mark,), "home": None if is_away else _home(request), "is_away": is_away}
        return changed(request, first_hop=hop, flows=(flow,), place=hop[1], route=None, **more)
    return None


def _home(request: Request) -> bytes | None:
    return request.home if hasattr(request, "home") else _host(parse_uri(request.uri))


def _host(uri: Uri) -> bytes:
    return uri.param(b"maddr") or uri.host


def _is_secure(request: Request) -> bool:
    return request.uri[:5].lower() == b"sips:"  # type: ignore[no-any-return]
