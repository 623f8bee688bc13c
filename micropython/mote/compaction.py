"""Rewriting a journal of which little counts. Loaded when it is due, which is seldom, and freed then."""

import os
import sys

from mote.journal import HEAD, load, remove


def rewrite(path: str, lists: list, keys: dict, handles: dict, changed: object = None) -> tuple:
    """Keep of a journal the records at these offsets alone; the lists get those in the new one, each in its place.

    keys: of which the values are tuples of such offsets. handles: by such offsets. changed: a function that makes a
    record of a content, None to leave them. Returns both with those of the new one, and the octets of that. Raises
    OSError and MemoryError; then nothing has changed. Memory is taken for one more list of what waits, and no more,
    before the first octet is written.
    """
    places = [0] * (sum([len(offsets) for offsets in lists]) + 1)
    _write_anew(path, lists, places, changed)
    new_keys, new_handles = {}, {}
    for key in keys:
        new_keys[key] = tuple([places[_index(lists, offset)] for offset in keys[key]])
    for offset in handles:
        new_handles[places[_index(lists, offset)]] = handles[offset]
    os.rename(path + ".new", path)
    at = 0
    for offsets in lists:
        for number in range(len(offsets)):
            offsets[number] = places[at]
            at += 1
    del sys.modules["mote.compaction"]
    del sys.modules["mote"].compaction
    return new_keys, new_handles, places[at]


def _index(lists: list, offset: int) -> int:
    """Return the how-manieth of all an offset is."""
    at = 0
    for offsets in lists:
        if offset in offsets:
            return at + offsets.index(offset)
        at += len(offsets)
    raise ValueError(offset)


def _write_anew(path: str, lists: list, places: list, changed: object) -> None:
    """Write the records at these offsets alone to a new file; places gets their offsets there, and the octets of all.

    Raises OSError. What is there counts until os.rename() has put the new one in its place.
    """
    at = 0
    try:
        with open(path, "rb") as old, open(path + ".new", "wb") as new:
            for offsets in lists:
                for offset in offsets:
                    content = load(path, offset) or b""
                    old.seek(offset)
                    data = changed(content) if changed and content else old.read(HEAD + len(content))
                    places[at + 1] = places[at] + new.write(data)
                    at += 1
    except Exception:
        remove(path + ".new")
        raise
