"""The messages that a relay still has to pass on, or whose senders still have to hear of their failure.

They are in the store, and one program at a time takes from it (turn.py): another relay on the same store goes on where
a killed one was.
"""

import json
import sqlite3
import time
from collections.abc import Collection
from dataclasses import dataclass

from sipmote.agent.cpim import imdn
from sipmote.inbox.received import Parcel, Received
from sipmote.inbox.store import ALL_LANES, Store
from sipmote.sip.places import Flow

_INSERT = """
INSERT OR REPLACE INTO parcel (id, date, expires, max_forwards, user, display, fields, octets, next_at, lane)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
NOTICE = "notice for "  # what the lanes of notices begin with
_MESSAGE = "to "  # and those of messages
_FULFILLED = ("delivered", "accepted")
_FIRST = "SELECT from_tag, max_forwards, ifnull(ended, outcome), lane FROM parcel JOIN message USING (id) WHERE id = ?"
_LANES = """
SELECT name FROM lane WHERE is_notice = ? AND next_at <= ? AND name NOT IN (SELECT value FROM json_each(?))
    ORDER BY next_at
"""
_DUE = """
SELECT parcel.*, call_id, sender, subject, content_type, body, cpim, received, message.user AS login, transport, source
    FROM parcel JOIN message USING (id)
    WHERE ended IS NULL AND lane = ? AND next_at <= ?
        AND ifnull(notice_id, call_id) NOT IN (SELECT value FROM json_each(?))
    ORDER BY next_at LIMIT 1
"""
_HASTEN = """
UPDATE parcel SET next_at = ?1, tries = max(tries - 1, 0)
    WHERE ended IS NULL AND notice IS NULL AND next_at > ?1 AND (?2 IS NULL OR lane = ?2)
"""


@dataclass(frozen=True)
class Due:
    """What is to be sent next: a message, or the notice of one that failed.

    id: of the message in the store. lane: one at a time is under way of those that share it. call_id, sender, display,
    subject, content_type, body, fields: as the message came. login: who authenticated for it. octets: of its request.
    user: of its Request-URI. tries: attempts so far. received: Unix seconds. parcel: date, expires and hops.
    notice: body, in place of the message's, that tells its sender of its failure; outcome: what that was.
    flow: that it came by. generation: Store.generation when it was read.
    """

    id: int
    lane: str
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
    """The queue of one relay."""

    def __init__(self, store: Store, to_each: bool) -> None:
        """to_each: does each user have a lane of his own? Else there is one for all messages."""
        self._store = store
        self._to_each = to_each

    def add(self, one: Received) -> None:
        """Queue a message, within the commit that stores it; a twin only if what came first was not, or has failed.

        A twin with another From tag and fewer hops left than the first is what we have passed on, unless that failed:
        it has come back.
        """
        if one.parcel is None:
            return
        first = self._store.db.execute(_FIRST, (one.twin,)).fetchone() if one.duplicate else None
        if first is not None:
            from_tag, hops, outcome, lane = first
            if outcome in (None, *_FULFILLED):
                one.looped = from_tag != one.from_tag and one.parcel.max_forwards < hops
                return
        self._insert(one.id or one.twin, one.parcel, one.received)
        if first is not None and lane is not None:
            self._renew(lane)  # that of a notice, which is none any more

    def _insert(self, number: int, parcel: Parcel, received: float) -> None:
        row = (parcel.date, parcel.expires, parcel.max_forwards, parcel.user, parcel.display, parcel.fields)
        lane = _MESSAGE + parcel.user
        self._store.db.execute(_INSERT, (number, *row, parcel.octets, received, lane))
        self._renew(lane)

    def _renew(self, lane: str) -> None:
        """Write down when the first of a lane is due: to look that up takes as long, however many wait behind it."""
        db = self._store.db
        found = db.execute("SELECT min(next_at) FROM parcel WHERE ended IS NULL AND lane = ?", (lane,)).fetchone()[0]
        if found is None:
            db.execute("DELETE FROM lane WHERE name = ?", (lane,))
        else:
            db.execute("INSERT OR REPLACE INTO lane VALUES (?, ?, ?)", (lane, lane.startswith(NOTICE), found))

    def next(self, lanes: Collection[str], call_ids: Collection[str], notices: bool = True) -> Due | None:
        """Return what is due first and in none of these lanes, with none of these Call-IDs. Raises sqlite3.Error.

        notices: those too? They come first, as there is a bound to how many are under way.
        """
        now = time.time()
        is_busy = not self._to_each and any(lane.startswith(_MESSAGE) for lane in lanes)
        taken, known = json.dumps(list(lanes)), json.dumps(list(call_ids))
        cursor = self._store.db.cursor()
        cursor.row_factory = sqlite3.Row
        for is_notice in [kind for kind, may in ((True, notices), (False, not is_busy)) if may]:
            for (lane,) in self._store.db.execute(_LANES, (is_notice, now, taken)):
                row = cursor.execute(_DUE, (lane, now, known)).fetchone()
                if row is not None:
                    return _due(row, self._store.generation)
        return None

    def postpone(self, due: Due, next_at: float) -> None:
        """Count an attempt; the next one is due at next_at (Unix seconds). Raises sqlite3.Error."""
        self._change(due, "tries = tries + 1, next_at = ?", next_at)

    def end(self, due: Due, outcome: str) -> None:
        """Note what became of it in the end. Raises sqlite3.Error."""
        self._change(due, "ended = ?", outcome)

    def fail(self, due: Due, outcome: str, notice: bytes, notice_id: str) -> None:
        """It has failed, and its sender is to be told: a message/cpim body, to be sent with a Call-ID of its own.

        Raises sqlite3.Error.
        """
        change = "outcome = ?, notice = ?, notice_id = ?, tries = 0, next_at = ?, lane = ?"
        lane = NOTICE + due.sender
        self._change(due, change, outcome, notice, notice_id, time.time(), lane, lane=lane)

    def _change(self, due: Due, change: str, *values: object, lane: str | None = None) -> None:
        """Change its row, if it still is the one that was read: of that file, and not queued anew meanwhile.

        lane: another one that it is in now.
        """
        if due.generation == self._store.generation:
            notice_id = None if due.notice is None else due.call_id
            with self._store.transaction() as db:
                db.execute(f"UPDATE parcel SET {change} WHERE id = ? AND notice_id IS ?", (*values, due.id, notice_id))
                for name in filter(None, (due.lane, lane)):
                    self._renew(name)

    def hasten(self, user: str | None) -> None:
        """Let what waits for a user be due now, for everybody with None: an attempt that makes no later one rarer.

        Raises sqlite3.Error.
        """
        lane = None if user is None else _MESSAGE + user
        with self._store.transaction() as db:
            db.execute(_HASTEN, (time.time(), lane))
            if lane is None:
                db.execute("DELETE FROM lane")
                db.execute(ALL_LANES)
            else:
                self._renew(lane)


def _due(row: sqlite3.Row, generation: int) -> Due:
    content_type, body = row["content_type"], row["body"]
    if row["cpim"] is not None:  # an older version has opened it
        content_type, body = imdn.CPIM.decode(), row["cpim"] + body
    call_id = row["notice_id"] or row["call_id"]
    parcel = Parcel(*(row[name] for name in ("date", "expires", "max_forwards", "user", "display", "fields", "octets")))
    return Due(
        generation=generation,
        content_type=content_type,
        body=body,
        call_id=call_id,
        parcel=parcel,
        **{name: row[name] for name in ("id", "lane", "sender", "subject", "login", "tries", "received")},
        **{name: row[name] for name in ("notice", "outcome")},
        flow=_flow(row["transport"], row["source"]),
    )


def _flow(transport: str, source: str) -> Flow:
    """Return the flow of a message that came from source; it may have ended since."""
    host, _, port = source.rpartition(":")
    return transport.upper().encode(), host.strip("[]").encode(), int(port)
