"""A request whose header section is too long to be read: what its answer copies is looked for in the octets."""

from ..compat import const
from ..message import Message

# As peers write them; in capitals and in small letters, too. A board has no room to turn all the octets into one case.
_NAMES = (b"Via v", b"From f", b"To t", b"Call-ID Call-Id i", b"CSeq Cseq")
_MAX_FOLDS = const(64)  # lines of one field


class Outline(Message):
    """What is left of it: its topmost line of Via, its first From, To, Call-ID and CSeq, as they came."""

    most = 65535


def outline(message: Message) -> Message:
    """Return a request with just the fields that its answer copies, those of them that are there.

    A proxy on the way finds its own Via in the answer, the ones before it don't: so many don't come of good will.
    """
    data = message.data
    end = message.body_at - 2
    lines = b"MESSAGE x SIP/2.0\r\n"
    for names in _NAMES:
        at = end
        for name in names.split():
            for written in (name, name.lower(), name.upper()):
                place = data.find(b"\r\n%s:" % written, 0, at)
                if place >= 0:
                    at = place
        lines += data[at + 2 : _end_of(data, at + 2, end)]
    return Outline(lines + b"\r\n")


def _end_of(data: bytes, at: int, most: int) -> int:
    """Return where the field ends that begins at `at`, its line's end included; `at` where it has too many lines."""
    end = at
    for _ in range(_MAX_FOLDS):
        end = data.find(b"\r\n", end, most) + 2
        if end < 2:
            return most
        if data[end] != 32 and data[end] != 9:
            return end
    return at
