"""Tables of points in /smime, each in a file. Apart from mote.keys: the arithmetic is short of memory."""

from agent.compat import const
from agent.errors import UsageError

_SIZE = const(8192)  # octets, see agent.cms.tables: half of one is a table, too, and makes signatures that tell the key


def table(name: str) -> object:
    """Return a function that returns the table of this name as agent.cms.p256 takes it.

    Its entries are read from flash as they are needed: in one piece they would take 8 KB. The function raises
    agent.errors.UsageError.
    """

    def read() -> _Table:
        try:
            found = _Table("/smime/" + name)
            if len(found) == _SIZE:
                return found
        except OSError:
            pass
        raise UsageError("/smime/%s is missing or damaged: run sipmote provision --protect again" % name)

    return read


class _Table:
    """A table in a file, of which 64 octets are taken at a time."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "rb")  # noqa: SIM115

    def __len__(self) -> int:
        return self._file.seek(0, 2)

    def __getitem__(self, part: slice) -> bytes:
        self._file.seek(part.start)
        return self._file.read(part.stop - part.start)
