"""What is known of who writes to us: when it was heard, how it is, what nobody has acknowledged yet.

Anybody can write a name into From: what a board's row says is as good as its proof, of what was heard last.
"""

import time
from collections.abc import Mapping, Sequence

from sipmote.errors import ToolError
from sipmote.inbox.received import Received
from sipmote.inbox.registrar import Binding
from sipmote.inbox.store import Store

_MOST = 20_000  # boards; beyond that go those which nothing proves, heard longest ago
_MOST_LOGGED = 1000  # of which monitors alone have told; beyond that go those heard longest ago
_KEPT_RECORDS = 200  # of a board's log
_CHANGES = 10_000  # that are kept for who watches
_KEEP_BEATS_S = 7 * 86400
_BETWEEN_BEATS_S = 5.0  # in the charts
_PROVED_S = 86400.0  # after what proves who it is by is nothing without proof by that board, as far as we know
_ANSWER_S = 60.0  # within which what a board sends is taken for its answer

_HEARD = """
INSERT INTO board (aor, heard, heard_by, source, transport, proof, proof_by) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (aor) DO UPDATE SET heard = excluded.heard, heard_by = excluded.heard_by, source = excluded.source,
        transport = excluded.transport, proof = excluded.proof, proof_by = excluded.proof_by
    RETURNING aor
"""
_REGISTERED = _HEARD.replace("RETURNING", "WHERE board.heard < excluded.heard RETURNING")
_COUNTED = """
UPDATE board SET messages = messages + 1, open = open + ?, last = ? WHERE aor = ? RETURNING aor
"""
_BEAT = """
UPDATE board SET every = ?, up = ?, free = ?, rssi = ?, clock = ?, waiting = ? WHERE aor = ? RETURNING aor
"""
_CHART = """
INSERT INTO beat (board, at, free, rssi, waiting) SELECT ?, ?, ?, ?, ?
    WHERE NOT EXISTS (SELECT 1 FROM beat WHERE board = ? AND at > ?) RETURNING board
"""
_LOGGED = """
INSERT INTO board (aor, heard, heard_by, source, transport, proof) VALUES (?, ?, 'log', '', 'serial', 'none')
    ON CONFLICT (aor) DO UPDATE SET heard = excluded.heard, heard_by = excluded.heard_by
    WHERE board.heard < excluded.heard
"""
_RECORD = "INSERT INTO log (board, at, level, event, fields) VALUES (?, ?, ?, ?, ?) RETURNING id"
_OLD_RECORDS = """
DELETE FROM log WHERE board = ? AND id <= (SELECT id FROM log WHERE board = ? ORDER BY id DESC LIMIT 1 OFFSET ?)
"""
_PROVED = "SELECT aor FROM board WHERE proof <> 'none' AND heard > ? AND aor IN"
_CHANGED = "INSERT INTO change (kind, ref) VALUES (?, ?) RETURNING id"
_ASKED = """
SELECT target, id FROM reply WHERE state = 'sending' AND kind = 'reply' AND answered IS NULL
UNION ALL SELECT target, id FROM reply WHERE ended_at > ? AND state IN ('delivered', 'accepted') AND kind = 'reply'
    AND answered IS NULL ORDER BY id DESC
"""
_SURPLUS = """
DELETE FROM board WHERE proof = 'none' AND open = 0 AND heard < (SELECT heard FROM board ORDER BY heard DESC LIMIT 1
    OFFSET ?) RETURNING aor
"""
_SURPLUS_LOGGED = """
DELETE FROM board WHERE source = '' AND heard < (SELECT heard FROM board WHERE source = '' ORDER BY heard DESC LIMIT 1
    OFFSET ?) RETURNING aor
"""
_KNOWN_BEFORE = """
INSERT INTO board (aor, heard, heard_by, source, transport, proof, messages, last)
    SELECT message.sender, received, 'message', source, transport, 'none', found.messages, found.newest
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
        new = [one for one in batch if one.answerable and not one.duplicate]  # a duplicate may be somebody's replay
        heard = self._hear(new, "message")
        self._store.db.many(_COUNTED, [(one.open, one.id, one.sender) for one in new])
        self._awake(heard)

    def _hear(self, batch: Sequence[Received], how: str) -> dict[str, Received]:
        """Note when and where these were heard; returns what was heard last of each.

        Of whom we had proof lately nothing without proof is heard: else anybody could make a dead board look alive, and
        have what is written to it sent to himself.
        """
        proofs = [proof_of(one) for one in batch]
        proved = {one.sender for one, (level, _) in zip(batch, proofs, strict=True) if level != "none"}
        unproved = {one.sender for one in batch} - proved
        if unproved:
            query = f"{_PROVED} ({', '.join('?' * len(unproved))})"
            proved |= {aor for (aor,) in self._store.db.query(query, (time.time() - _PROVED_S, *unproved))}
        rows, heard = {}, {}
        for one, proof in zip(batch, proofs, strict=True):
            if proof[0] != "none" or one.sender not in proved:
                rows[one.sender] = (one.sender, one.received, how, one.source, one.transport, *proof)
                heard[one.sender] = one
        self._store.db.many(_HEARD, list(rows.values()))
        return heard

    def _match_answers(self, batch: Sequence[Received]) -> None:
        """Mark what comes from whom we have just written to as the answer to that.

        Boards give no answer an Expires, a priority or a subject: what has one is an alert, that a person has to see.
        """
        db = self._store.db
        asked: dict[str, int] = {row[0]: row[1] for row in db.query(_ASKED, (time.time() - _ANSWER_S,))}
        for one in batch if asked else ():
            is_alert = one.valid_until is not None or one.priority is not None or one.subject is not None
            number = None if one.duplicate or is_alert else asked.pop(one.sender, None)
            if number is not None:
                one.open = False
                db.execute("UPDATE message SET open = 0, answers = ? WHERE id = ?", (number, one.id))
                db.execute("UPDATE reply SET answered = ? WHERE id = ?", (one.id, number))
                self.changed("reply", number)

    def beat(self, batch: Sequence[tuple[Received, Mapping[str, int | str]]]) -> None:
        """Heartbeats have come, that tell this."""
        said = {id(one): told for one, told in batch}
        with self._store.transaction() as db:
            heard = self._hear([one for one, _ in batch], "heartbeat")
            beats, points = [], []
            for aor, one in heard.items():
                told = said[id(one)]
                beats.append((*(told.get(name) for name in ("every", "up", "free", "rssi", "clock", "waiting")), aor))
                point = (aor, one.received, told.get("free"), told.get("rssi"), told.get("waiting"))
                points.append((*point, aor, one.received - _BETWEEN_BEATS_S))
            db.many(_BEAT, beats)
            db.many(_CHART, points)
            db.many(_CHANGED, [("board", aor) for aor in heard])
            self._awake(heard)

    def registered(self, bindings: Sequence[Binding]) -> None:
        """These have registered. Where something else was heard since, that counts.

        Who has shown a password to a registrar proves nothing by that in what he sends.
        """
        with self._store.transaction() as db:
            rows = [(one.aor, one.at, "registration", one.source, one.transport, "none", None) for one in bindings]
            heard = [row[0] for row in db.many(_REGISTERED, rows) if row is not None]
            db.many(_CHANGED, [("board", aor) for aor in heard])
            self._awake([one.aor for one in bindings])

    def logged(self, aor: str, records: Sequence[tuple[float, str, str, str]]) -> None:
        """A monitor tells what a board has logged: when it heard that (Unix seconds), level, event, fields as JSON.

        All that follows is that the board lives: nothing is proved by that, and no way leads to it.
        """
        heard = min(time.time(), max(at for at, *_ in records))
        with self._store.transaction() as db:
            if not db.query("SELECT 1 FROM board WHERE aor = ?", (aor,)):
                self._forget_logs(db.query(_SURPLUS_LOGGED, (_MOST_LOGGED - 2,)))
            db.execute(_LOGGED, (aor, heard))
            db.many(_RECORD, [(aor, *record) for record in records])
            db.execute(_OLD_RECORDS, (aor, aor, _KEPT_RECORDS))
            self.changed("board", aor)

    def _forget_logs(self, gone: Sequence[tuple[object, ...]]) -> None:
        """gone: rows of which each has the aor of a board that is no longer known."""
        self._store.db.many("DELETE FROM log WHERE board = ? RETURNING id", gone)

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
        self._store.db.query(_CHANGED, (kind, str(ref)))

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
            self._forget_logs(db.query(_SURPLUS, (_MOST - 1,)))
