"""Where quoted strings and angle brackets hide a separator (RFC 3261 section 25.1). Loaded for a value that has any."""

from ..compat import const
from ..errors import ParseError

_MOST = const(256)  # parts: no request has come through so many proxies


def split_outside_quotes(value: bytes, separator: bytes) -> list:
    """Split value at each separator (one octet) outside quoted strings and angle brackets; the parts are as written.

    Raises ParseError when a quote or an angle bracket is not closed, for more parts than
    anybody needs, and for many more quotes and brackets.
    """
    parts = []
    size = len(value)
    wanted = [separator, b'"', b"<"]
    places = [-1, -1, -1]  # of the next one of each, looked for again only once it is passed: all in one way through
    start = at = 0
    left = _MOST + 64  # steps, of which a quoted string takes several
    while left > 0:
        left -= 1
        for i in range(3):
            if places[i] < at:
                places[i] = value.find(wanted[i], at)
                if places[i] < 0:
                    places[i] = size
        at = min(places)
        if at == places[0]:
            parts.append(value[start:at])
            if at == size:
                return parts
            if len(parts) == _MOST:
                break
            start = at = at + 1
        else:
            end = closing_quote(value, at) if at == places[1] else value.find(b">", at)
            if end < 0:
                raise ParseError("a closing quote or bracket was expected")
            at = end + 1
            left -= 3
    raise ParseError("a value of fewer parts was expected")


def closing_quote(value: bytes, opening: int) -> int:
    """Return where the quoted string that begins at opening ends, quoted pairs skipped.

    -1 when it doesn't, or has more quoted pairs than anybody writes.
    """
    begun = opening + 1
    for _ in range(_MOST):
        end = value.find(b'"', begun)
        part = value[begun : max(end, begun)]
        if (len(part) - len(part.rstrip(b"\\"))) % 2 == 0:  # else the last backslash takes the meaning from the quote
            return end
        begun = end + 1
    return -1


def split_list(value: bytes) -> list:
    """Split the comma-separated members of a list header field.

    Raises ParseError for an empty one (section 7.3.1), and for more than 256.
    """
    members = [member.strip() for member in split_outside_quotes(value, b",")]
    if b"" in members:
        raise ParseError("something between two commas was expected")
    return members
