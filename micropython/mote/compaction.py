"""Rewriting a journal of which little counts. Loaded when it is due, which is seldom, and freed then."""

import sys

from mote.journal import HEAD, load, remove


def compacted(path: str, lanes: list, held: object, keys: dict, handles: dict) -> tuple:
    """Write what waits to a new file; returns (lists, keys, handles) with the offsets there.

    The lists are of each lane and of what is held, then the octets of all. Raises OSError. The file at path counts
    until os.rename() has put the new one in its place.
    """
    old = []
    for lane in lanes:
        old += lane[2]
    if held is not None:
        old += [entry[3] for entry in held.entries]
    new = _write_anew(path, old)
    octets = new.pop()
    lists = []
    at = 0
    for lane in lanes:
        lists.append(new[at : at + len(lane[2])])
        at += len(lane[2])
    lists.append(new[at:])
    lists.append(octets)
    new_keys, new_handles = {}, {}
    for key in keys:
        new_keys[key] = new[old.index(keys[key])]
    for offset in handles:
        new_handles[new[old.index(offset)]] = handles[offset]
    del sys.modules["mote.compaction"]
    del sys.modules["mote"].compaction
    return lists, new_keys, new_handles


def _write_anew(path: str, offsets: list) -> list:
    """Write the records at these offsets alone to a new file; returns their offsets there, and the octets of all.

    Raises OSError. What is there counts until os.rename() has put the new one in its place.
    """
    places = [0]
    try:
        with open(path, "rb") as old, open(path + ".new", "wb") as new:
            for offset in offsets:
                content = load(path, offset) or b""
                old.seek(offset)
                places.append(places[-1] + new.write(old.read(HEAD + len(content))))
    except Exception:
        remove(path + ".new")
        raise
    return places
