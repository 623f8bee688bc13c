"""The messages that a relay still has to pass on, or whose senders still have to hear of their failure.

They are in the store, and one program at a time takes from it (turn.py): another relay on the same store goes on where
a killed one was.
"""

import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass

from sipmote.agent.cpim import imdn
from sipmote.inbox.received import Parcel, Received
from sipmote.inbox.store import Store

_INSERT = """
INSERT INTO parcel (id, date, expires, max_forwards, user, display, fields, octets, next_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
NOTICE = "notice for "  # what the lanes of notices begin with
_DUE = f"""
SELECT parcel.*, iif(notice IS NULL, iif(?, parcel.user, ''), '{NOTICE}' || sender) AS lane,
    call_id, sender, subject, content_type, body, cpim, received, message.user AS login
    FROM parcel JOIN message USING (id)
    WHERE ended IS NULL AND next_at <= ? AND (? OR notice IS NULL)
        AND lane NOT IN ({{0}}) AND ifnull(notice_id, call_id) NOT IN ({{1}})
    ORDER BY next_at LIMIT 1
"""


@dataclass(frozen=True)
class Due:
    """What is to be sent next: a message, or the notice of one that failed.

    id: of the message in the store. lane: one at a time is under way of those that share it. call_id, sender, display,
    subject, content_type, body, fields: as the message came. login: who authenticated for it. octets: of its request.
    user: of its Request-URI. tries: attempts so far. received: Unix seconds. parcel: date, expires and hops.
    notice: body, in place of the message's, that tells its sender of its failure; outcome: what that was.
    generation: Store.generation when it was read.
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
    generation: int


class Parcels:
    """The queue of one relay."""

    def __init__(self, store: Store, to_each: bool) -> None:
        """to_each: does each user have a lane of his own? Else there is one for all messages."""
        self._store = store
        self._to_each = to_each

    def add(self, one: Received) -> None:
        """Queue a message, within the commit that stores it."""
        parcel = one.parcel
        if parcel is not None:
            row = (parcel.date, parcel.expires, parcel.max_forwards, parcel.user, parcel.display, parcel.fields)
            self._store.db.execute(_INSERT, (one.id, *row, parcel.octets, one.received))

    def next(self, lanes: Iterable[str], call_ids: Iterable[str], notices: bool = True) -> Due | None:
        """Return what is due first and in none of these lanes, with none of these Call-IDs. Raises sqlite3.Error.

        notices: those too?
        """
        lanes, call_ids = list(lanes), list(call_ids)
        query = _DUE.format(", ".join("?" * len(lanes)), ", ".join("?" * len(call_ids)))
        cursor = self._store.db.cursor()
        cursor.row_factory = sqlite3.Row
        row = cursor.execute(query, (self._to_each, time.time(), notices, *lanes, *call_ids)).fetchone()
        return None if row is None else _due(row, self._store.generation)

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
        change = "outcome = ?, notice = ?, notice_id = ?, tries = 0, next_at = ?"
        self._change(due, change, outcome, notice, notice_id, time.time())

    def _change(self, due: Due, change: str, *values: object) -> None:
        """Change its row, if the file still is the one that it was read from."""
        if due.generation == self._store.generation:
            with self._store.transaction() as db:
                db.execute(f"UPDATE parcel SET {change} WHERE id = ?", (*values, due.id))

    def hasten(self, user: str | None) -> None:
        """Let what waits for a user be due now, for everybody with None: an attempt that makes no later one rarer.

        Raises sqlite3.Error.
        """
        with self._store.transaction() as db:
            db.execute(
                "UPDATE parcel SET next_at = ?1, tries = max(tries - 1, 0)"
                " WHERE ended IS NULL AND notice IS NULL AND next_at > ?1 AND (?2 IS NULL OR user = ?2)",
                (time.time(), user),
            )


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
    )
