"""An answer that is over the budget of RFC 3428 section 8: the setting `budget` says what becomes of it.

One that is protected, too.
"""

from agent.errors import UsageError
from agent.reply import in_reply_to
from mote.log import ERROR
from mote.net.sockets import now


def reply_fitted(mote: object, event: object, body: bytes, parts: list) -> None:
    """Send body to who sent a MessageReceived. Where the policy doesn't allow to change it, he is told so.

    parts: [], and after a MemoryError what it is then: those that are still to be sent.
    Raises agent.errors.UsageError for what can't be sent for another reason than its length.
    """
    agent = mote.agent
    if not parts:
        parts += _fitted(mote, event, body)
    while parts:
        body, compact = parts[0]
        call_id = agent.new_call_id()
        options = {}
        if mote.settings.get("protect"):
            from mote.sealed_reply import seal_reply

            body, options = seal_reply(mote, event, call_id, body)
        events = agent.reply(event, call_id, body, now(), compact, **options)
        parts.pop(0)
        mote.shell.carry_out(events)


def _fitted(mote: object, event: object, body: bytes) -> list:
    """Return (octets, are names compact?) of each part."""
    agent = mote.agent
    way = {"fields": in_reply_to(event)}
    if not agent.uac.is_guided:
        way["flow"] = event.flow
    try:
        if mote.settings.get("protect"):
            from mote.beside import fit
            from mote.sealed_reply import asker

            bodies, compact = fit(mote, asker(event), body, way)
        else:
            bodies, compact = agent.fit(event.sender, body, mote.settings.get("budget", "compact"), **way)
    except UsageError as error:
        mote.log(ERROR, "reply_failed", error=str(error))
        told = str(error).partition(";")[0]  # which settings leave more room is for the log: it has to fit, too
        bodies, compact = (b"failed: %s" % told.encode(),), True
    return [(body, compact) for body in bodies]
