"""What goes wrong in a program: a line that can't be, a function that lets an exception out. Loaded by the first."""

import sys
from io import StringIO

from agent.compat import const
from agent.errors import UsageError

_PLACES = const(3)
_BEGIN = '  File "'
_NO_LINE = '", line 1, in '  # what is compiled without line numbers: our modules, the firmware's


def command(word: str) -> None:
    """Raise agent.errors.UsageError for a command that no message could name."""
    raise UsageError("command: %r is not one word; what follows the word is in message.words" % (word,))


def told(error: BaseException) -> dict:
    """Return the fields of a record about an exception: error, and at where it was raised."""
    try:
        return {"error": repr(error), "at": where(error)}
    except MemoryError:
        raise
    except Exception:  # one of the program's own, whose __repr__ or __str__ fails
        return {"error": type(error).__name__}


def where(error: BaseException) -> str:
    """Return the last places that an exception came through, the one where it was raised last: "main.py:12 boiler"."""
    traceback = StringIO()
    sys.print_exception(error, traceback)
    lines = [line[len(_BEGIN) :] for line in traceback.getvalue().split("\n") if line.startswith(_BEGIN)]
    places = [line.replace(_NO_LINE, " ").replace('", line ', ":").replace(", in ", " ") for line in lines[1:]]
    return ", ".join(places[-_PLACES:])  # the first one is ours
