"""Four ways to make a text obey the byte budget of RFC 3428 section 8."""

from .compat import const
from .errors import UsageError
from .request import BUDGET
from .reserve import forget_oversized, to_come

POLICIES = ("refuse", "compact", "split", "truncate")
_SHORT = (  # header names of RFC 3261 section 7.3.3, in the order of a request of ours
    (b"\r\nVia: ", b"\r\nv:"),
    (b"\r\nMax-Forwards: ", b"\r\nMax-Forwards:"),
    (b"\r\nFrom: ", b"\r\nf:"),
    (b"\r\nTo: ", b"\r\nt:"),
    (b"\r\nCall-ID: ", b"\r\ni:"),
    (b"\r\nCSeq: ", b"\r\nCSeq:"),
    (b"\r\nSubject: ", b"\r\ns:"),
    (b"\r\nContent-Type: ", b"\r\nc:"),
    (b"\r\nContent-Length: ", b"\r\nl:"),
)
_MARK = b"\xe2\x80\xa6"  # an ellipsis ends a truncated text
_MAX_PARTS = const(99)


def shorten(data: bytes, body_octets: int) -> bytes:
    """Return a request of ours with the short names of its header fields, and no blanks before their values."""
    end = len(data) - body_octets
    head = data[:end]
    for name, short in _SHORT:
        head = head.replace(name, short, 1)
    return head + data[end:]


def fit_message(
    uac: "Uac",  # type: ignore[name-defined]  # noqa: F821
    target: bytes,
    body: bytes,
    policy: str,
    reserve: int = 0,
    joins: object = None,
    **options: object,
) -> tuple[list[bytes], bool]:
    """Return (bodies, compact): what to send() one after the other so that a text obeys the budget.

    policy: of budget.POLICIES. Header names are shortened before a text is; "refuse" does neither.
    reserve: octets that will be put around each text. joins: as fit() takes it. The others as UserAgent.send() takes
    them.
    Raises UsageError that says by how many octets the text is over the budget.
    """
    compact = False
    while True:
        request = uac.request(b"0" * 20, target, b"0" * 100, dict(options, compact=compact))
        forget_oversized(uac, request)
        head = len(uac.attempt(request, 0).data) - 100  # with a Content-Length of three digits
        rooms = 1 if uac.recovery is None or policy in ("refuse", "compact") else uac.recovery.peers.rooms
        room = BUDGET - head - to_come(uac, request, rooms)
        if room > 999:
            room -= 1  # for its fourth digit
        room -= reserve
        if len(body) <= room:
            return [body], compact
        if compact or policy == "refuse":
            return fit(body, room, policy, joins), compact
        compact = True


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
