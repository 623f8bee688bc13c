"""What is known of who writes to us: when it was heard, how it is, what nobody has acknowledged yet.

Anybody can write a name into From: what a board's row says is as good as its proof, of what was heard last. Where
answers go is not up to him: what nothing proves doesn't change that for a board which has proved who it is.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from sipmote.errors import ToolError
from sipmote.inbox.received import Received
from sipmote.inbox.registrar import Binding
from sipmote.inbox.store import Store

_MOST = 20_000  # boards; beyond that go those which nothing proves, heard longest ago
_CHANGES = 10_000  # that are kept for who watches
_KEEP_BEATS_S = 7 * 86400
_BETWEEN_BEATS_S = 5.0  # in the charts
_ANSWER_S = 60.0  # within which what a board sends is taken for its answer

_HEARD = """
INSERT INTO board (aor, heard, heard_by, source, transport, way_proof, proof, proof_by, messages, open, last)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (aor) DO UPDATE SET heard = excluded.heard, heard_by = excluded.heard_by,
        source = CASE WHEN excluded.proof = 'none' AND board.way_proof <> 'none' THEN board.source
            ELSE excluded.source END,
        transport = CASE WHEN excluded.proof = 'none' AND board.way_proof <> 'none' THEN board.transport
            ELSE excluded.transport END,
        way_proof = CASE WHEN excluded.proof = 'none' THEN board.way_proof ELSE excluded.proof END,
        proof = excluded.proof, proof_by = excluded.proof_by,
        messages = board.messages + excluded.messages, open = board.open + excluded.open,
        last = coalesce(excluded.last, board.last)
    RETURNING aor
"""
_REGISTERED = _HEARD.replace("RETURNING", "WHERE board.heard < excluded.heard RETURNING")
_BEAT = """
UPDATE board SET every = ?, up = ?, free = ?, rssi = ?, clock = ?, waiting = ? WHERE aor = ? RETURNING aor
"""
_CHART = """
INSERT INTO beat (board, at, free, rssi, waiting) SELECT ?, ?, ?, ?, ?
    WHERE NOT EXISTS (SELECT 1 FROM beat WHERE board = ? AND at > ?) RETURNING board
"""
_ASKED = """
SELECT target, id FROM reply WHERE state = 'sending' AND kind = 'reply' AND answered IS NULL
UNION ALL SELECT target, id FROM reply WHERE ended_at > ? AND state IN ('delivered', 'accepted') AND kind = 'reply'
    AND answered IS NULL ORDER BY id DESC
"""
_SURPLUS = """
DELETE FROM board WHERE proof = 'none' AND open = 0 AND heard < (SELECT heard FROM board ORDER BY heard DESC LIMIT 1
    OFFSET ?)
"""
_KNOWN_BEFORE = """
INSERT INTO board (aor, heard, heard_by, source, transport, way_proof, proof, messages, last)
    SELECT message.sender, received, 'message', source, transport, 'none', 'none', found.messages, found.newest
    FROM (SELECT max(id) AS newest, count(*) AS messages FROM message GROUP BY sender) AS found
    JOIN message ON message.id = found.newest ORDER BY found.newest DESC LIMIT ?
"""


def proof_of(one: Received) -> tuple[str, str | None]:
    """Return what shows that a message is by who it is from, and by whom that is known."""
    if one.is_by_sender and one.verdict is not None:
        return ("shared" if one.verdict.state == "shared" else "signed"), one.verdict.signer or one.author or one.sender
    if one.user is not None:
        return "login", one.user
    return "none", None


class Boards:
    """The boards of a store. All that it does raises StoreError."""

    def __init__(self, store: Store) -> None:
        """Know at once who has written before there was a page."""
        self._store = store
        self._tidied_at = 0.0
        with store.transaction() as db:
            if not db.query("SELECT 1 FROM board LIMIT 1"):
                db.execute(_KNOWN_BEFORE, (_MOST,))

    # What comes

    def add(self, batch: Sequence[Received]) -> None:
        """Note who has written, within the commit that stores it. What is a board's answer to us needs no other."""
        self._match_answers(batch)
        heard: dict[str, list[Any]] = {}
        for one in batch:
            if one.answerable:
                new = not one.duplicate
                before = heard.get(one.sender, (0, 0, None))
                counts = (before[-3] + new, before[-2] + (new and one.open), one.id if new else before[-1])
                heard[one.sender] = [*_origin(one, "message"), *counts]
        self._store.db.many(_HEARD, list(heard.values()))
        self._awake(heard)

    def _match_answers(self, batch: Sequence[Received]) -> None:
        """Mark what comes from whom we have just written to as the answer to that."""
        db = self._store.db
        asked = {row[0]: row[1] for row in db.query(_ASKED, (time.time() - _ANSWER_S,))}
        for one in batch if asked else ():
            number = None if one.duplicate else asked.pop(one.sender, None)
            if number is not None:
                one.open = False
                db.execute("UPDATE message SET open = 0, answers = ? WHERE id = ?", (number, one.id))
                db.execute("UPDATE reply SET answered = ? WHERE id = ?", (one.id, number))
                self.changed("reply", number)

    def beat(self, one: Received, told: Mapping[str, int | str]) -> None:
        """A heartbeat has come, that tells this. One that nobody can write in another's name gives way to no other."""
        values = tuple(told.get(name) for name in ("every", "up", "free", "rssi", "clock", "waiting"))
        with self._store.transaction() as db:
            db.many(_HEARD, [(*_origin(one, "heartbeat"), 0, 0, None)])
            db.many(_BEAT, [(*values, one.sender)])
            point = (one.sender, one.received, told.get("free"), told.get("rssi"), told.get("waiting"))
            db.many(_CHART, [(*point, one.sender, one.received - _BETWEEN_BEATS_S)])
            self.changed("board", one.sender)
            self._awake([one.sender])

    def registered(self, bindings: Sequence[Binding]) -> None:
        """These have registered, with a password. Where something else was heard since, that counts."""
        with self._store.transaction() as db:
            rows = [
                (aor, at, "registration", source, transport, "login", "login", user, 0, 0, None)
                for aor, at, user, source, transport in bindings
            ]
            for found in db.many(_REGISTERED, rows):
                if found is not None:
                    self.changed("board", found[0])
            self._awake([one.aor for one in bindings])

    def _awake(self, senders: object) -> None:
        """Let what waits for these go out now: they are there."""
        waiting = self._store.db.query("SELECT id, target FROM reply WHERE state = 'waiting' AND next_at IS NOT NULL")
        for number, target in waiting:
            if target in senders:  # type: ignore[operator]
                self._store.db.execute("UPDATE reply SET next_at = ? WHERE id = ?", (time.time(), number))

    # What people do

    def acknowledge(self, number: int, who: str) -> bool:
        """Note that a person has seen to a message; False where another was first. Raises ToolError for none."""
        with self._store.transaction() as db:
            found = db.query("SELECT sender, open FROM message WHERE id = ?", (number,))
            if not found:
                raise ToolError(f"there is no message {number}")
            [(sender, is_open)] = found
            values = (number, who, time.time())
            added = db.query(
                "INSERT INTO acknowledgement (message, who, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING RETURNING who",
                values,
            )
            if is_open:
                db.execute("UPDATE message SET open = 0 WHERE id = ?", (number,))
                db.execute("UPDATE board SET open = open - 1 WHERE aor = ? AND open > 0", (sender,))
            if added:
                self.changed("acknowledgement", number)
        return bool(added)

    def changed(self, kind: str, ref: object) -> None:
        """Note for who watches that something is different now, within a transaction."""
        self._store.db.query("INSERT INTO change (kind, ref) VALUES (?, ?) RETURNING id", (kind, str(ref)))

    # Housekeeping

    def tidy(self) -> None:
        """Forget, now and then, what is too old or too much."""
        now = time.time()
        if now - self._tidied_at < 60:
            return
        self._tidied_at = now
        with self._store.transaction() as db:
            db.execute("DELETE FROM beat WHERE at < ?", (now - _KEEP_BEATS_S,))
            db.execute("DELETE FROM change WHERE id <= (SELECT max(id) FROM change) - ?", (_CHANGES,))
            db.execute(_SURPLUS, (_MOST - 1,))


def _origin(one: Received, what: str) -> tuple[Any, ...]:
    """Return the first values of _HEARD."""
    level, by = proof_of(one)
    return (one.sender, one.received, what, one.source, one.transport, level, level, by)
