"""Four ways to make a text obey the byte budget of RFC 3428 section 8."""

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
            from .cutting import fit

            return fit(body, room, policy, joins), compact
        compact = True
