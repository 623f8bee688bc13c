"""The sqlite file that the inbox keeps messages in, and those that are to be passed on."""

import os
import sqlite3
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sipmote.errors import ToolError
from sipmote.inbox.received import Received

_STEPS = (  # PRAGMA user_version counts how many of them a file has had
    """
CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    call_id TEXT NOT NULL,
    cseq INTEGER NOT NULL,
    sender TEXT NOT NULL,
    recipient TEXT NOT NULL,
    subject TEXT,
    content_type TEXT NOT NULL,
    body BLOB NOT NULL,
    date INTEGER,            -- Unix seconds of the Date header field
    received REAL NOT NULL,  -- Unix seconds
    expired INTEGER,         -- when it came; NULL: not known
    stale INTEGER,
    transport TEXT NOT NULL,
    source TEXT NOT NULL,
    UNIQUE (call_id, cseq)
);
""",
    """
ALTER TABLE message ADD COLUMN cpim BLOB;  -- the octets of a message/cpim before its content, which is the body
ALTER TABLE message ADD COLUMN author TEXT;  -- its From
ALTER TABLE message ADD COLUMN message_id TEXT;
CREATE UNIQUE INDEX message_twin ON message (author, message_id) WHERE message_id IS NOT NULL;
""",
    """
CREATE TABLE parcel (        -- a message that is to be passed on, as it came
    id INTEGER PRIMARY KEY REFERENCES message (id),
    date INTEGER NOT NULL,   -- Unix seconds it goes out with: its own Date, else when it came
    expires INTEGER,         -- its Expires, in seconds
    max_forwards INTEGER NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    next_at REAL NOT NULL,   -- Unix seconds of the next attempt
    ended TEXT               -- what became of it; NULL while it waits
);
CREATE INDEX parcel_next ON parcel (next_at) WHERE ended IS NULL;
""",
    """
ALTER TABLE message ADD COLUMN encrypted INTEGER;  -- has it come so? It is stored in clear
ALTER TABLE message ADD COLUMN signature TEXT;     -- its worth, a state of host_tools/smime; NULL: none
ALTER TABLE message ADD COLUMN signer TEXT;        -- the first SIP URI of the signer's certificate
""",
    "CREATE TABLE instance AS SELECT hex(randomblob(16)) AS number;",
    """
ALTER TABLE message ADD COLUMN user TEXT;  -- who has authenticated for it
ALTER TABLE parcel ADD COLUMN user TEXT NOT NULL DEFAULT '';  -- of the Request-URI
DROP INDEX parcel_next;
CREATE INDEX parcel_next ON parcel (next_at, user) WHERE ended IS NULL;
""",
)
_INSERT = """
INSERT OR IGNORE INTO message (call_id, cseq, sender, recipient, subject, content_type, body, date, received, expired,
    stale, transport, source, user, cpim, author, message_id, encrypted, signature, signer)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_INSERT_PARCEL = "INSERT INTO parcel (id, date, expires, max_forwards, user, next_at) VALUES (?, ?, ?, ?, ?, ?)"
_DUE_FIRST = """
SELECT parcel.*, call_id, sender, subject, content_type, body, received FROM parcel JOIN message USING (id)
    WHERE ended IS NULL AND parcel.user NOT IN (%s) ORDER BY next_at LIMIT 1
"""


def default_path() -> Path:
    """Return where messages are kept when nobody names a file."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "sipmote" / "inbox.db"


class Store:
    """The sqlite file. What add() has returned from is on the disk, a power cut included."""

    def __init__(self, path: str) -> None:
        """Open path, made if missing, or ":memory:"; raises ToolError if that can't be."""
        try:
            if path != ":memory:":
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=1.0, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA cache_size = -32768")  # KiB
            # Pages of the log before they go into the file: 64 MB. Call-IDs are random, so that each message changes
            # another page of the index of a large store; this many go over together, those changed twice just once.
            self._db.execute("PRAGMA wal_autocheckpoint = 16384")
            self._prepare(path)
        except (sqlite3.Error, OSError) as error:
            raise ToolError(f"can't keep messages in {path}: {error}; name another file with --db") from error

    def _prepare(self, path: str) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > len(_STEPS):
            raise ToolError(f"{path} was made by a newer sipmote: update this one or name another file with --db")
        if version < len(_STEPS):
            steps = "".join(_STEPS[version:])
            self._db.executescript(f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {len(_STEPS)}; COMMIT;")

    def instance(self) -> str:
        """Return the URN of an inbox with this file, the same after a restart (RFC 5626 section 4.1)."""
        return uuid.UUID(hex=self._db.execute("SELECT number FROM instance").fetchone()[0], version=4).urn

    def add(self, batch: Sequence[Received]) -> None:
        """Keep these in one commit, twins of what is there left out and marked; raises sqlite3.Error and keeps none."""
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            for one in batch:
                inserted = db.execute(_INSERT, _row(one))
                one.duplicate = inserted.rowcount == 0
                if one.parcel and not one.duplicate:
                    parcel = (one.parcel.date, one.parcel.expires, one.parcel.max_forwards, one.parcel.user)
                    db.execute(_INSERT_PARCEL, (inserted.lastrowid, *parcel, one.received))
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def next_parcel(self, but_not_for: Iterable[str]) -> dict[str, Any] | None:
        """Return the parcel that is due first and for none of these users, with what is stored of its message."""
        users = list(but_not_for)
        cursor = self._db.execute(_DUE_FIRST % ", ".join("?" * len(users)), users)
        row = cursor.fetchone()
        return None if row is None else dict(zip([column[0] for column in cursor.description], row, strict=True))

    def postpone(self, parcel: int, next_at: float) -> None:
        """Count an attempt at a parcel; the next one is due at next_at (Unix seconds)."""
        self._db.execute("UPDATE parcel SET tries = tries + 1, next_at = ? WHERE id = ?", (next_at, parcel))

    def end_parcel(self, parcel: int, outcome: str) -> None:
        """Note what became of a parcel."""
        self._db.execute("UPDATE parcel SET ended = ? WHERE id = ?", (outcome, parcel))

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _row(one: Received) -> tuple[Any, ...]:
    """Return what _INSERT takes of a message."""
    row = (one.call_id, one.cseq, one.sender, one.to, one.subject, one.content_type, one.body, one.date)
    more = (one.received, one.expired, one.stale, one.transport, one.source, one.user)
    cpim = None if one.cpim is None else one.cpim.data[: one.cpim.body_at]
    author = None if one.cpim is None and one.digest is None else one.author or one.sender
    state, signer = (None, None) if one.verdict is None else (one.verdict.state, one.verdict.signer)
    return row + more + (cpim, author, one.message_id or one.digest, one.encrypted, state, signer)
