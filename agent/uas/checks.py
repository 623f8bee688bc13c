"""What a UAS reads of a request before it does anything else: RFC 3261 sections 8.1.1, 8.2.2, 17.2.3 and 18.2."""

from ..errors import ParseError
from ..headers.values import param
from ..message import Message
from .response import answer_flow, stamped

_ONCE = b"call-id cseq from to max-forwards content-type date expires"


class Incoming:
    """A request that can be processed, and what was read of it.

    message: the request. flow: where it came from. answer_flow: where its answers go. vias: what they have as Via.
    sender: URI of From. call_id: Call-ID. to_tag: b"" outside a dialog. uri: the Request-URI, a Uri.
    merged: what copies of it that came another way share (section 8.2.2.2). key: what its repetitions share, too.
    """

    def __init__(self, message: Message, flow: tuple) -> None:
        """Read a request. Raises ParseError when it can't be processed."""
        self.message = message
        self.flow = flow
        self.vias = message.members(b"via")
        via = message.via()
        self.vias[0] = stamped(via, flow)
        self.answer_flow = answer_flow(via, flow)
        message.check(_ONCE)
        if message.missing():
            raise ParseError("a body as long as Content-Length says was expected")
        method = message.method
        self.call_id = message.get(b"call-id")
        cseq = message.get(b"cseq")
        if not self.call_id or cseq is None:
            raise ParseError("Call-ID and CSeq were expected")
        if message.cseq()[1] != method:
            raise ParseError("the same method in CSeq as in the request line was expected")
        _, self.sender, params = message.address(b"from")
        message.parse_uri(self.sender)
        from_tag = param(params, b"tag") or b""  # absent, as RFC 2543 allowed
        _, to, params = message.address(b"to")
        message.parse_uri(to)
        self.to_tag = param(params, b"tag") or b""
        self.uri = message.parse_uri(message.uri)
        if method == b"MESSAGE" and message.body and message.get(b"content-type") is None:
            raise ParseError("a Content-Type for the body was expected")
        self.merged = b"%s %s %s" % (from_tag, self.call_id, cseq)
        branch = (param(via.params, b"branch") or b"").lower()
        if branch[:7] == b"z9hg4bk" and len(branch) > 7:
            self.key = b"%s %s %d %s" % (branch, via.host, via.port or 5060, method)
        else:  # a peer of RFC 2543
            self.key = b"%s %s %s %s %s" % (message.uri, self.to_tag, self.merged, via.text, method)
