"""The messages that a relay still has to pass on, or whose senders still have to hear of their failure.

They are in the store, and one program at a time takes from it (turn.py): another relay on the same store goes on where
a killed one was.
"""

import json
import time
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sipmote.agent.cpim import imdn
from sipmote.inbox.received import Parcel, Received
from sipmote.inbox.store import Store
from sipmote.sip.places import Flow

_INSERT = """
INSERT OR REPLACE INTO parcel (id, date, expires, max_forwards, user, display, fields, octets, next_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
NOTICE = "notice for "  # what recipients of notices begin with
_MESSAGE = "to "  # and those of messages
_FULFILLED = ("delivered", "accepted")
_FIRST = "SELECT from_tag, max_forwards, ifnull(ended, outcome), lane FROM parcel JOIN message USING (id) WHERE id = ?"
_LANES = """
SELECT name, recipient FROM lane
    WHERE is_notice = ? AND next_at <= ? AND recipient NOT IN (SELECT value FROM json_each(?)) ORDER BY next_at LIMIT ?
"""
_DUE = """
SELECT parcel.*, call_id, sender, subject, content_type, body, cpim, received, message.user AS login, transport, source
    FROM parcel JOIN message USING (id)
    WHERE ended IS NULL AND lane = ? AND next_at <= ?
        AND ifnull(notice_id, call_id) NOT IN (SELECT value FROM json_each(?))
    ORDER BY next_at LIMIT 1
"""
_HASTEN = """
UPDATE parcel SET next_at = ?1, tries = max(tries - 1, 0) WHERE ended IS NULL AND notice IS NULL AND next_at > ?1
    AND lane IN (SELECT name FROM lane WHERE ?2 IS NULL OR recipient = ?2)
"""
_MOST_BLOCKED = 64  # lanes that are looked at in one go whose Call-ID is under way elsewhere
_BLOCKED_S = 2.0  # until they are looked at again
_LOOP_S = 35.0  # after an attempt, in which what comes back is its: as long as its transaction lives
_MOST_SENT = 10_000  # attempts that are remembered for that


@dataclass(frozen=True)
class Due:
    """What is to be sent next: a message, or the notice of one that failed.

    id: of the message in the store. lane: the queue that it waits in. recipient: one at a time is under way to him.
    call_id, sender, subject, content_type, body: as the message came. login: who authenticated for it. tries: attempts
    so far. received: Unix seconds. parcel: date, expires, hops and what else goes with it.
    notice: body, in place of the message's, that tells its sender of its failure; outcome: what that was.
    flow: that it came by. generation: Store.generation when it was read.
    """

    id: int
    lane: str
    recipient: str
    call_id: str
    sender: str
    subject: str | None
    content_type: str
    body: bytes
    login: str | None
    tries: int
    received: float
    parcel: Parcel
    notice: bytes | None
    outcome: str | None
    flow: Flow
    generation: int


class Parcels:
    """The queue of one relay: lanes, that take turns, so that who sends much is first no more often than others are."""

    def __init__(self, store: Store, to_each: bool) -> None:
        """to_each: is it each user whom messages are for? Else there is one recipient of all."""
        self._store = store
        self._to_each = to_each
        self._sent: OrderedDict[int, float] = OrderedDict()  # id: when it was under way last, by the monotonic clock

    def add(self, batch: Sequence[Received]) -> None:
        """Queue messages, within the commit that stores them."""
        for one in batch:
            self._add(one)

    def _add(self, one: Received) -> None:
        """Queue a message, within the commit that stores it; a twin only if what came first was not, or has failed.

        A twin with another From tag and fewer hops left than the first, while that is under way or just was taken, is
        what we have passed on: it has come back.
        """
        if one.parcel is None:
            return
        number = one.id or one.twin
        first = self._store.db.query(_FIRST, (number,)) if one.duplicate else []
        for from_tag, hops, outcome, _ in first:
            if outcome in (None, *_FULFILLED):
                is_recent = time.monotonic() - self._sent.get(number, -_LOOP_S) < _LOOP_S
                one.looped = is_recent and from_tag != one.from_tag and one.parcel.max_forwards < hops
                return
        parcel = one.parcel
        row = (parcel.date, parcel.expires, parcel.max_forwards, parcel.user, parcel.display, parcel.fields)
        self._store.db.execute(_INSERT, (number, *row, parcel.octets, one.received))
        for *_, lane in first:
            if lane is not None:
                self._renew(lane)  # that of a notice, which is none any more

    def _renew(self, lane: str, served: bool = False) -> None:
        """Write down since when a lane waits: since its first parcel is due, or since it was served."""
        db = self._store.db
        [(found,)] = db.query("SELECT min(next_at) FROM parcel WHERE ended IS NULL AND lane = ?", (lane,))
        if found is None:
            db.execute("DELETE FROM lane WHERE name = ?", (lane,))
        else:
            since = max(found, time.time()) if served else found
            db.execute("UPDATE lane SET next_at = ? WHERE name = ?", (since, lane))

    def next(self, recipients: Collection[str], call_ids: Collection[str], notices: bool = True) -> Due | None:
        """Return what is due first, for none of these recipients and with none of these Call-IDs.

        notices: those too? They come first, as there is a bound to how many are under way. Raises StoreError.
        """
        is_busy = not self._to_each and any(recipient.startswith(_MESSAGE) for recipient in recipients)
        for is_notice, may in ((True, notices), (False, not is_busy)):
            due = self._first(is_notice, recipients, json.dumps(list(call_ids))) if may else None
            if due is not None:
                self._note(due)
                return due
        return None

    def _first(self, is_notice: bool, recipients: Collection[str], call_ids: str) -> Due | None:
        """Return as next() does. Lanes in which all Call-IDs are under way elsewhere are passed over for a while."""
        now = time.time()
        blocked = []
        query = (is_notice, now, json.dumps(list(recipients)), _MOST_BLOCKED)
        for lane, recipient in self._store.db.query(_LANES, query):
            for row in self._store.db.rows(_DUE, (lane, now, call_ids)):
                return _due(row, recipient, self._store.generation)
            blocked.append((now + _BLOCKED_S, lane))
        if blocked:
            with self._store.transaction() as db:
                db.many("UPDATE lane SET next_at = ? WHERE name = ?", blocked)
        return None

    def _note(self, due: Due) -> None:
        self._sent[due.id] = time.monotonic()
        self._sent.move_to_end(due.id)
        if len(self._sent) > _MOST_SENT:
            self._sent.popitem(last=False)

    def postpone(self, due: Due, next_at: float) -> None:
        """Count an attempt; the next one is due at next_at (Unix seconds). Raises StoreError."""
        self._sent.pop(due.id, None)
        self._change(due, "tries = tries + 1, next_at = ?", next_at)

    def end(self, due: Due, outcome: str) -> None:
        """Note what became of it in the end. Raises StoreError."""
        self._note(due)
        self._change(due, "ended = ?", outcome)

    def fail(self, due: Due, outcome: str, notice: bytes, notice_id: str) -> None:
        """It has failed, and its sender is to be told: a message/cpim body, to be sent with a Call-ID of its own.

        Raises StoreError.
        """
        lane, now = NOTICE + due.sender, time.time()
        change = "outcome = ?, notice = ?, notice_id = ?, tries = 0, next_at = ?, lane = ?"
        self._change(due, change, outcome, notice, notice_id, now, lane, notices=(lane, lane, True, now))

    def _change(self, due: Due, change: str, *values: object, notices: tuple[object, ...] | None = None) -> None:
        """Change its row, if it still is the one that was read: of that file, and not queued anew meanwhile.

        notices: the lane that it is in now.
        """
        if due.generation != self._store.generation:
            return
        notice_id = None if due.notice is None else due.call_id
        with self._store.transaction() as db:
            db.execute(f"UPDATE parcel SET {change} WHERE id = ? AND notice_id IS ?", (*values, due.id, notice_id))
            if notices:
                db.execute("INSERT OR IGNORE INTO lane VALUES (?, ?, ?, ?)", notices)
            self._renew(due.lane, served=True)

    def hasten(self, user: str | None) -> None:
        """Let what waits for a user be due now, for everybody with None: an attempt that makes no later one rarer.

        Raises StoreError.
        """
        recipient, now = None if user is None else _MESSAGE + user, time.time()
        with self._store.transaction() as db:
            db.execute(_HASTEN, (now, recipient))
            db.execute(
                "UPDATE lane SET next_at = min(next_at, ?1) WHERE is_notice = 0 AND (?2 IS NULL OR recipient = ?2)",
                (now, recipient),
            )

    def shift(self, seconds: int) -> None:
        """The clock was set forward by so many seconds, or back: what waits waits no longer for that.

        What came without a Date has that of when it came. Raises StoreError.
        """
        with self._store.transaction() as db:
            db.execute(
                "UPDATE parcel SET date = date + ? WHERE ended IS NULL AND date ="
                " (SELECT CAST(received AS INTEGER) FROM message WHERE message.id = parcel.id)",
                (seconds,),
            )
            db.execute("UPDATE parcel SET next_at = ? WHERE ended IS NULL", (time.time(),))
            db.execute("UPDATE lane SET next_at = ?", (time.time(),))


def _due(row: Mapping[str, Any], recipient: str, generation: int) -> Due:
    content_type, body = row["content_type"], row["body"]
    if row["cpim"] is not None:  # an older version has opened it
        content_type, body = imdn.CPIM.decode(), row["cpim"] + body
    call_id = row["notice_id"] or row["call_id"]
    parcel = Parcel(*(row[name] for name in ("date", "expires", "max_forwards", "user", "display", "fields", "octets")))
    return Due(
        recipient=recipient,
        generation=generation,
        content_type=content_type,
        body=body,
        call_id=call_id,
        parcel=parcel,
        **{name: row[name] for name in ("id", "lane", "sender", "subject", "login", "tries", "received")},
        **{name: row[name] for name in ("notice", "outcome")},
        flow=flow_of(row["transport"], row["source"]),
    )


def flow_of(transport: str, source: str) -> Flow:
    """Return the flow of a message that came from source; it may have ended since."""
    host, _, port = source.rpartition(":")
    return transport.upper().encode(), host.strip("[]").encode(), int(port)
