"""Answers to commands that leave protected, as the setting protect says. Loaded by the first one."""

from mote.log import WARNING
from mote.net.sockets import now


def seal_reply(mote: object, event: object, call_id: bytes, body: bytes) -> tuple:
    """Return (body, options) of an answer to a MessageReceived. Raises agent.errors.UsageError."""
    from mote.sealing import seal

    uri = asker(event)
    clock = mote.agent.uac.clock
    sealed = seal(mote, uri, call_id, None, body, 0 if clock is None else clock.unix(now()) or 0)
    if sealed is None:
        mote.log(WARNING, "sent_in_clear", to=uri.decode())
        return body, {}
    return sealed[1], {"content_type": sealed[0]}


def asker(event: object) -> bytes:
    """Return the URI of who has sent a MessageReceived: of who has signed it, else what it says."""
    user = event.user or b""
    return user if user.find(b":") >= 0 else event.sender  # type: ignore[no-any-return]
