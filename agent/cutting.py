"""Cuts a text that is over its budget, where the policy allows it. Loaded by the first one."""

from .compat import const
from .errors import UsageError

_MARK = b"\xe2\x80\xa6"  # an ellipsis ends a truncated text
_MAX_PARTS = const(99)


def fit(body: bytes, room: int, policy: str, joins: object = None) -> list:
    """Return the bodies, each of at most room octets, that a text is to be sent as.

    policy: "split" cuts it in parts that begin with "(1/3) ", behind a blank or a line's end where a part has one;
    "truncate" keeps the beginning and an ellipsis; with "refuse" and "compact" it has to fit as it is.
    joins: a function of (body, at) that says whether what begins at an octet belongs to the character before it, such
    as an accent; None knows those of Latin, Greek and Cyrillic. Cuts lie between characters, where a part holds one.
    Raises UsageError that says how many octets are too many.
    """
    if len(body) <= room:
        return [body]
    joins = joins or _is_accent
    if policy == "truncate" and room > len(_MARK):
        return [body[: _cut(body, 0, room - len(_MARK), joins)] + _MARK]
    if policy == "split":
        for digits in (1, 2):
            parts = _split(body, room - 4 - 2 * digits, joins)
            if parts and len(parts) < 10**digits:
                return [b"(%d/%d) %s" % (i + 1, len(parts), parts[i]) for i in range(len(parts))]
    raise UsageError(
        "the text of %d octets is %d over the budget: shorten it, or choose the policy split or truncate"
        % (len(body), len(body) - room)
    )


def _cut(body: bytes, start: int, room: int, joins: object) -> int:
    """Return where a piece of at most room octets from start ends: between characters, if there are any."""
    end = start + room
    if end >= len(body):
        return len(body)
    while end > start and body[end] & 0xC0 == 0x80:
        end -= 1
    whole = end
    while end > start and (body[end] & 0xC0 == 0x80 or joins(body, end)):  # type: ignore[operator]
        end -= 1
    return end if end > start else whole if whole > start else start + room


def _is_accent(body: bytes, at: int) -> bool:
    """Is it U+0300 to U+036F that begins at an octet?"""
    return body[at] == 0xCC or (body[at] == 0xCD and body[at + 1 : at + 2] < b"\xb0")


def _split(body: bytes, room: int, joins: object) -> list:
    parts: list = []
    at = 0
    while at < len(body):
        if room < 4 or len(parts) == _MAX_PARTS:
            return []
        end = _cut(body, at, room, joins)
        if end < len(body) and body[end] not in b" \t\n":
            blank = max([body.rfind(one, at, end) for one in (b" ", b"\t", b"\n")])
            if blank >= at and not joins(body, blank + 1):  # type: ignore[operator]
                end = blank + 1
        parts.append(body[at:end])
        at = end
    return parts
