"""What a board remembers of the commands before: who sent how many, and which they were."""

from hashlib import sha256

from agent.compat import const

_KNOWN = const(16)  # commands whose repetition is known

_known = [b""] * _KNOWN  # marks of the last commands, the next one's place at _count
_count = 0
_paid = {}  # sender -> uptime in ms up to which what he asked for takes his time


def remember(mark: bytes) -> None:
    """Have a command known; allocates nothing."""
    global _count
    _known[_count % _KNOWN] = mark
    _count += 1


def mark_of(event: object) -> bytes:
    """Return 8 octets that repetitions of a message share, then 4 for its From with the tag, and 4 for its CSeq."""
    message = event.message
    whole = sha256(b"\n".join((event.call_id, event.sender, message.body))).digest()
    return whole[:8] + sha256(message.get(b"from")).digest()[:4] + sha256(message.get(b"cseq")).digest()[:4]


def is_known(mark: bytes) -> bool:
    """Is it one of the last commands once more? With the same tag, another CSeq makes it another message."""
    for known in _known:  # noqa: SIM110 - a board pays for a generator
        if known[:8] == mark[:8] and (known[8:12] != mark[8:12] or known == mark):
            return True
    return False


def has_credit(mote: object, sender: bytes, cost_ms: int, credit_ms: int) -> bool:
    """May a sender ask for this now? It costs him so much time; what came before may take up so much of it."""
    at = mote.uptime_ms()
    paid = max(_paid.get(sender, 0), at)
    if paid - at > credit_ms:
        return False
    _paid[sender] = paid + cost_ms
    return True
