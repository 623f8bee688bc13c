"""Built-in commands that act: ack, interval, sleep. Loaded by the first of them."""

from agent.compat import const

_TOLD = const(5)  # texts that an answer names


def acting(mote: object, word: str) -> object:
    """Return the function of a Command that does what the word says."""
    if word == "ack":
        return lambda command: _ack(mote, command)
    if word == "interval":
        from mote.intervals import interval

        return lambda command: interval(mote, command.words[1:])
    from mote.power import asked_to_sleep

    return lambda command: asked_to_sleep(mote, "".join(command.words[1:]))


def _ack(mote: object, command: object) -> str:
    """Have what waits for an answer stopped: what has the key that follows the word, or all of it."""
    lanes = getattr(mote.outbox, "lanes", None)  # None, too, with `outbox: false`: nothing waits
    stopped = lanes and lanes.acknowledge(command.text.strip()[3:].strip() or None)
    if not stopped:
        return "nothing waits for an answer"
    more = ", and %d more" % (len(stopped) - _TOLD) if len(stopped) > _TOLD else ""
    return "stopped: " + ", ".join(stopped[:_TOLD]) + more
