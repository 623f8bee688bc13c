"""What a board remembers of the commands before: which they were, on flash, and who sent how many.

A command's mark is on flash before its 200, so that it runs at most once. /commands has a record of each command that
is accepted, and another one when its function has ended: the number of the start (7 bits) and whether it has ended (1
bit), the mark, and the CRC-32 of both.
"""

from binascii import crc32
from hashlib import sha256
from struct import pack, unpack

from agent.compat import const
from agent.errors import ParseError
from agent.uri import parse_uri

PATH = "/commands"
_SIZE = const(21)  # octets of a record, as mote.recall has it
_MOST = const(48)  # records; then the last 16 marks alone are kept
_MOST_PAYING = const(16)  # senders; further ones share what one may ask for
_OTHERS = b""

lost = 0  # commands that the start before has not ended
_start = -1  # number of this start, once the file was looked through
_records = _MOST  # which has it looked through
_paid = {}  # sender -> uptime in ms up to which what he asked for takes his time


def mark_of(event: object) -> bytes:
    """Return 8 octets that repetitions of a message share, then 4 for its From with the tag, and 4 for its CSeq."""
    message = event.message
    mark = getattr(message, "mark", None)
    if mark is not None:  # of what is signed, whatever stands around it
        return mark  # type: ignore[no-any-return]
    whole = sha256(b"\n".join((event.call_id, event.sender, message.body))).digest()
    cseq = pack(">I", int(message.get(b"cseq").split()[0]))
    return b"".join((whole[:8], sha256(message.get(b"from")).digest()[:4], cseq))


def seen(mark: bytes, is_asked: bool) -> bytes | None:
    """Return None for a new command, b"" for one of the last once more; of one that a restart has interrupted its mark.

    With the same tag, another CSeq makes it another message. But a board that has started anew asks for the password
    once more, and then the same message has the next CSeq; is_asked: was the sender asked for one?
    """
    found = None
    room = bytearray(_SIZE)
    first, second = mark[0], mark[1]
    try:
        _look_through()
        with open(PATH, "rb") as file:
            while file.readinto(room) == _SIZE:
                if room[1] == first and room[2] == second and room[1:9] == mark[:8] and is_whole(room):
                    is_old = room[0] >> 1 != _start
                    known = bytes(room[1:17])
                    if (
                        known[8:12] != mark[8:12]
                        or known == mark
                        or (is_old and is_asked and unpack(">I", room[13:17])[0] + 1 == unpack(">I", mark[12:])[0])
                    ):
                        found = known if is_old and not room[0] & 1 else b""
    except OSError:  # there is none yet, or write() will tell
        pass
    return found


def write(mark: bytes, has_ended: bool) -> None:
    """Have a command known over restarts. Raises OSError; then it isn't."""
    global _records
    _look_through()
    front = bytes((_start << 1 | has_ended,)) + mark
    try:
        with open(PATH, "ab") as file:
            file.write(front + pack(">I", crc32(front)))
    except BaseException:
        _records = _MOST  # half of it may be there
        raise
    _records += 1


def is_whole(record: bytes) -> bool:
    """Is it a record as it was written?"""
    return pack(">I", crc32(record[:17])) == record[17:]


def _look_through() -> None:
    global lost, _start, _records
    if _records >= _MOST:
        from mote.recall import recall

        _start, lost, _records = recall(PATH, _MOST, is_whole, _start, lost)


def has_credit(mote: object, sender: bytes, cost_ms: int, credit_ms: int) -> bool:
    """May a sender ask for this now? It costs him so much time; what came before may take up so much of it.

    A sender that begins with > is a recipient of ours: nobody else makes up who that is.
    """
    at = mote.uptime_ms()
    if sender not in _paid and len(_paid) >= _MOST_PAYING:
        for other in list(_paid):
            if _paid[other] <= at:
                del _paid[other]
        if len(_paid) >= _MOST_PAYING and sender[:1] != b">":
            sender = _OTHERS
    paid = max(_paid.get(sender, 0), at)
    if paid - at > credit_ms:
        return False
    _paid[sender] = paid + cost_ms
    return True


def allowed(mote: object, sender: bytes) -> bytes | None:
    """Return the URI of a sender who is believed without a password, None for others.

    A From names no port (RFC 3261 section 19.1.1).
    """
    try:
        sender = parse_uri(sender).address_of_record()
    except ParseError:  # what stands in From is no URI
        return None
    allowed = mote.settings.get("allow")
    if allowed is None:  # an empty list is for a board that nobody commands
        allowed = mote.settings["to"]
    if type(allowed) is str:  # one alone, as people write it by hand
        allowed = [allowed]
    return sender if sender in [parse_uri(uri.encode()).address_of_record() for uri in allowed] else None
