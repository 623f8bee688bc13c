"""Messages for hosts, where memory is cheaper than time."""

import itertools

from sipmote.agent.message import SHORT, Message

_LONG = {bytes([octet]): name for name, octet in SHORT.items()}


class IndexedMessage(Message):
    """A Message whose fields are found by name at once: for that it takes memory that a board would rather not give."""

    _fields: dict[bytes, list[bytes]] | None = None

    def get(self, name: bytes) -> bytes | None:
        values = self._index().get(name)
        return values[0] if values else None

    def all(self, name: bytes, most: int = 65535) -> list[bytes]:
        return self._index().get(name, [])[:most]

    def _index(self) -> dict[bytes, list[bytes]]:
        if self._fields is None:
            self._fields = {}
            for at, following in itertools.pairwise(self.lines):
                name, colon, value = self.data[at : following - 2].partition(b":")
                if colon:
                    name = name.rstrip().lower()
                    if self._folded:
                        value = b" ".join([line.strip() for line in value.strip().split(b"\r\n")])
                    self._fields.setdefault(_LONG.get(name, name), []).append(value.strip())
        return self._fields
