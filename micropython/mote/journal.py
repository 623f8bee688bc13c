"""The journal of the outbox is read, and cut; mote.outbox.Journal writes it. Loaded by the first who needs it."""

import os
from binascii import crc32
from struct import unpack

from agent.compat import const

_FRONT = ">BBIII2sBIHH5H"  # see parts_of()
_FRONT_SIZE = const(35)
HEAD = 8  # octets: kind and size of the content, checksum (mote.outbox)
_LONGEST = const(4096)
_PUT = const(1)  # kinds, see mote.outbox
_END = const(2)


def read_all(path: str) -> object:
    """Yield (kind, offset, content) of each whole record, and (0, offset, b"") where others are garbled.

    The last is (None, offset where what counts ends, octets of the file). Raises OSError.
    """
    try:
        os.stat(path)
        remove(path + ".new")  # of a rewriting that power was cut in
    except OSError:
        os.rename(path + ".new", path)  # FAT takes one name away before it gives it to the other
    at = end = 0
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        while at < size:
            found = _read(file, at)
            if found is None:
                at += 1
                continue
            if at > end:
                yield 0, end, b""
            yield found[0], at, found[1]
            at = end = at + HEAD + len(found[1])
    yield None, end, size


def load(path: str, offset: int) -> bytes | None:
    """Return the content of the record at offset, None for what can't be read there. Raises OSError."""
    with open(path, "rb") as file:
        found = _read(file, offset)
    return found and found[1]


def parts_of(content: bytes) -> tuple:
    """Return what stands in the record of an alert.

    (priority, quality of the clock, expires, Unix time and uptime when it was raised, start, flags, seconds before
    which it isn't sent, group, how often it was repeated), (Call-ID, target, key, body, text of a fallback).
    Raises ValueError for what another version may have written.
    """
    front = unpack(_FRONT, content[:_FRONT_SIZE])
    parts = []
    at = _FRONT_SIZE
    for size in front[10:]:
        parts.append(content[at : at + size])
        at += size
    if at != len(content):
        raise ValueError
    return front[:10], tuple(parts)


def cut(path: str, octets: int) -> None:
    """Cut a file off there. Raises OSError."""
    if octets == 0:
        remove(path)
        return
    try:
        with open(path, "rb") as old, open(path + ".new", "wb") as new:
            while octets:
                data = old.read(min(octets, 512))
                if not data:
                    raise OSError("somebody else cut it short")
                octets -= new.write(data)
    except Exception:
        remove(path + ".new")  # a start would take it for the journal
        raise
    os.rename(path + ".new", path)


def tidy(path: str) -> None:
    """Take the new file away that didn't become the journal; not where it is all that there is."""
    try:
        os.stat(path)
    except OSError:
        return
    remove(path + ".new")


def remove(path: str) -> None:
    """Take a file away, if there is one."""
    try:
        os.remove(path)
    except OSError:
        pass  # there is none


def _read(file: object, offset: int) -> tuple | None:
    """Return (kind, content) of the record at an offset of a file, None if there is no whole one."""
    file.seek(offset)
    head = file.read(HEAD)
    if len(head) < HEAD:
        return None
    front, checksum = unpack(">II", head)
    kind, size = front >> 16, front & 0xFFFF
    if not _PUT <= kind <= _END or size > _LONGEST:
        return None
    content = file.read(size)
    if len(content) < size or crc32(content, front) != checksum:
        return None
    return kind, content
