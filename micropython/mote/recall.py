"""What mote.limits has to know of its file of commands before it is written to. Freed when that is done."""

import os
import sys
from errno import ENOENT

from agent.compat import const

_SIZE = const(21)  # octets of a record
_KEPT = const(336)  # octets: 16 marks


def recall(path: str, most: int, is_whole: object, start: int, lost: int) -> tuple:
    """Return the number of this start, how many commands the one before has not ended, and how many records there are.

    most: records that the file may have. is_whole: a function of a record. start: -1 at the first call of a start.
    What is torn, garbled or too much leaves the file. Raises OSError.
    """
    kept, count = _read(path, most, is_whole)
    if start < 0:
        last = kept[-_SIZE] >> 1 if kept else 127
        start = last + 1 & 127
        lost = 0
        for at in range(0, len(kept), _SIZE):
            lost += kept[at] == last << 1
    if count >= most:
        with open(path + ".new", "wb") as file:
            file.write(kept)
        os.rename(path + ".new", path)
        count = len(kept) // _SIZE
    del sys.modules["mote.recall"]
    del sys.modules["mote"].recall
    return start, lost, count


def _read(path: str, most: int, is_whole: object) -> tuple:
    """Return (the last record of each of the last marks, how many records there are: most where one isn't whole)."""
    kept = b""
    count = 0
    try:
        file = open(path, "rb")  # noqa: SIM115
    except OSError as error:
        if error.errno != ENOENT:
            raise
        return kept, 0  # there is none yet
    with file:
        while True:
            record = file.read(_SIZE)
            if not record:
                return kept, count
            if len(record) < _SIZE or not is_whole(record):
                count = most
                continue
            count += 1
            at = kept.find(record[1:17]) - 1
            if at >= 0:
                kept = kept[:at] + kept[at + _SIZE :]
            kept = kept[-(_KEPT - _SIZE) :] + record
