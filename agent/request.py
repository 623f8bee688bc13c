"""What a sender wants, and its octets: a MESSAGE of plain text to a URI. full_request.py has all other wishes."""

from .compat import const

BUDGET = 1300  # octets of a request, all headers included (RFC 3428 section 8)
PLAIN = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"
_SIPS_PORT = const(5061)


class Request:
    """One request, whatever it takes to get it through.

    uri: Request-URI. to: URI of To. key: equal for equivalent URIs; one request is pending for each. place: the URI
    whose server has to be looked up first, None when flows has addresses. flows: where to send it, the next one first.
    tag: of From. cseq: the highest that was sent. tried: marks of what was done about refusals.
    """

    method = b"MESSAGE"
    content_line = b"Content-Type: text/plain\r\n"
    hops = b"70"
    expires: int | None = None
    date: int | None = None  # Unix seconds for Date, in place of the time of sending
    route: object | None = None  # a registration's ServiceRoute
    owner: object | None = None  # whose finished() hears of the final response; None makes it an Outcome
    fallback: tuple[bytes, bytes] | None = None  # content type and body for a peer that refuses the first ones
    first_hop: tuple | None = None  # (flow, place) of the proxy or the route, None without one
    last_place: bytes | None = None  # that of the last of flows, when place is not the first one's
    place: bytes | None = None
    cseq = 0
    tried: tuple = ()

    def __init__(self, call_id: bytes, target: tuple, sender: bytes, tag: bytes, body: bytes) -> None:
        """target: as read_target() gives it. sender: URI of From. body: its octets."""
        self.uri, self.to, self.key, flow, place = target
        self.flows: tuple = (flow,)
        if place is not None:  # a board pays for each attribute
            self.place = place
        self.call_id = call_id
        self.sender = sender
        self.tag = tag
        self.body = body

    def encode(self, cseq: int, via: bytes, fields: bytes, now: int, uri: bytes | None = None) -> bytes:
        """Return the octets of one attempt.

        via: the Via line up to the end of the branch. fields: more header lines. uri: in place of our Request-URI.
        """
        return b"".join(  # in one piece: one allocation, and a sixth of what % computes
            (
                self.method,
                b" ",
                uri or self.uri,
                b" SIP/2.0\r\n",
                via,
                b";rport\r\nMax-Forwards: ",
                self.hops,
                b"\r\nFrom: <",
                self.sender,
                b">;tag=",
                self.tag,
                b"\r\nTo: <",
                self.to,
                b">\r\nCall-ID: ",
                self.call_id,
                b"\r\nCSeq: %d " % cseq,
                self.method,
                b"\r\n",
                self.content_line,
                fields,
                b"Content-Length: %d\r\n\r\n" % len(self.body),
                self.body,
            )
        )


def read_target(uri: bytes, transport: bytes, first_flow: tuple | None) -> tuple:
    """Return (Request-URI, To, key, flow, place) of a URI; place is None where flow has an address.

    transport: b"UDP", b"TCP" or b"TLS", where the URI names none. first_flow: where requests go in any case, or None.
    A plain sip:user@host:port is read here, everything else by the grammar. Raises UsageError for no URI to send to.
    """
    user, _, host = uri[4:].partition(b"@")
    host, colon, port = host.lower().partition(b":")
    if (
        uri[:4] != b"sip:"
        or not user
        or user.strip(PLAIN)
        or not host
        or host.strip(PLAIN)
        or (colon and (not port.isdigit() or port[:1] == b"0" or len(port) > 5 or int(port) > 65535))
    ):
        from .target import read_any

        return read_any(uri, transport, first_flow)
    to = b"sip:%s@%s" % (user, host)
    number = int(port) if port else _SIPS_PORT if transport == b"TLS" else 5060
    place = None if host.replace(b".", b"").isdigit() else b"sip:" + host + colon + port
    return to + colon + port, to, b"%s:%s" % (to, port), (transport, host, number), place
