"""What a board answers to words that its program doesn't define. Loaded by the first of them."""

from agent.compat import const
from mote.limits import has_credit, lost

_COST_MS = const(60000)  # a list a minute for each sender
_CREDIT_MS = const(120000)  # and three at once
_WORDS = {"ack", "help", "interval", "sleep", "status"}


def builtin(mote: object, word: str, event: object, sender: bytes) -> tuple:
    """Return (True, the function) for the words above; for others (False, what lists the commands, or None).

    Automata never answer each other for ever: no list goes to who sends one, nor to what says that it was sent by
    itself (Auto-Submitted, RFC 3834), nor more often than a person needs it.
    """
    if word == "status":
        return True, lambda _: _status(mote)
    if word != "help" and word in _WORDS:
        from mote.acting import acting

        return True, acting(mote, word)
    if word != "help":
        automatic = (event.message.get(b"auto-submitted") or b"no").lower() != b"no"
        payer = b"?%s %s" % (sender, event.flow[1])
        if word == "commands:" or automatic or not has_credit(mote, payer, _COST_MS, _CREDIT_MS):
            return False, None
    return word == "help", lambda _: "commands: " + ", ".join(sorted(_WORDS | set(mote.commands)))


def _status(mote: object) -> str:
    from mote.vitals import vitals

    status = "up %d s, clock: %s, %d octets free, %d alerts waiting" % vitals(mote)
    return status + ", commands that a restart interrupted: %d" % lost if lost else status
