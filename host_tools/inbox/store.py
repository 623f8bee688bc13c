"""The sqlite file that the inbox keeps messages in, and what is still to be done with them.

The file may be deleted, replaced, locked or full while we run. A message counts as kept only while the file that it
went into is the one that a person finds by its name.
"""

import contextlib
import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sipmote.errors import ToolError
from sipmote.files import data_folder
from sipmote.inbox.received import Received
from sipmote.inbox.rows import COLUMNS, from_row, to_row
from sipmote.inbox.twins import is_twin, same_key, twin_key

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
    """
CREATE TABLE renewed (  -- message, without the rule that Call-ID and CSeq are one message's alone
    id INTEGER PRIMARY KEY,
    call_id TEXT NOT NULL,
    cseq INTEGER NOT NULL,
    sender TEXT NOT NULL,
    from_tag TEXT,           -- and what else follows the URI in From; NULL: not known
    recipient TEXT NOT NULL,
    subject TEXT,
    content_type TEXT NOT NULL,
    body BLOB NOT NULL,
    date INTEGER,
    received REAL NOT NULL,
    expired INTEGER,
    stale INTEGER,
    transport TEXT NOT NULL,
    source TEXT NOT NULL,
    user TEXT,
    cpim BLOB,
    author TEXT,
    message_id TEXT,
    encrypted INTEGER,
    signature TEXT,
    signer TEXT,
    twin INTEGER NOT NULL,   -- host_tools/inbox/twins.py
    nth INTEGER NOT NULL,    -- of those with this key that are no twins
    same INTEGER
);
INSERT INTO renewed SELECT id, call_id, cseq, sender, NULL, recipient, subject, content_type, body, date, received,
    expired, stale, transport, source, user, cpim, author, message_id, encrypted, signature, signer,
    twin, row_number() OVER (PARTITION BY twin ORDER BY id) - 1,
    CASE WHEN row_number() OVER (PARTITION BY same ORDER BY id) = 1 THEN same END
    FROM (SELECT *,
        twin_key(whose, sender, iif(cpim IS NULL, NULL, message_id), content_type, octets, good) AS twin,
        same_key(message_id, author, content_type, octets, good) AS same
        FROM (SELECT *, call_id || ifnull((SELECT ' for ' || parcel.user FROM parcel WHERE parcel.id = message.id), '')
                AS whose, CAST(body AS BLOB) AS octets, iif(signature = 'good', ifnull(signer, ''), NULL) AS good
            FROM message));
DROP TABLE message;
ALTER TABLE renewed RENAME TO message;
CREATE UNIQUE INDEX message_twin ON message (twin, nth);
CREATE UNIQUE INDEX message_same ON message (same) WHERE same IS NOT NULL;
CREATE TABLE run (           -- a message whose command (--exec) has not ended yet
    id INTEGER PRIMARY KEY REFERENCES message (id),
    queue TEXT NOT NULL,     -- host_tools/inbox/runs.py
    ready_at REAL,           -- Unix seconds since when nothing of its queue is before it; NULL: it waits, -1: it runs
    started INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX run_queue ON run (queue, ready_at);
CREATE INDEX run_ready ON run (ready_at) WHERE ready_at >= 0;
CREATE TABLE progress AS SELECT ifnull(max(id), 0) AS shown FROM message;  -- messages to this id are
""",
    """
ALTER TABLE message ADD COLUMN display_name TEXT;  -- of its From: what the sender calls itself
ALTER TABLE message ADD COLUMN priority TEXT;
ALTER TABLE message ADD COLUMN unauthenticated INTEGER;  -- could somebody have changed what is encrypted?
ALTER TABLE message ADD COLUMN for_others TEXT;          -- whom it says it is for, a line each, none of whom we are
""",
    """
ALTER TABLE parcel ADD COLUMN display BLOB NOT NULL DEFAULT x'';  -- of From, as it stood between its quotes
ALTER TABLE parcel ADD COLUMN fields BLOB NOT NULL DEFAULT x'';   -- further header lines that go with it
ALTER TABLE parcel ADD COLUMN octets INTEGER NOT NULL DEFAULT 0;  -- of the request that brought it
ALTER TABLE parcel ADD COLUMN notice BLOB;     -- what tells its sender that it failed, once it has
ALTER TABLE parcel ADD COLUMN notice_id TEXT;  -- Call-ID of that
ALTER TABLE parcel ADD COLUMN outcome TEXT;    -- what became of it, to be written into ended when he is told
""",
    """
ALTER TABLE parcel ADD COLUMN lane TEXT;  -- of all to a recipient from a source, or of notices for a sender
DROP INDEX parcel_next;
CREATE INDEX parcel_next ON parcel (lane, next_at) WHERE ended IS NULL;
CREATE TABLE lane (          -- the lanes in which somebody waits; host_tools/inbox/parcels.py
    name TEXT PRIMARY KEY,
    recipient TEXT NOT NULL, -- one message at a time is under way to each
    is_notice INTEGER NOT NULL,
    next_at REAL NOT NULL    -- Unix seconds since when it waits for its turn
) WITHOUT ROWID;
CREATE INDEX lane_next ON lane (is_notice, next_at);
CREATE INDEX lane_recipient ON lane (recipient);
CREATE TRIGGER parcel_lane AFTER INSERT ON parcel BEGIN  -- not in the program: one of before may still be running
    UPDATE parcel SET lane = 'to ' || NEW.user || ' from ' || (SELECT
        iif(message.user IS NULL, rtrim(rtrim(source, '0123456789'), ':'), 'user ' || message.user)
        FROM message WHERE message.id = NEW.id) WHERE id = NEW.id;
    INSERT INTO lane SELECT lane, 'to ' || NEW.user, 0, NEW.next_at FROM parcel WHERE id = NEW.id
        ON CONFLICT (name) DO UPDATE SET next_at = min(next_at, excluded.next_at);
END;
UPDATE parcel SET lane = iif(notice IS NULL, 'to ' || user || ' from before',
    'notice for ' || (SELECT sender FROM message WHERE message.id = parcel.id)) WHERE ended IS NULL;
INSERT INTO lane SELECT lane, iif(notice IS NULL, 'to ' || user, lane), notice IS NOT NULL, min(next_at)
    FROM parcel WHERE ended IS NULL GROUP BY lane;
""",
    """
CREATE TABLE backlog (id INTEGER PRIMARY KEY);  -- messages that a start has found not shown, until they are
""",
)
_INSERT = f"""
INSERT OR IGNORE INTO message ({", ".join(COLUMNS)}, nth) VALUES ({", ".join("?" * len(COLUMNS))}, ?)
"""
_ALIKE = """
SELECT id, from_tag, cseq, received, nth FROM message WHERE twin = ? ORDER BY nth DESC LIMIT 64
"""
_UNSHOWN = """
SELECT id FROM message WHERE id > (SELECT shown FROM progress) OR id IN (SELECT id FROM run WHERE started AND ?)
"""
_BACKLOG = "SELECT message.* FROM backlog JOIN message USING (id) WHERE id > ? ORDER BY id LIMIT 1"
_NOTHING = (0, 0)  # in place of the device and inode of an empty file
_UNKNOWN = (-1, -1)  # of none that we have open
_BUSY_MS = 1000  # how long another program may have the file locked before senders are asked to come back
_REMEDIES = {  # the beginning of sqlite's name for what is wrong: what a person can do about it
    "SQLITE_BUSY": "end the program that has it locked",
    "SQLITE_FULL": "make room on its disk",
    "SQLITE_READONLY": "give its owner the right to write",
    "SQLITE_CANTOPEN": "give its owner the right to write there",
    "SQLITE_IOERR": "look at its disk",
    "SQLITE_CORRUPT": "move it away, and a new one is made",
    "SQLITE_NOTADB": "move it away, and a new one is made",
}


def default_path() -> Path:
    """Return where messages are kept when nobody names a file."""
    return data_folder() / "inbox.db"


def trouble(error: Exception) -> str:
    """Return what is wrong with the file, and what a person can do about it."""
    name = getattr(error, "sqlite_errorname", "")  # sqlite's own errors alone have one
    remedy = next((words for prefix, words in _REMEDIES.items() if name.startswith(prefix)), "")
    return f"{error}: {remedy}" if remedy else str(error)


class Store:
    """The sqlite file. What add() has returned from is on the disk, a power cut included."""

    def __init__(self, path: str, tell: Callable[[str], None] = lambda text: None) -> None:
        """Open path, made if missing, or ":memory:"; raises ToolError if that can't be.

        tell: called with what a person should know about the file.
        """
        self.path = path
        self._watched: tuple[str, ...] = ("",)
        self.generation = 0  # of what is open: the ids of its rows mean nothing in another file
        self._tell = tell
        self._files: dict[str, tuple[int, int]] = {}  # suffix of a name -> device and inode of what we opened
        self._shown = self._shown_in_file = (0, 0)  # messages to this id have been shown; of the backlog, to that
        self._busy_ms = _BUSY_MS
        try:
            self._open()
        except (sqlite3.Error, OSError) as error:
            raise ToolError(f"can't keep messages in {path}: {error}; name another file with --db") from error

    def _open(self) -> None:
        if self.path != ":memory:":
            Path(self.path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_RDONLY | os.O_CREAT, 0o600))
        db = self.db = sqlite3.connect(self.path, timeout=_BUSY_MS / 1000, isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA cache_size = -32768")  # KiB
        # Pages of the log before they go into the file: 64 MB. Digests are random, so that each message changes
        # another page of the index of a large store; this many go over together, those changed twice just once.
        db.execute("PRAGMA wal_autocheckpoint = 16384")
        self._prepare()
        if self.path != ":memory:":
            self._make_private()
        self._files = {suffix: found for suffix in ("", "-wal", "-shm") if (found := self._identity(suffix))}
        self._watched = ("", "-wal") if "-wal" in self._files else ("",)

    def _make_private(self) -> None:
        """See that nobody but its owner can read the file, whose older versions cared less."""
        path = Path(self.path)
        wanted = {Path(self.path + suffix): 0o600 for suffix in ("", "-wal", "-shm")}
        if path == default_path():
            wanted[path.parent] = 0o700
        lax = [place for place in wanted if place.exists() and place.stat().st_mode & 0o077]
        try:
            for place in lax:
                place.chmod(wanted[place])
        except OSError:
            self._tell(f"{path} is open to other users of this computer: ask its owner for chmod go= {path}")
        else:
            if lax:
                self._tell(f"{path} was open to other users of this computer; now it is yours alone")

    def _prepare(self) -> None:
        db, path = self.db, self.path
        db.create_function("twin_key", 6, twin_key)
        db.create_function("same_key", 5, same_key)
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > len(_STEPS):
            raise ToolError(f"{path} was made by a newer sipmote: update this one or name another file with --db")
        if version < len(_STEPS):
            if version:
                self._tell(f"{path} is brought up to date; many messages take a while")
            steps = "".join(_STEPS[version:])
            db.executescript(f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {len(_STEPS)}; COMMIT;")
        last, shown = db.execute("SELECT ifnull(max(id), 0), (SELECT shown FROM progress) FROM message").fetchone()
        if shown > last:  # somebody has deleted messages: their numbers are given again
            db.execute("UPDATE progress SET shown = ?", (last,))
            db.execute("DELETE FROM backlog WHERE id > ?", (last,))

    # A file that changes under us

    def _identity(self, suffix: str = "") -> tuple[int, int] | None:
        """Return device and inode of what has our name, None without it."""
        try:
            found = os.stat(self.path + suffix)
        except OSError:
            return None
        return (found.st_dev, found.st_ino) if suffix or found.st_size else _NOTHING

    def _has_moved(self) -> bool:
        """Is the file that we have open no longer the one of our name, or without its log, or made empty?"""
        if self.path == ":memory:":
            return False
        return any(self._identity(suffix) != self._files.get(suffix, _UNKNOWN) for suffix in self._watched)

    def _renew(self) -> None:
        """Open what has our name now, or a new file. Raises sqlite3.Error."""
        found, before = self._identity(), self._files.get("")
        with contextlib.suppress(sqlite3.Error):  # it may be somewhere else: what is still in its log belongs into it
            self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for suffix, identity in self._files.items():
            if (
                suffix and found != before and self._identity(suffix) == identity
            ):  # sqlite would take it for the log of the other file
                with contextlib.suppress(OSError):
                    os.unlink(self.path + suffix)
        self._files = {}  # until we have opened another
        self.generation += 1
        self._shown = self._shown_in_file = (0, 0)
        self._busy_ms = _BUSY_MS
        self.db.close()
        try:
            self._open()
        except (OSError, ToolError) as error:
            raise sqlite3.OperationalError(str(error)) from error
        what = "was deleted: a new one is made" if found is None else "was replaced: the one there is used"
        has_moved = before is None or found != before
        self._tell(f"{self.path} {what if has_moved else 'has lost its log: what was in it is written again'}")

    # Messages

    def instance(self) -> str:
        """Return the URN of an inbox with this file, the same after a restart (RFC 5626 section 4.1)."""
        return uuid.UUID(hex=self.db.execute("SELECT number FROM instance").fetchone()[0], version=4).urn

    def add(self, batch: Sequence[Received], queues: Sequence[Callable[[Received], None]] = ()) -> None:
        """Keep these in one commit, twins of what is there left out and marked; raises sqlite3.Error and keeps none.

        queues: called for each, within the commit, to note what else is to be done for it; a twin is marked by then.
        """
        for _ in range(2):
            if self._has_moved():
                self._renew()
            self._write(batch, queues)
            if not self._has_moved():  # between the two
                return
        raise sqlite3.OperationalError("the file is moved again and again")

    def _write(self, batch: Sequence[Received], queues: Sequence[Callable[[Received], None]]) -> None:
        with self.transaction():
            for one in batch:
                self._insert(one)
                for each in queues:
                    each(one)
            shown = self._write_shown()
        self._shown_in_file = shown

    def _insert(self, one: Received) -> None:
        """Keep a message that is new, and give it its id; mark one that isn't."""
        one.duplicate, one.id, one.twin = False, 0, 0
        row = to_row(one)
        inserted = self.db.execute(_INSERT, (*row, 0))
        if not inserted.rowcount:  # one with its key is there
            twin, same = row[-2:]
            alike = self.db.execute(_ALIKE, (twin,)).fetchall()
            first = self.db.execute("SELECT id FROM message WHERE same = ?", (same,)).fetchone()
            first = first or next((other for other in alike if is_twin(one, *other[1:4])), None)
            if first is not None:
                one.duplicate, one.twin = True, first[0]
                return
            inserted = self.db.execute(_INSERT, (*row, alike[0][-1] + 1))
        one.id = inserted.lastrowid or 0

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit what is done within, or nothing of it. Raises sqlite3.Error.

        It waits for who has the file locked, but after a failure not again until all is well: all others wait with it.
        """
        db = self.db
        try:
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # what went wrong first is what counts
                if db.in_transaction:
                    db.execute("ROLLBACK")
                self._wait_for_locks(0)
            raise
        self._wait_for_locks(_BUSY_MS)

    def _wait_for_locks(self, ms: int) -> None:
        if ms != self._busy_ms:
            self.db.execute(f"PRAGMA busy_timeout = {ms}")
            self._busy_ms = ms

    # What has been shown

    def shown(self, last: int, of_backlog: bool = False) -> None:
        """All messages to the one with this id have been shown; it is written down with the next commit.

        of_backlog: that is, all of those that were set aside; else all that came since then.
        """
        came, left = self._shown
        self._shown = (came, max(left, last)) if of_backlog else (max(came, last), left)

    def flush(self) -> None:
        """Write down what has been shown. Raises sqlite3.Error."""
        if self._shown != self._shown_in_file:
            with self.transaction():
                shown = self._write_shown()
            self._shown_in_file = shown

    def _write_shown(self) -> tuple[int, int]:
        (came, left), before = self._shown, self._shown_in_file
        if came != before[0]:
            self.db.execute("UPDATE progress SET shown = max(shown, ?)", (came,))
        if left != before[1]:
            self.db.execute("DELETE FROM backlog WHERE id <= ?", (left,))
        return came, left

    def set_aside(self, runs: bool) -> None:
        """Make what was stored up to now and may not have been shown the backlog. Raises sqlite3.Error.

        runs: and what was shown, but whose command is run again.
        """
        if self.db.execute(_UNSHOWN, (runs,)).fetchone() is None:
            return
        with self.transaction() as db:
            db.execute(f"INSERT OR IGNORE INTO backlog {_UNSHOWN}", (runs,))
            db.execute("UPDATE progress SET shown = (SELECT ifnull(max(id), 0) FROM message)")

    def backlog(self, after: int) -> Received | None:
        """Return the first message of the backlog behind an id, None at its end. Raises sqlite3.Error."""
        cursor = self.db.cursor()
        cursor.row_factory = sqlite3.Row
        row = cursor.execute(_BACKLOG, (after,)).fetchone()
        return None if row is None else from_row(row, True)

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(sqlite3.Error):  # then it is shown once more
            self.flush()
        self.db.close()
