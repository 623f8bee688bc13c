"""The next flow, after one that failed, was silent, or answered 503 (RFC 3263 section 4.3)."""

from ..changed import changed
from ..headers.delta import retry_after_s
from ..message import Message
from ..peers import Peers
from ..request import Request
from ..uri import parse_uri


def amend(request: Request, status: int, response: Message | None, peers: Peers, now: int) -> Request | None:
    """Return the same request for its next flow, None when there is none; see agent.recovery.amend().

    It keeps its CSeq. Another server may challenge for the same realms, with nonces of its own.
    """
    seconds = 0 if response is None else retry_after_s(response.get(b"retry-after"))
    peers.bury(request.flows[0], seconds, now)
    flows = request.flows[1:]
    if not flows and response is None and status == 503:
        flows = _udp_flows(request)
    if not flows:
        return None
    tried = tuple([b"flow" if mark.find(b" ") > 0 else mark for mark in request.tried])  # a field and its realm
    place = request.last_place if len(flows) == 1 else None
    return changed(request, flows=flows, place=place, cseq=request.cseq - 1, tried=tried + (b"flow",))


def _udp_flows(request: Request) -> tuple:
    """Return the flow over UDP where our preference alone led to TCP: the peer may have none (RFC 3261 18.1.1)."""
    flow = request.flows[0]
    route = request.route
    if flow[0] != b"TCP" or request.place is not None or (route is None and request.first_hop is not None):
        return ()
    uri = parse_uri(request.uri if route is None else route.uri)  # type: ignore[attr-defined]
    if uri.param(b"transport") is not None or uri.scheme != b"sip" or flow != uri.flow(b"TCP"):
        return ()
    if route is not None and route.by_proxy:  # type: ignore[attr-defined]
        return ()
    return ((b"UDP",) + flow[1:],)
