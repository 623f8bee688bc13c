"""Messages for hosts, where memory is cheaper than time: what agent.message reads, field by field."""

from sipmote.agent import message


class Message(message.Message):
    """A Message whose fields are found by name at once: for that it takes memory that a board would rather not give."""

    _fields: dict[bytes, list[bytes]] | None = None

    def get(self, name: bytes) -> bytes | None:
        values = self._index().get(name)
        return values[0] if values else None

    def all(self, name: bytes) -> list[bytes]:
        return self._index().get(name, [])[:]

    def _index(self) -> dict[bytes, list[bytes]]:
        if self._fields is None:
            self._fields = {}
            for number, name in enumerate(self.names):
                self._fields.setdefault(name, []).append(self._value(number))
        return self._fields
