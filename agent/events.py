"""What the core hands back: things that happened, and things the shell has to do, in the order to do them.

A flow is where bytes come from and go to: a tuple (transport, host, port, ...) such as (b"UDP", b"192.0.2.7", 5060).
The host has no brackets; where the core made the flow from a URI it may be a name, which the shell resolves. What a
shell appends (the local socket, say) comes back to it with every answer. A stream's flow names the connection.
"""


class Event:
    """A record; its fields are the names in __slots__, in the order the constructor takes them."""

    __slots__: tuple[str, ...] = ()

    def __init__(self, *values: object) -> None:
        slots = self.__slots__
        for i in range(len(slots)):
            setattr(self, slots[i], values[i])

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        return "%s(%s)" % (type(self).__name__, ", ".join([repr(getattr(self, name)) for name in self.__slots__]))


class Transmit(Event):
    """Send data on flow; for a stream flow that isn't open, open it."""

    __slots__ = ("data", "flow")

    def __init__(self, data: bytes, flow: tuple) -> None:  # spelled out for speed: half the instructions on a board
        self.data = data
        self.flow = flow


class Outcome(Event):
    """The one result of a MESSAGE that was sent; nothing more will be said about this Call-ID."""

    __slots__ = ("call_id", "name", "status", "reason", "retry_after")

    def __init__(self, call_id: bytes, name: str, status: int, reason: bytes, retry_after: bytes | None) -> None:
        self.call_id = call_id
        self.name = (
            name  # "delivered" (2xx), "accepted" (202), "failed" (3xx-5xx), "refused" (6xx), "timeout" (Timer F)
        )
        self.status = status  # of the final response; 408 for Timer F, 503 for a transport error
        self.reason = reason
        self.retry_after = retry_after  # value of the response's Retry-After


class MessageReceived(Event):
    """A MESSAGE for us has come. Take care of it (store it), then call UserAgent.respond with this event."""

    __slots__ = ("message", "flow", "sender", "call_id", "date", "expired", "stale", "key", "user")
    message: "Message"  # type: ignore[name-defined]  # noqa: F821  # agent.message.Message
    flow: tuple
    sender: bytes  # URI of its From field, e.g. b"sip:boiler@example.org"
    call_id: bytes
    date: int | None  # Unix seconds of its Date field, when there is a valid one
    expired: bool | None  # has its Expires run out? None: not to be known without a clock
    stale: bool | None  # is its Date minutes off our clock (RFC 3428 section 11)? None as above
    key: bytes  # the server transaction that waits for the answer
    user: bytes | None  # who has authenticated for it, with a UserAgent.authenticator


class Dropped(Event):
    """Bytes that came and led to nothing."""

    __slots__ = ("reason", "flow")
    reason: str
    flow: tuple
