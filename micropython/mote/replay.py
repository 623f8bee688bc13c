"""The newest date of each signer whose commands were taken: a message sent again isn't a command. Loaded on demand.

/smime/seen has for each the Unix seconds, and the digests of those of that second. A board without a clock is safe,
too: nothing that it has taken is taken once more.
"""

import json
import os

from agent.errors import UsageError

PATH = "/smime/seen"


def is_new(uri: str, unix: int, digest: str) -> bool | None:
    """May what is signed be taken? None for what was taken before. Raises UsageError where nobody can tell.

    uri: the signer's. unix: the date that is signed, in seconds. digest: of what is signed.
    """
    newest, *digests = _read().get(uri, (-1,))
    if unix == newest and digest in digests:
        return None
    return unix >= newest  # type: ignore[no-any-return]


def remember(uri: str, unix: int, digest: str) -> None:
    """Have it known that this was taken, over restarts. Raises OSError."""
    known = _read()
    found = known.get(uri, (-1,))
    known[uri] = (found if found[0] == unix else [unix]) + [digest]
    with open(PATH + ".new", "w") as file:
        json.dump(known, file)
    os.rename(PATH + ".new", PATH)


def _read() -> dict:
    try:
        with open(PATH) as file:
            return json.load(file)  # type: ignore[no-any-return]
    except OSError:
        return {}
    except ValueError:
        raise UsageError("%s is damaged: sipmote provision --protect removes it" % PATH)
