"""What is in the store, as the page and programs see it: objects for JSON. Times are Unix seconds, or RFC 3339."""

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from sipmote.inbox.boards import proof_of
from sipmote.inbox.database import Database
from sipmote.inbox.history import Query
from sipmote.inbox.rows import from_row
from sipmote.inbox.screen import marks

Json = dict[str, Any]

_OWN_MARKS = ("expired", "stale", "duplicate", "again")  # which have a place of their own, or mean nothing here
_LOOKED_AT = "id, sender, author, display_name, content_type, body, subject"
_CHUNK = 500  # messages that a search looks at between two looks at the clock
_SEARCH_S = 0.5
_POINTS = 300  # of a chart
_SHOWN = 300  # characters of a board's newest message
_REPLY = ("id", "kind", "message", "status", "reason", "at", "expires_at", "state", "ended_at", "tries", "next_at")
_BOARD = ("aor", "heard", "heard_by", "every", "source", "transport", "free", "rssi", "clock", "waiting", "messages")


@dataclass(frozen=True)
class Patience:
    """Seconds after which a board that hasn't been heard is late, and gone, where its heartbeats don't say it."""

    late_s: float = 900.0
    gone_s: float = 86400.0

    def limits(self, heard: float, every: int | None) -> tuple[float, float]:
        """Return since when a board is late, and gone, in Unix seconds. every: seconds between its heartbeats."""
        if every is None:
            return heard + self.late_s, heard + self.gone_s
        return heard + 2 * every + 30, heard + 10 * every + 30


@dataclass(frozen=True)
class Search:
    """Which messages are wanted, as Query; of one board's, of those that nobody has acknowledged, and from where on.

    before, after: ids; with after the oldest first, else the newest.
    """

    query: Query
    board: str = ""
    is_open: bool = False
    before: int | None = None
    after: int | None = None


def find(db: Database, search: Search, limit: int) -> Json:
    """Return {"messages", "next", "complete"}: so many at most, within a time that others can wait for."""
    found: list[Json] = []
    at = search.after if search.after is not None else search.before
    first, last = _bounds(db, search.query)
    ends = time.monotonic() + _SEARCH_S
    chunk = _CHUNK if search.query.text or search.query.sender else limit
    while True:
        looked_at = db.query(*_select(search, at, chunk, first, last))
        ids = [row[0] for row in looked_at if _may_be(search.query, *row[1:])]
        for start in range(0, len(ids), limit):
            for row in _rows(db, ids[start : start + limit]):
                if search.query.takes(from_row(row, False)):
                    found.append(row)
                    if len(found) == limit:
                        return {"messages": _whole(db, found), "next": row["id"], "complete": True}
        at = looked_at[-1][0] if looked_at else at
        if len(looked_at) < chunk or time.monotonic() > ends:
            is_end = len(looked_at) < chunk
            return {"messages": _whole(db, found), "next": None if is_end else at, "complete": is_end}


def _may_be(
    query: Query, sender: str, author: str | None, display: str | None, kind: str, body: bytes, subject: str | None
) -> bool:
    """May this message be wanted? Most are not, or are plain text: that is seen without reading all of them."""
    names = query.sender.casefold()
    if names and not any(names in (name or "").casefold() for name in (sender, author, display)):
        return False
    if not query.text or kind != "text/plain":
        return True
    words = query.text.casefold()
    return words in bytes(body).decode(errors="replace").casefold() or words in (subject or "").casefold()


def _rows(db: Database, ids: Sequence[int]) -> list[Json]:
    """Return the messages with these ids, in their order."""
    query = f"SELECT * FROM message WHERE id IN ({_places(ids)})"
    found = {row["id"]: row for row in db.rows(query, list(ids))} if ids else {}
    return [found[number] for number in ids if number in found]


def _bounds(db: Database, query: Query) -> tuple[int | None, int | None]:
    """Return between which ids messages of the time in question are: ids grow as time does, but for set clocks."""
    first = last = None
    if query.since is not None:
        rows = db.query("SELECT id FROM message WHERE received >= ? ORDER BY received LIMIT 1", (query.since,))
        first = rows[0][0] if rows else 2**62
    if query.until is not None:
        rows = db.query("SELECT id FROM message WHERE received <= ? ORDER BY received DESC LIMIT 1", (query.until,))
        last = rows[0][0] if rows else 0
    return first, last


def _select(
    search: Search, at: int | None, limit: int, first: int | None, last: int | None
) -> tuple[str, list[object]]:
    wheres: list[str] = []
    values: list[object] = []
    for where, value in (
        ("id > ?" if search.after is not None else "id < ?", at),
        ("id >= ?", first),
        ("id <= ?", last),
        ("sender = ?", search.board or None),
        ("received >= ?", search.query.since),
        ("received <= ?", search.query.until),
    ):
        if value is not None:
            wheres.append(where)
            values.append(value)
    if search.is_open:
        wheres.append("open = 1")
    where = f"WHERE {' AND '.join(wheres)}" if wheres else ""
    order = "ASC" if search.after is not None else "DESC"
    return f"SELECT {_LOOKED_AT} FROM message {where} ORDER BY id {order} LIMIT ?", [*values, limit]


def messages(db: Database, ids: Sequence[int]) -> list[Json]:
    """Return those messages with these ids that are there, in their order."""
    return _whole(db, _rows(db, sorted(ids)))


def message(db: Database, number: int) -> Json | None:
    """Return the message with this id, None without it."""
    return next(iter(messages(db, [number])), None)


def _whole(db: Database, rows: Iterable[Json]) -> list[Json]:
    """Return messages with what people have done about them."""
    views = [_message(row) for row in rows]
    ids = [view["id"] for view in views]
    if not ids:
        return views
    known = db.rows(f"SELECT * FROM acknowledgement WHERE message IN ({_places(ids)})", ids)
    seen = {row["message"]: {"by": row["who"], "at": row["at"]} for row in known}
    written = db.rows(f"SELECT * FROM reply WHERE message IN ({_places(ids)}) ORDER BY id", ids)
    for view in views:
        own = [row for row in written if row["message"] == view["id"]]
        view["acknowledged"] = seen.get(view["id"])
        view["replies"] = [reply(row) for row in own if row["kind"] == "reply"]
        view["escalated"] = [
            {"to": row["target"], "at": row["at"], "state": row["state"]} for row in own if row["kind"] != "reply"
        ]
    return views


def _message(row: Json) -> Json:
    one = from_row(row, False)
    level, by = proof_of(one)
    view = one.line()
    del view["event"]
    if row["signature"] is not None:
        view["signature"] = {"state": row["signature"], "signer": row["signer"]}
    return {
        **view,
        "id": row["id"],
        "received_at": row["received"],
        "valid_until": row["valid_until"],
        "open": bool(row["open"]),
        "answers": row["answers"],
        "proof": {"level": level, "by": by},
        "marks": [mark for mark in marks(one) if mark not in _OWN_MARKS],
    }


def replies(db: Database, target: str, limit: int = 50) -> list[Json]:
    """Return what was written to a board without answering a message, the newest first."""
    query = "SELECT * FROM reply WHERE target = ? AND message IS NULL ORDER BY id DESC LIMIT ?"
    return [reply(row) for row in db.rows(query, (target, limit))]


def some_replies(db: Database, ids: Sequence[int]) -> list[Json]:
    """Return those with these ids."""
    return (
        [reply(row) for row in db.rows(f"SELECT * FROM reply WHERE id IN ({_places(ids)})", list(ids))] if ids else []
    )


def reply(row: Json) -> Json:
    """Return what somebody has written, as it stands."""
    view = {name: row[name] for name in _REPLY}
    return {**view, "to": row["target"], "text": row["words"], "by": row["who"], "answered": row["answered"]}


def boards(db: Database, patience: Patience, aors: Sequence[str] | None = None) -> list[Json]:
    """Return these boards, or all, those heard last first, each with its newest message."""
    if aors is not None and not aors:
        return []
    where = "" if aors is None else f"WHERE aor IN ({_places(aors)})"
    rows = db.rows(f"SELECT * FROM board {where} ORDER BY heard DESC", list(aors or ()))
    last: dict[int, Json] = {}
    ids = [row["last"] for row in rows if row["last"] is not None]
    for start in range(0, len(ids), _CHUNK):
        last.update({view["id"]: view for view in messages(db, ids[start : start + _CHUNK])})
    for view in last.values():  # a list of boards has no room for more
        view["body"] = view["body"] and view["body"][:_SHOWN]
        view.pop("body_base64", None)
    return [_board(row, last.get(row["last"]), patience) for row in rows]


def _board(row: Json, last: Json | None, patience: Patience) -> Json:
    late_at, gone_at = patience.limits(row["heard"], row["every"])
    now = time.time()
    proof = {"level": row["proof"], "by": row["proof_by"]}
    return {
        **{name: row[name] for name in _BOARD},
        "uptime": row["up"],
        "open": row["open"],
        "state": "gone" if now > gone_at else "late" if now > late_at else "alive",
        "late_at": late_at,
        "gone_at": gone_at,
        "proof": {"level": "none", "by": None} if row["heard_by"] == "registration" else proof,
        "last": last,
    }


def count_open(db: Database) -> int:
    """Return how many messages nobody has acknowledged, those of senders without a row of their own among them."""
    [(count,)] = db.query("SELECT count(*) FROM message WHERE open = 1")
    return int(count)


def log(db: Database, aor: str) -> Json:
    """Return what monitors have told of a board's log, the newest first: {"records": [...]}."""
    rows = db.rows("SELECT at, level, event, fields FROM log WHERE board = ? ORDER BY id DESC", (aor,))
    return {"records": [{**row, "fields": json.loads(row["fields"])} for row in rows]}


def series(db: Database, aor: str, hours: float) -> Json:
    """Return the values of a board's charts: lists of [Unix seconds, value]."""
    until = time.time()
    since = until - hours * 3600
    step = hours * 3600 / _POINTS
    beats = db.query("SELECT at, free, rssi FROM beat WHERE board = ? AND at > ? ORDER BY at", (aor, since))
    came = db.query(
        "SELECT received, date FROM message WHERE sender = ? AND received > ? ORDER BY id DESC LIMIT 20000",
        (aor, since),
    )
    counts: dict[int, int] = {}
    bar = max(step * 6, 60.0)
    for received, _ in came:
        counts[int((received - since) / bar)] = counts.get(int((received - since) / bar), 0) + 1
    late = [(received, received - date) for received, date in reversed(came) if date is not None]
    return {
        "since": since,
        "until": until,
        "step": bar,
        "free": _thinned([(at, free) for at, free, _ in beats], since, step),
        "rssi": _thinned([(at, rssi) for at, _, rssi in beats], since, step),
        "delivery": _thinned([(at, max(0.0, seconds)) for at, seconds in late], since, step),
        "alerts": [[since + number * bar, count] for number, count in sorted(counts.items())],
    }


def _thinned(points: Iterable[tuple[float, float | None]], since: float, step: float) -> list[list[float]]:
    """Return what falls into each step of time as one point: the mean of when, and of the values."""
    steps: dict[int, list[tuple[float, float]]] = {}
    for at, value in points:
        if value is not None:
            steps.setdefault(int((at - since) / step), []).append((at, value))
    return [[fmean(at for at, _ in found), fmean(value for _, value in found)] for _, found in sorted(steps.items())]


def _places(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
