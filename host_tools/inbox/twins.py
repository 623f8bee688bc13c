"""Which messages are one and the same: a sender who heard no answer sends his again.

A twin agrees in Call-ID, URI of From and content, decrypted, and in whose good signature is on it: who sends another's
message first, unsigned, doesn't keep the signed one out. It may have another From tag, and then its CSeq says nothing:
a board that lost power counts anew, and a challenge raises it. With the same tag, another CSeq is another message
("ok", and "ok" again), unless a challenge alone explains it.

What travels under other Call-IDs, as a store passes it on, is known by its Message-ID or by what its signature covers.
"""

from functools import lru_cache
from hashlib import blake2b

from sipmote.inbox.received import Received, respelled

TWIN_S = 7 * 86400  # how long after a message its twin is known


def twin_key(
    call_id: str, sender: str, message_id: str | None, content_type: str, body: bytes, signer: str | None
) -> int:
    """Return what twins share. message_id: of a message/cpim. signer: of a good signature. None without one."""
    return _key(body, call_id, respelled(sender), message_id or "", _folded(content_type), _worth(signer))


def is_twin(one: Received, from_tag: str | None, cseq: int, received: float) -> bool:
    """Is this the twin of a message that was kept under the same key? from_tag: None for one that was kept without."""
    if received < one.received - TWIN_S:
        return False
    return from_tag != one.from_tag or cseq == one.cseq or (one.challenged and cseq == one.cseq - 1)


def same_key(name: str | None, author: str | None, content_type: str, body: bytes, signer: str | None) -> int | None:
    """Return what copies of a message share whatever requests they come in, None where it has no name of its own.

    name: its Message-ID, or a digest of what its signature covers. author: whom it says it is from; that anybody can
    write, so that a good signature goes before it, however the name is spelled. signer: as above.
    """
    if name is None:
        return None
    whose = respelled(author or "") if signer is None else ""
    return _key(body, name, whose, _folded(content_type), _worth(signer))


def _worth(signer: str | None) -> str:
    return "" if signer is None else f"signed by {signer}"


def _key(body: bytes, *fields: str) -> int:
    """Return 64 bits of a digest as sqlite's integers have them. No field has a line end in it."""
    octets = "\n".join(fields).encode("utf-8", "surrogatepass") + b"\n" + body
    return int.from_bytes(blake2b(octets, digest_size=8).digest(), "big", signed=True)


@lru_cache(256)
def _folded(content_type: str) -> str:
    return "".join(content_type.split()).lower()
