"""A journal on flash: records are appended to one file, and what has ended leaves it when it is rewritten.

A record is its kind, its size, the CRC-32 of all the rest, and its content. What a power cut left half-written at the
end is cut off at the next start; what was synced before is whole, in the order in which it was written.
"""

import os
from binascii import crc32
from struct import pack, unpack

from agent.compat import const

PUT = const(1)  # content: an alert
END = const(2)  # content: where its PUT begins, and the size of that
_HEAD = const(7)  # octets: kind, size of the content, checksum
_LONGEST = const(4096)


class Journal:
    """One file. An offset of a PUT names its alert until the file is rewritten."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._new = path + ".new"
        self._file = None
        self.size = 0  # octets of the file

    def read_all(self) -> object:
        """Yield (kind, offset, content) of each whole record; then what follows the last of them is cut off."""
        try:
            os.remove(self._new)  # a rewriting that power was cut in
        except OSError:
            pass
        at = whole = 0
        try:
            with open(self._path, "rb") as file:
                while True:
                    record = _read(file)
                    if record is None:
                        break
                    yield record[0], at, record[1]
                    at += _HEAD + len(record[1])
                whole = file.seek(0, 2)
        except OSError:
            pass  # there is none yet
        self.size = at
        if whole > at:
            self._copy(at)

    def load(self, offset: int) -> bytes | None:
        """Return the content of the record at offset, None for what can't be read there. Raises OSError."""
        with open(self._path, "rb") as file:
            file.seek(offset)
            record = _read(file)
        return record and record[1]

    def append(self, data: bytes) -> int:
        """Write records so that they outlive a power cut; returns the offset of the first.

        Raises OSError; then nothing of them counts.
        """
        at = self.size
        if self._file is None:
            self._file = open(self._path, "ab")  # noqa: SIM115
        try:
            self._file.write(data)
            self._file.flush()
        except OSError:
            self.close()
            self._copy(at)  # half of it may be there
            raise
        self.size = at + len(data)
        return at

    def rewrite(self, offsets: list) -> list:
        """Keep the records at these offsets alone; returns their new ones. Raises OSError; then all is as before."""
        found = []
        at = 0
        self.close()
        with open(self._path, "rb") as old, open(self._new, "wb") as new:
            for offset in offsets:
                old.seek(offset)
                kind, content = _read(old)
                found.append(at)
                at += new.write(record(kind, content))
            new.flush()
        os.rename(self._new, self._path)
        self.size = at
        return found

    def clear(self) -> None:
        """Take the file away. Raises OSError."""
        self.close()
        os.remove(self._path)
        self.size = 0

    def _copy(self, octets: int) -> None:
        """Cut the file off there."""
        with open(self._path, "rb") as old, open(self._new, "wb") as new:
            while octets:
                octets -= new.write(old.read(min(octets, 512)))
            new.flush()
        os.rename(self._new, self._path)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def record(kind: int, content: bytes) -> bytes:
    """Return a record as it is written."""
    head = pack(">BH", kind, len(content))
    return b"".join((head, pack(">I", crc32(content, crc32(head))), content))


def _read(file: object) -> tuple | None:
    """Return (kind, content) of the record where a file stands, None if there is no whole one."""
    head = file.read(_HEAD)
    if len(head) < _HEAD:
        return None
    kind, size, checksum = unpack(">BHI", head)
    if size > _LONGEST:
        return None
    content = file.read(size)
    if len(content) < size or crc32(content, crc32(head[:3])) != checksum:
        return None
    return kind, content
