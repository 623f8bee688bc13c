"""How much strangers may make us send: the source of a datagram is whatever its sender says.

A request that leaves because somebody asked for it has a ration of octets, its repetitions included, so that nobody can
turn us on a third party. What was not let out is tried again as its timer says: it leaves if its end has shown by then
that it is there, by a response to a request of ours, which takes the branch that we sent it. Streams show it by their
handshake. What a person types, and what goes to a server of our own, has no ration.
"""

from sipmote.sip.places import Flow

_MAX_PROVED = 4096  # ends of flows


class Rations:
    """One for each shell."""

    def __init__(self) -> None:
        self._left: dict[bytes, int] = {}  # octets, by Call-ID
        self._proved: dict[Flow, None] = {}  # (host, port), the latest last

    def give(self, call_id: bytes, octets: int) -> None:
        """Let the request with this Call-ID take so many octets, all its transmissions together."""
        self._left[call_id] = octets

    def end(self, call_id: bytes) -> None:
        """The request has its outcome, or was never sent."""
        self._left.pop(call_id, None)

    def prove(self, flow: Flow) -> None:
        """The end of a flow has shown that it is there."""
        if flow[0] == b"UDP":
            self._proved.pop(flow[1:3], None)
            self._proved[flow[1:3]] = None
            if len(self._proved) > _MAX_PROVED:
                del self._proved[next(iter(self._proved))]

    def is_proved(self, flow: Flow) -> bool:
        """Has it?"""
        return flow[0] != b"UDP" or flow[1:3] in self._proved

    def allow(self, data: bytes, flow: Flow) -> bool:
        """May this leave? Then it is counted."""
        if not self._left or self.is_proved(flow):
            return True
        call_id = _call_id(data)
        left = self._left.get(call_id)
        if left is None:
            return True
        if len(data) > left:
            return False
        self._left[call_id] = left - len(data)
        return True


def _call_id(data: bytes) -> bytes:
    """Return the Call-ID of a request of ours, in which it has one of two spellings; b"" for a response."""
    for name in (b"\r\nCall-ID: ", b"\r\ni:"):
        _, found, rest = data.partition(name)
        if found:
            return rest[: rest.find(b"\r\n")]
    return b""
