"""Unpacks the body of a notification that came packed, as Linphone sends them. Loaded by the first one."""

from io import BytesIO

from deflate import GZIP, ZLIB, DeflateIO

from agent.compat import const
from agent.errors import ParseError

_MOST = const(4096)  # octets of a body; its packer may not look further back, so that no more memory is needed
_BITS = const(12)  # of 4096


def inflate(packed: bytes, encoding: bytes) -> bytes:
    """Unpack a body with Content-Encoding deflate or gzip; raises ParseError for a bad one and one that is too long."""
    try:
        body = DeflateIO(BytesIO(packed), GZIP if encoding == b"gzip" else ZLIB, _BITS).read(_MOST + 1)
    except (OSError, EOFError):
        raise ParseError("a body that can be unpacked was expected")
    if len(body) > _MOST:
        raise ParseError("a shorter body was expected", 413)
    return body  # type: ignore[no-any-return]
