"""What is known of who writes to us: when it was heard, how it is, what nobody has acknowledged yet.

Anybody can write a name into From: what a board's row says is as good as its proof, of what was heard last.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from sipmote.agent.uas import MessageReceived
from sipmote.inbox.database import Row
from sipmote.inbox.received import Received, respelled
from sipmote.inbox.registrar import Binding
from sipmote.inbox.store import Store

_MOST = 20_000  # boards; those that have proved who they are get a row beyond that, up to twice as many
_ROOM = 1_000  # rows that are made free at once
_SETTLED_S = 86400.0  # who was heard for so much longer than he was silent makes room for nobody
_TELL_S = 3600.0  # between two lines about names without a row
_MOST_LOGGED = 1000  # of which monitors alone have told; beyond that go those heard longest ago
_KEPT_RECORDS = 200  # of a board's log
_CHANGES = 10_000  # that are kept for who watches
_KEEP_BEATS_S = 7 * 86400
_BETWEEN_BEATS_S = 5.0  # in the charts
_REPLAYED_S = 600.0  # in which a signed heartbeat could be sent again: its Date is off by 300 s at most, either way
_PROVED_S = 86400.0  # after what proves who it is by is nothing without proof by that board, as far as we know

_HEARD = """
INSERT INTO board (aor, heard, heard_by, source, transport, proof, proof_by, since, proved)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (aor) DO UPDATE SET heard = excluded.heard, heard_by = excluded.heard_by, source = excluded.source,
        transport = excluded.transport, proof = excluded.proof, proof_by = excluded.proof_by,
        proved = coalesce(excluded.proved, board.proved)
    RETURNING aor
"""
_REGISTERED = """
INSERT INTO board (aor, heard, heard_by, source, transport, proof, since, proved)
    VALUES (?, ?, 'registration', ?, ?, 'none', ?, ?)
    ON CONFLICT (aor) DO UPDATE SET heard = excluded.heard, heard_by = excluded.heard_by, source = excluded.source,
        transport = excluded.transport
    WHERE board.heard < excluded.heard RETURNING aor
"""
_VOUCHED = "UPDATE board SET proved = coalesce(proved, ?) WHERE aor = ? RETURNING aor"
_COUNTED = """
UPDATE board SET messages = messages + 1, open = open + ?, last = ? WHERE aor = ? RETURNING aor
"""
_ACKNOWLEDGED = "INSERT INTO acknowledgement (message, who, at) SELECT id, ?, ? FROM message WHERE"
_FEWER_OPEN = "UPDATE board SET open = CASE WHEN open > ? THEN open - ? ELSE 0 END WHERE aor = ? RETURNING aor"
_RECOUNT = """
UPDATE board SET messages = (SELECT count(*) FROM message WHERE sender = board.aor),
    open = (SELECT count(*) FROM message WHERE sender = board.aor AND message.open = 1),
    last = (SELECT max(id) FROM message WHERE sender = board.aor) WHERE aor = ? RETURNING aor
"""
_BEAT = """
UPDATE board SET every = ?, up = ?, free = ?, rssi = ?, clock = ?, waiting = ? WHERE aor = ? RETURNING aor
"""
_CHART = """
INSERT INTO beat (board, at, free, rssi, waiting) SELECT ?, ?, ?, ?, ?
    WHERE NOT EXISTS (SELECT 1 FROM beat WHERE board = ? AND at > ?) RETURNING board
"""
_KNOWN = "SELECT aor, proof, proved FROM board WHERE aor IN"
_LOGGED = """
INSERT INTO board (aor, heard, heard_by, source, transport, proof, since, proved)
    VALUES (?, ?, 'log', '', 'serial', 'none', ?, ?)
    ON CONFLICT (aor) DO UPDATE SET heard = excluded.heard, heard_by = excluded.heard_by,
        proved = coalesce(board.proved, excluded.proved)
    WHERE board.heard < excluded.heard
"""
_RECORD = "INSERT INTO log (board, at, level, event, fields) VALUES (?, ?, ?, ?, ?) RETURNING id"
_OLD_RECORDS = """
DELETE FROM log WHERE board = ? AND id <= (SELECT id FROM log WHERE board = ? ORDER BY id DESC LIMIT 1 OFFSET ?)
"""
_CHANGED = "INSERT INTO change (kind, ref) VALUES (?, ?) RETURNING id"
_ASKED = """
SELECT id, call_id, answered FROM reply WHERE target = ? AND kind = 'reply' ORDER BY id DESC LIMIT 100
"""
_SURPLUS = """
DELETE FROM board WHERE aor IN (SELECT aor FROM board WHERE proved IS NULL AND 2 * heard - since < ?
    AND NOT EXISTS (SELECT 1 FROM reply WHERE target = board.aor AND kind = 'reply')
    ORDER BY 2 * heard - since LIMIT ?) RETURNING aor
"""
_SURPLUS_LOGGED = """
DELETE FROM board WHERE source = '' AND heard < (SELECT heard FROM board WHERE source = '' ORDER BY heard DESC LIMIT 1
    OFFSET ?) RETURNING aor
"""
_KNOWN_BEFORE = """
INSERT INTO board (aor, heard, heard_by, source, transport, proof, since, messages, last)
    SELECT message.sender, received, 'message', source, transport, 'none', found.since, found.messages, found.newest
    FROM (SELECT max(id) AS newest, min(received) AS since, count(*) AS messages FROM message GROUP BY sender) AS found
    JOIN message ON message.id = found.newest ORDER BY found.newest DESC LIMIT ?
"""

_WRITTEN = (  # a 200 is what its receiver has said: nobody who saw the request on its way takes that back
    "SELECT id, target FROM reply WHERE call_id = ? AND body = ? AND target <> ? AND state <> 'delivered'"
)
_CAME_BACK = "UPDATE reply SET state = 'failed', status = 482, reason = ?, next_at = NULL, ended_at = ? WHERE id = ?"
CAME_BACK = "who brings the messages of this board knows no way to it"


def proof_of(one: Received) -> tuple[str, str | None]:
    """Return what shows that a message is by who it is from, and by whom that is known."""
    if one.is_by_sender and one.verdict is not None:
        return ("shared" if one.verdict.state == "shared" else "signed"), one.verdict.signer or one.author or one.sender
    if one.is_in_login and not one.disguised:
        return "login", one.user
    return "none", None


class Boards:
    """The boards of a store. All that it does raises StoreError."""

    def __init__(self, store: Store, warn: Callable[[str], None] = lambda text: None) -> None:
        """Know at once who has written before there was a page. warn: tells people."""
        self._store = store
        self._warn = warn
        self._told_at = -_TELL_S
        self._tidied_at = 0.0
        self._beaten: dict[str, float] = {}  # digests of signed heartbeats -> when by the monotonic clock, oldest first
        with store.transaction() as db:
            if not db.query("SELECT 1 FROM board LIMIT 1"):
                db.execute(_KNOWN_BEFORE, (_MOST,))

    # What comes

    def add(self, batch: Sequence[Received]) -> None:
        """Note who has written, within the commit that stores it. What is a board's answer to us needs no other."""
        self._match_answers(batch)
        new = [one for one in batch if one.answerable and not one.duplicate]  # a duplicate may be somebody's replay
        self._store.db.many(_COUNTED, [(one.open, one.id, one.sender) for one in new])
        self._hear(new, "message")

    def _hear(self, batch: Sequence[Received], how: str) -> dict[str, Received]:
        """Note when and where these were heard; returns what was heard last of each that has a row.

        Of whom we had proof lately nothing without proof is heard: else anybody could make a dead board look alive, and
        have what is written to it sent to himself.
        """
        proofs = [proof_of(one) for one in batch]
        known = self._known({one.sender for one in batch})
        proved = {one.sender for one, (level, _) in zip(batch, proofs, strict=True) if level != "none"}
        proved |= {aor for aor, is_proved in known.items() if is_proved}
        rows, heard = {}, {}
        for one, proof in zip(batch, proofs, strict=True):
            if proof[0] != "none" or one.sender not in proved:
                at, proved_at = one.received, None if proof[0] == "none" else one.received
                rows[one.sender] = (one.sender, at, how, one.source, one.transport, *proof, at, proved_at)
                heard[one.sender] = one
        noted = self._note(_HEARD, rows, known)
        self._awake(heard)
        return {aor: heard[aor] for aor in noted}

    def _known(self, names: Iterable[str]) -> dict[str, bool]:
        """Return who of these has a row, and whether he has proved lately who he is."""
        wanted, since = tuple(names), time.time() - _PROVED_S
        query = f"{_KNOWN} ({', '.join('?' * len(wanted))})"
        rows = self._store.db.query(query, wanted) if wanted else []
        return {aor: proof != "none" and (proved or 0.0) > since for aor, proof, proved in rows}

    def _note(self, sql: str, rows: Mapping[str, Row], known: Mapping[str, bool]) -> list[str]:
        """Write rows of _HEARD, those of new names as far as there is room; returns whose were written."""
        new = self._with_room({aor: row[-1] is not None for aor, row in rows.items() if aor not in known})
        written = self._store.db.many(sql, [row for aor, row in rows.items() if aor in known or aor in new])
        self._store.db.many(_RECOUNT, [(aor,) for aor in new])
        return [row[0] for row in written if row is not None]

    def _with_room(self, new: Mapping[str, bool]) -> list[str]:
        """Return which new names get a row. new: has he proved who he is? Messages of the others are kept as all are.

        Anybody can think up a million names, but prove none.
        """
        if not new:
            return []
        [(count,)] = self._store.db.query("SELECT count(*) FROM board")
        proved = [aor for aor, is_proved in new.items() if is_proved][: max(0, 2 * _MOST - count)]
        others = [aor for aor, is_proved in new.items() if not is_proved]
        room = max(0, _MOST - count - len(proved))
        if len(others) > room and time.monotonic() - self._told_at >= _TELL_S:
            self._told_at = time.monotonic()
            self._warn(
                f"{_MOST} boards are known, the most there is room for: new names that nothing proves get no row on "
                "the page, their messages stay; --users, or keys, keep strangers out"
            )
        return proved + others[:room]

    def _match_answers(self, batch: Sequence[Received]) -> None:
        """Mark what says that it answers what was written to its sender: nobody has to acknowledge that.

        Where an answer comes in parts, the first of them is the answer. Who has seen our request on its way knows its
        Call-ID: of whom we had proof lately nothing without proof is an answer.
        """
        db = self._store.db
        answers = [one for one in batch if one.in_reply_to and not one.duplicate]
        known = self._known({one.sender for one in answers})
        for one in answers:
            is_forged = known.get(one.sender) and proof_of(one)[0] == "none"
            named = () if is_forged else db.query(_ASKED, (one.sender,))
            for number, _, answered in [row for row in named if row[1] in one.in_reply_to]:
                one.open = False
                db.execute("UPDATE message SET open = 0, answers = ? WHERE id = ?", (number, one.id))
                if answered is None:
                    db.execute("UPDATE reply SET answered = ? WHERE id = ?", (one.id, number))
                    self.changed("reply", number)

    def beat(self, batch: Sequence[tuple[Received, Mapping[str, int | str]]]) -> None:
        """Heartbeats have come, that tell this. Of a replay, which is in no store to be known by, nothing is heard."""
        said = {id(one): told for one, told in batch}
        new = [one for one, _ in batch if not self._is_replay(one)]
        with self._store.transaction() as db:
            heard = self._hear(new, "heartbeat")
            beats, points = [], []
            for aor, one in heard.items():
                told = said[id(one)]
                beats.append((*(told.get(name) for name in ("every", "up", "free", "rssi", "clock", "waiting")), aor))
                point = (aor, one.received, told.get("free"), told.get("rssi"), told.get("waiting"))
                points.append((*point, aor, one.received - _BETWEEN_BEATS_S))
            db.many(_BEAT, beats)
            db.many(_CHART, points)
            db.many(_CHANGED, [("board", aor) for aor in heard])

    def _is_replay(self, one: Received) -> bool:
        """Has this signed heartbeat come here before? Whoever saw it could have the board seem to be where he is."""
        now = time.monotonic()
        while self._beaten and next(iter(self._beaten.values())) < now - _REPLAYED_S:
            del self._beaten[next(iter(self._beaten))]
        is_known = one.digest in self._beaten
        if one.digest is not None:  # by somebody whom we trust
            self._beaten.setdefault(one.digest, now)
        return is_known

    def registered(self, bindings: Sequence[Binding]) -> None:
        """These have registered. Where something else was heard since, that counts.

        Who has shown a password to a registrar proves nothing by that in what he sends; but his name isn't made up.
        What he has proved before holds as long as it would have.
        """
        with self._store.transaction() as db:
            rows = {one.aor: (one.aor, one.at, one.source, one.transport, one.at, one.at) for one in bindings}
            heard = self._note(_REGISTERED, rows, self._known(rows))
            db.many(_VOUCHED, [(one.at, one.aor) for one in bindings])
            db.many(_CHANGED, [("board", aor) for aor in heard])
            self._awake([one.aor for one in bindings])

    def logged(self, aor: str, records: Sequence[tuple[float, str, str, str]]) -> None:
        """A monitor tells what a board has logged: when it heard that (Unix seconds), level, event, fields as JSON.

        All that follows is that the board lives, and isn't made up: nothing that it sends is proved by that, and no way
        leads to it.
        """
        heard = min(time.time(), max(at for at, *_ in records))
        with self._store.transaction() as db:
            if not db.query("SELECT 1 FROM board WHERE aor = ?", (aor,)):
                self._forget(db.query(_SURPLUS_LOGGED, (_MOST_LOGGED - 2,)))
            db.execute(_LOGGED, (aor, heard, heard, heard))
            db.many(_RECORD, [(aor, *record) for record in records])
            db.execute(_OLD_RECORDS, (aor, aor, _KEPT_RECORDS))
            self.changed("board", aor)

    def _awake(self, senders: object) -> None:
        """Let what waits for these go out now: they are there."""
        waiting = self._store.db.query("SELECT id, target FROM reply WHERE state = 'waiting' AND next_at IS NOT NULL")
        for number, target in waiting:
            if target in senders:  # type: ignore[operator]
                self._store.db.execute("UPDATE reply SET next_at = ? WHERE id = ?", (time.time(), number))

    # What people do

    def acknowledge(self, numbers: Sequence[int], who: str) -> list[int]:
        """Note that a person has seen to messages; returns those of which nobody had. What has been deleted is none."""
        with self._store.transaction():
            return self.acknowledged(numbers, who)

    def acknowledged(self, numbers: Sequence[int], who: str) -> list[int]:
        """As acknowledge(), within a transaction."""
        db = self._store.db
        ids = f"id IN ({', '.join('?' * len(numbers))})"
        added = db.query(
            f"{_ACKNOWLEDGED} {ids} ON CONFLICT DO NOTHING RETURNING message", (who, time.time(), *numbers)
        )
        senders = db.query(f"UPDATE message SET open = 0 WHERE open = 1 AND {ids} RETURNING sender", numbers)
        fewer = Counter(sender for (sender,) in senders)
        db.many(_FEWER_OPEN, [(count, count, sender) for sender, count in fewer.items()])
        db.many(_CHANGED, [("acknowledgement", str(number)) for (number,) in added])
        return [number for (number,) in added]

    def came_back(self, event: MessageReceived) -> str | None:
        """Note that what was written to somebody has come here instead; returns his URI, None for all else.

        A relay that passes everything on to us takes what we send there for another message to us. Who says the same
        himself, and reuses our Call-ID, has got it.
        """
        call_id, sender = (value.decode(errors="replace") for value in (event.call_id, event.sender))
        written = self._store.db.query(_WRITTEN, (call_id, event.message.body, respelled(sender)))
        for number, target in written:
            with self._store.transaction() as db:
                db.execute(_CAME_BACK, (CAME_BACK, time.time(), number))
                self.changed("reply", number)
            return str(target)
        return None

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
            self._make_room(now)

    def _make_room(self, now: float) -> None:
        """Let go of names that nothing has ever proved, where no new one would get a row.

        First of those that were silent for longest, compared to how long they were heard before: who is heard again and
        again outlasts any number of names that somebody thinks up. Whom a person has written to stays.
        """
        db = self._store.db
        [(count,)] = db.query("SELECT count(*) FROM board")
        self._forget(db.query(_SURPLUS, (now + _SETTLED_S, _ROOM)) if count >= _MOST else [])

    def _forget(self, gone: Sequence[Row]) -> None:
        """gone: rows of which each has the aor of a board that is no longer known."""
        self._store.db.many("DELETE FROM log WHERE board = ? RETURNING id", gone)
        if gone:
            self.changed("forgotten", json.dumps([aor for (aor,) in gone]))
