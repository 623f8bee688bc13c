"""Unpacks the body of a notification that came packed, as Linphone sends them. Loaded by the first one."""

from gc import collect
from io import BytesIO

from deflate import GZIP, ZLIB, DeflateIO

from agent.compat import const
from agent.errors import ParseError

_MOST = const(4096)  # octets of a body; its packer may not look further back, so that no more memory is needed
_BITS = const(12)  # of 4096
_FEWER = const(11)  # where memory isn't in one piece; a notification is shorter
_PIECE = const(512)  # octets that are read at once: no more memory in one piece than a body takes


def inflate(packed: bytes, encoding: bytes) -> bytes:
    """Unpack a body with Content-Encoding deflate or gzip; raises ParseError for a bad one and one that is too long.

    Too long is also what there is no memory for: its sender hears so.
    """
    try:
        return _inflate(packed, encoding, _BITS)
    except MemoryError:
        pass
    try:
        return _inflate(packed, encoding, _FEWER)
    except (MemoryError, ParseError):
        raise ParseError("a shorter body was expected", 413)


def _inflate(packed: bytes, encoding: bytes, bits: int) -> bytes:
    pieces = []
    collect()
    try:
        unpacked = DeflateIO(BytesIO(packed), GZIP if encoding == b"gzip" else ZLIB, bits)
        while not pieces or pieces[-1]:
            if len(pieces) * _PIECE > _MOST:
                raise ParseError("a shorter body was expected", 413)
            pieces.append(unpacked.read(_PIECE))
    except (OSError, EOFError):
        raise ParseError("a body that can be unpacked was expected")
    return b"".join(pieces)
