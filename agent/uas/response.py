"""What responses are made of: RFC 3261 sections 8.2.6 and 18.2.1, RFC 3581 section 4."""

from ..compat import const
from ..headers.values import Via, param

_MAX_REASON = const(60)


def answer_flow(via: Via, flow: tuple) -> tuple:
    """Return where the answers to a request go whose topmost Via this is, and which came on flow.

    A maddr is not followed, since a third party's address there would make us its weapon.
    """
    if flow[0] == b"UDP" and param(via.params, b"rport") is None:
        return (flow[0], flow[1], via.port or 5060) + flow[3:]
    return flow


def stamped(via: Via, flow: tuple) -> bytes:
    """Return the topmost Via with where the request really came from, whatever the peer says of itself there."""
    semicolon = via.text.find(b";")
    parts = [via.text if semicolon < 0 else via.text[:semicolon].rstrip()]
    source = b";received=" + flow[1] if via.host != flow[1] else b""
    for name, value in via.params:
        if name == b"rport":
            source = b";received=%s;rport=%d" % (flow[1], flow[2])
        elif name != b"received":
            parts.append(name if value is None else name + b"=" + value)
    return b";".join(parts) + source


def echo(vias: list, fields: tuple, tag: bytes) -> bytes:
    """Return the header lines that a response copies from its request.

    vias: the values of Via. fields: those of From, To, Call-ID and CSeq, and more. tag: added to To unless it is b"".
    """
    via = b"\r\nVia: ".join(vias)
    sender, to, call_id, cseq = fields[:4]
    if tag:
        to = b";tag=".join((to.rstrip(b" ;"), tag))
    parts = (
        b"Via: ",
        via,
        b"\r\nFrom: ",
        sender,
        b"\r\nTo: ",
        to,
        b"\r\nCall-ID: ",
        call_id,
        b"\r\nCSeq: ",
        cseq,
        b"\r\n",
    )
    return b"".join(parts)


def response(status: int, reason: bytes, echoed: bytes, fields: bytes = b"") -> bytes:
    """Return the octets of a response without a body; fields: further header lines."""
    line = b"SIP/2.0 %d %s\r\n" % (status, reason[:_MAX_REASON])
    return b"".join((line, echoed, fields, b"Content-Length: 0\r\n\r\n"))
