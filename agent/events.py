"""What the core hands back: things that happened, and things the shell has to do, in the order to do them."""


class Event:
    """A record; its fields are the names in __slots__, in the order the constructor takes them."""

    __slots__: tuple[str, ...] = ()

    def __init__(self, *values: object) -> None:
        slots = self.__slots__
        for i in range(len(slots)):
            setattr(self, slots[i], values[i])

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return False
        for name in self.__slots__:  # noqa: SIM110 (no generator object on a board)
            if getattr(self, name) != getattr(other, name):
                return False
        return True

    def __repr__(self) -> str:
        return "%s(%s)" % (type(self).__name__, ", ".join([repr(getattr(self, name)) for name in self.__slots__]))


class Transmit(Event):
    """Send data on flow; for a stream flow that isn't open, open it."""

    __slots__ = ("data", "flow")
    data: bytes
    flow: tuple  # type: ignore[type-arg]  # (transport, host, port, whatever the shell appended)


class Outcome(Event):
    """The one result of a MESSAGE that was sent; nothing more will be said about this Call-ID."""

    __slots__ = ("call_id", "name", "status", "reason")
    call_id: bytes
    name: str  # "delivered" (2xx), "accepted" (202), "failed" (3xx-5xx), "refused" (6xx), "timeout" (Timer F)
    status: int  # of the final response; 408 for Timer F, 503 for a transport error
    reason: bytes


class MessageReceived(Event):
    """A MESSAGE for us has come. Take care of it (store it), then call UserAgent.respond with this event."""

    __slots__ = ("message", "flow", "expired", "stale", "date", "key")
    message: "Message"  # type: ignore[name-defined]  # noqa: F821  # agent.message.Message
    flow: tuple  # type: ignore[type-arg]
    expired: "bool | None"  # its Expires has run out; None when that can't be known without a clock
    stale: "bool | None"  # its Date is minutes off our clock (RFC 3428 section 11); None as above
    date: "int | None"  # Unix seconds of its Date header field
    key: bytes  # names the server transaction that waits for the answer


class Dropped(Event):
    """Bytes that came and led to nothing."""

    __slots__ = ("reason", "flow")
    reason: str
    flow: tuple  # type: ignore[type-arg]


class Disconnect(Event):
    """Close this stream: its framing is lost (RFC 3261 section 18.3)."""

    __slots__ = ("flow",)
    flow: tuple  # type: ignore[type-arg]
