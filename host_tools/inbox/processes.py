"""Ends what a command has started and then was stopped, wherever in the tree of processes that is by now.

Whoever leaves the session of a command, or outlives the inbox that ran it, still has the environment of its start: by
one variable in there we know it, on systems with /proc.
"""

import contextlib
import os
import signal
from collections.abc import Iterable
from pathlib import Path

VARIABLE = b"SIPMOTE_RUN"
_MOST_ROUNDS = 10  # for those who start others while we look


def end_marked(values: Iterable[bytes]) -> None:
    """Kill all processes, but us, in whose environment VARIABLE has one of these values."""
    wanted = frozenset(VARIABLE + b"=" + value for value in values)
    if wanted:
        for _ in range(_MOST_ROUNDS):
            if not [place for place in Path("/proc").glob("[0-9]*") if _end(place, wanted)]:
                return


def _end(place: Path, wanted: frozenset[bytes]) -> bool:
    """Kill the process behind a folder of /proc if it is wanted."""
    number = int(place.name)
    with contextlib.suppress(OSError):  # it has ended, or is somebody else's
        if number != os.getpid() and not wanted.isdisjoint((place / "environ").read_bytes().split(b"\0")):
            os.kill(number, signal.SIGKILL)
            return True
    return False
