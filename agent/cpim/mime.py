"""The header of a MIME entity: what both message/cpim and S/MIME have around their contents."""

from ..compat import const
from ..errors import ParseError

_MAX_LINES = const(64)


def parse_mime(data: bytes, at: int) -> tuple[list, int]:
    """Return a MIME entity's header fields, (name in lower case, value), and where its content begins."""
    fields: list = []
    for _ in range(_MAX_LINES + 1):
        end = data.find(b"\r\n", at)
        if end < 0:
            break
        if end == at:
            return fields, end + 2
        line = data[at:end]
        colon = line.find(b":")
        if line[:1] in (b" ", b"\t") and fields:
            name, value = fields[-1]
            fields[-1] = (name, value + b" " + line.strip())
        elif colon > 0:
            fields.append((line[:colon].rstrip().lower(), line[colon + 1 :].strip()))
        else:
            raise ParseError("header fields of the content were expected")
        at = end + 2
    raise ParseError("a blank line after at most 64 header lines of the content was expected")
