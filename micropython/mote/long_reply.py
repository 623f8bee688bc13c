"""An answer that is over the budget of RFC 3428 section 8: the setting `budget` says what becomes of it."""

from agent.errors import UsageError
from mote.log import ERROR
from mote.net.sockets import now


def reply_fitted(mote: object, event: object, body: bytes) -> None:
    """Send body to who sent a MessageReceived. Where the policy doesn't allow to change it, he is told so.

    Raises agent.errors.UsageError for what can't be sent for another reason than its length.
    """
    agent = mote.agent
    way = {} if agent.uac.is_guided else {"flow": event.flow}
    try:
        bodies, compact = agent.fit(event.sender, body, mote.settings.get("budget", "compact"), **way)
    except UsageError as error:
        mote.log(ERROR, "reply_failed", error=str(error))
        bodies, compact = (b"failed: %s" % str(error).encode(),), True
    for body in bodies:
        mote.shell.carry_out(agent.reply(event, agent.new_call_id(), body, now(), compact))
