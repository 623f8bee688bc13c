"""A message as a row of the store's table, and back."""

from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from sipmote.agent.cpim import imdn
from sipmote.agent.cpim.reader import Cpim, parse_cpim
from sipmote.agent.errors import ParseError
from sipmote.inbox.received import Received
from sipmote.inbox.twins import same_key, twin_key

_PLAIN = (  # columns named as what they hold of a Received, and holding it as it is
    *("call_id", "cseq", "sender", "subject", "content_type", "body", "date", "received", "transport", "source"),
    *("user", "from_tag", "display_name", "priority", "valid_until"),
)
_values = attrgetter(*_PLAIN, "expired", "stale", "encrypted", "unauthenticated", "to")
COLUMNS = (
    *(*_PLAIN, "expired", "stale", "encrypted", "unauthenticated", "recipient", "for_others"),
    *("cpim", "author", "message_id", "signature", "signer", "open", "twin", "same"),
)


def to_row(one: Received) -> tuple[Any, ...]:
    """Return the values of COLUMNS."""
    cpim = None if one.cpim is None else one.cpim.data[: one.cpim.body_at]
    name = one.message_id or one.digest
    author = None if one.cpim is None and one.digest is None else one.author or one.sender
    state, signer = (None, None) if one.verdict is None else (one.verdict.state, one.verdict.signer)
    good = (signer or "") if one.digest is not None else None  # of a signature that nobody else can have made
    whose = one.call_id if one.parcel is None else f"{one.call_id} for {one.parcel.user}"  # one may write to several
    twin = twin_key(whose, one.sender, one.message_id, one.content_type, one.body, good)
    same = same_key(name, author, one.content_type, one.body, good)
    return (*_values(one), "\n".join(one.for_others), cpim, author, name, state, signer, int(one.open), twin, same)


def from_row(row: Mapping[str, Any], again: bool) -> Received:
    """Return the message of a row that has COLUMNS and "id".

    again: may it have been shown, or its command have run? What a signature was worth was judged when it came.
    """
    cpim = _cpim(row["cpim"], row["body"])
    one = Received(
        **{column: row[column] for column in _PLAIN},
        expired=_flag(row["expired"]),
        stale=_flag(row["stale"]),
        encrypted=bool(row["encrypted"]),
        unauthenticated=bool(row["unauthenticated"]),
        open=bool(row["open"]),
        for_others=listed(row["for_others"]),
        to=row["recipient"],
        cpim=cpim,
        author=None if cpim is None else row["author"],
        id=row["id"],
        again=again,
    )
    if row["signature"] is not None:
        from sipmote.smime.reader import Verdict  # who reads no S/MIME loads no ciphers

        one.verdict = Verdict(
            state=row["signature"], signer=row["signer"], reason="as judged when it came", signed_at=None, digest=""
        )
    return one


def listed(lines: str | None) -> tuple[str, ...]:
    """Return what a column has a line each of."""
    return tuple(filter(None, (lines or "").split("\n")))


def _flag(value: int | None) -> bool | None:
    return None if value is None else bool(value)


def _cpim(headers: bytes | None, body: bytes) -> Cpim | None:
    try:
        return None if headers is None else parse_cpim(headers + body, (imdn.NAMESPACE,))
    except ParseError:  # an older version was more patient
        return None
