"""What a UAS reads of a request before it does anything else: RFC 3261 sections 8.1.1, 8.2.2, 17.2.3 and 18.2."""

from ..errors import ParseError
from ..headers.values import param
from ..message import Message
from .response import answer_flow, stamped

ONCE = b"call-id cseq from to max-forwards content-type date expires"
_READ = b"from to call-id cseq content-type date timestamp require content-encoding content-disposition"


class Incoming:
    """A request that can be processed, and what was read of it.

    message: the request. flow: where it came from. answer_flow: where its answers go. vias: what they have as Via.
    fields: the values of From, To, Call-ID, CSeq, Content-Type, Date, Timestamp, Require, Content-Encoding and
    Content-Disposition, None for what is not there.
    sender: URI of From; as it stands there where it is none. to_tag: b"" outside a dialog. uri: the Request-URI, a Uri.
    merged: what copies of it that came another way share (section 8.2.2.2). key: what its repetitions share, too.
    """

    def __init__(self, message: Message, flow: tuple, grammar: "Any") -> None:  # type: ignore[name-defined]  # noqa: F821
        """Read a request. grammar: as Message.grammar. Raises ParseError when it can't be processed."""
        method = message.method
        self.message = message
        self.flow = flow
        self.vias = message.members(b"via")
        if not self.vias:
            raise ParseError("a Via was expected")
        via = grammar.parse_via(self.vias[0])
        self.vias[0] = stamped(via, flow)
        self.answer_flow = answer_flow(via, flow)
        message.check(ONCE)
        if message.missing():
            raise ParseError("a body as long as Content-Length says was expected")
        self.fields = message.values(_READ)
        sender, to, call_id, cseq = self.fields[:4]
        if sender is None or to is None or not call_id or cseq is None:
            raise ParseError("From, To, Call-ID and CSeq were expected")
        if grammar.parse_cseq(cseq)[1] != method:
            raise ParseError("the same method in CSeq as in the request line was expected")
        _, self.sender, params = grammar.parse_address(sender)
        grammar.parse_uri(self.sender)
        from_tag = param(params, b"tag") or b""  # absent, as RFC 2543 allowed
        _, to, params = grammar.parse_address(to)
        grammar.parse_uri(to)
        self.to_tag = param(params, b"tag") or b""
        self.uri = grammar.parse_uri(message.uri)
        if method == b"MESSAGE" and self.fields[4] is None and message.body:
            raise ParseError("a Content-Type for the body was expected")
        self.merged = b" ".join((from_tag, call_id, cseq))
        branch = (param(via.params, b"branch") or b"").lower()
        if branch[:7] == b"z9hg4bk" and len(branch) > 7:
            self.key = b" ".join((branch, via.host, b"%d" % (via.port or 5060), method))
        else:  # a peer of RFC 2543
            self.key = b" ".join((message.uri, self.to_tag, self.merged, via.text, method))
