"""Commands that a restart has interrupted, and those that flash takes no mark of. Loaded by the first of them."""

from mote.ignored import ignore
from mote.limits import write
from mote.log import ERROR

_INTERRUPTED = b"interrupted: the board has restarted meanwhile, and this command may have run or not; send it anew"


def interrupted(mote: object, event: object, mark: bytes, reply: object) -> None:
    """Answer the repetition of a command that was accepted and not ended before the board started anew.

    reply: a function of mote, event, a text, and a list.
    """
    ignore(mote, event, 200, "interrupted")
    reply(mote, event, _INTERRUPTED, [])
    try:
        write(mark, True)  # from now on it is repeated, no more
    except OSError as error:
        mote.log(ERROR, "mark_failed", error=repr(error))


def can_do_without(mote: object, event: object, word: str, error: OSError) -> bool:
    """May a command run that has no mark on flash? What acts could run twice, and is refused; help and status don't."""
    mote.log(ERROR, "mark_failed", error=repr(error))
    if word not in mote.commands and word not in ("ack", "interval", "sleep"):
        return True
    ignore(mote, event, 500, "flash failed")
    return False
