"""The tables of a store, and the steps that lead to them: a store counts how many of them it has had.

No step is ever changed: there are files that have had it. From _BEGINNING on they are written for sqlite and PostgreSQL
alike, with the types of the first.
"""

STEPS = (
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
    """
CREATE TABLE identity (aor TEXT NOT NULL);  -- who we are, as --as has said: one row, or none
""",
    """
ALTER TABLE message ADD COLUMN valid_until INTEGER;  -- Unix seconds: Expires counted from Date, or received
ALTER TABLE message ADD COLUMN open INTEGER NOT NULL DEFAULT 0;  -- 1: nobody has acknowledged it yet
ALTER TABLE message ADD COLUMN escalated INTEGER NOT NULL DEFAULT 0;  -- to how many it was sent on for that
ALTER TABLE message ADD COLUMN answers INTEGER;      -- the reply that it answers
CREATE INDEX message_sender ON message (sender, id);
CREATE INDEX message_open ON message (escalated, received) WHERE open = 1;
CREATE INDEX message_received ON message (received);
CREATE TABLE board (         -- who has written, and what is known of it; host_tools/inbox/boards.py
    aor TEXT PRIMARY KEY,
    heard REAL NOT NULL,     -- Unix seconds
    heard_by TEXT NOT NULL,  -- what it was: message, heartbeat
    source TEXT NOT NULL,
    transport TEXT NOT NULL,
    proof TEXT NOT NULL,     -- that what was heard is by this board: signed, shared, login, none
    proof_by TEXT,
    every INTEGER,           -- seconds from one heartbeat to the next, as the last one said; and what else it said:
    up INTEGER,              -- seconds since its program began
    free INTEGER,            -- octets of its heap
    rssi INTEGER,            -- dBm
    clock TEXT,              -- how it knows the time
    waiting INTEGER,         -- its alerts without an outcome
    messages INTEGER NOT NULL DEFAULT 0,
    open INTEGER NOT NULL DEFAULT 0,
    last INTEGER             -- id of its newest message
);
CREATE INDEX board_heard ON board (heard);
CREATE TABLE beat (          -- heartbeats, for the charts
    board TEXT NOT NULL,
    at REAL NOT NULL,
    free INTEGER,
    rssi INTEGER,
    waiting INTEGER
);
CREATE INDEX beat_board ON beat (board, at);
CREATE INDEX beat_at ON beat (at);
CREATE TABLE acknowledgement (
    message INTEGER PRIMARY KEY,
    who TEXT NOT NULL,
    at REAL NOT NULL         -- Unix seconds
);
CREATE TABLE reply (         -- what people at the page wrote, and what was escalated; inbox/replies.py
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,      -- reply, escalation
    message INTEGER,         -- that it answers or tells of, NULL for none
    target TEXT NOT NULL,    -- URI
    words TEXT NOT NULL,
    who TEXT NOT NULL,
    at REAL NOT NULL,        -- Unix seconds
    expires_at INTEGER,      -- Unix seconds, NULL: never
    call_id TEXT NOT NULL,
    content_type TEXT,       -- as it goes out, from the first attempt on
    body BLOB,
    state TEXT NOT NULL,     -- waiting, sending, delivered, accepted, failed, expired
    status INTEGER,          -- of the last attempt
    reason TEXT NOT NULL DEFAULT '',
    tries INTEGER NOT NULL DEFAULT 0,
    next_at REAL,            -- Unix seconds of the next attempt, NULL once it has ended
    ended_at REAL,
    answered INTEGER         -- id of the message that came then
);
CREATE INDEX reply_next ON reply (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX reply_target ON reply (target, id);
CREATE INDEX reply_message ON reply (message);
CREATE INDEX reply_under_way ON reply (target) WHERE state = 'sending';
CREATE INDEX reply_ended ON reply (ended_at) WHERE ended_at IS NOT NULL;
CREATE TABLE change (        -- what has changed beside messages that came, for who watches; the newest few thousand
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,      -- board, reply, acknowledgement
    ref TEXT NOT NULL        -- its key
);
CREATE TABLE renewed (       -- run, for more than one task a message
    id INTEGER NOT NULL REFERENCES message (id),
    task TEXT NOT NULL,      -- exec, or a webhook's URL
    queue TEXT NOT NULL,
    ready_at REAL,           -- Unix seconds since when nothing of its queue is before it; NULL: it waits, -1: it runs
    started INTEGER NOT NULL DEFAULT 0,
    tries INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (id, task)
);
INSERT INTO renewed (id, task, queue, ready_at, started) SELECT id, 'exec', queue, ready_at, started FROM run;
DROP TABLE run;
ALTER TABLE renewed RENAME TO run;
CREATE INDEX run_queue ON run (task, queue, ready_at);
CREATE INDEX run_ready ON run (task, ready_at) WHERE ready_at >= 0;
""",
    """
ALTER TABLE message ADD COLUMN inbox TEXT NOT NULL DEFAULT '';  -- which of those that share the store has taken it
ALTER TABLE backlog ADD COLUMN inbox TEXT NOT NULL DEFAULT '';
ALTER TABLE progress ADD COLUMN inbox TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX progress_inbox ON progress (inbox);
""",
    """
ALTER TABLE board ADD COLUMN since REAL NOT NULL DEFAULT 0;  -- Unix seconds when it was heard for the first time
ALTER TABLE board ADD COLUMN proved REAL;                    -- when a message last showed who it is; else since when
                                                             -- a registrar or a monitor vouches for it; NULL: never
UPDATE board SET since = coalesce((SELECT received FROM message WHERE sender = board.aor ORDER BY id LIMIT 1), heard),
    proved = CASE WHEN proof <> 'none' OR heard_by = 'registration' THEN heard END;
""",
    """
CREATE TABLE log (           -- what boards say on a serial line, as monitors tell it: the newest records of each
    id INTEGER PRIMARY KEY,
    board TEXT NOT NULL,
    at REAL NOT NULL,        -- Unix seconds: when the monitor heard it
    level TEXT NOT NULL,
    event TEXT NOT NULL,
    fields TEXT NOT NULL     -- JSON
);
CREATE INDEX log_board ON log (board, id);
""",
    """
CREATE TABLE orphan (        -- tasks of run that no inbox is given any more
    task TEXT PRIMARY KEY,
    since REAL NOT NULL      -- Unix seconds when that was seen
);
""",
    """
DROP INDEX reply_ended;      -- answers are known by the names that they give
""",
    """
ALTER TABLE reply ADD COLUMN asked TEXT;  -- by whom, and with which Idempotency-Key; NULL: without
CREATE UNIQUE INDEX reply_asked ON reply (asked) WHERE asked IS NOT NULL;
CREATE INDEX reply_call_id ON reply (call_id);
""",
)
VERSION = len(STEPS)
_BEGINNING = 12  # PostgreSQL begins with the tables of this version; what comes later is for both
_POSTGRESQL = """
CREATE TABLE sipmote (version INTEGER NOT NULL);  -- sqlite has that in its file
INSERT INTO sipmote VALUES (0);
CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    call_id TEXT NOT NULL,
    cseq INTEGER NOT NULL,
    sender TEXT NOT NULL,
    from_tag TEXT,
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
    "user" TEXT,
    cpim BLOB,
    author TEXT,
    message_id TEXT,
    encrypted INTEGER,
    signature TEXT,
    signer TEXT,
    twin INTEGER NOT NULL,
    nth INTEGER NOT NULL,
    same INTEGER,
    display_name TEXT,
    priority TEXT,
    unauthenticated INTEGER,
    for_others TEXT
);
CREATE UNIQUE INDEX message_twin ON message (twin, nth);
CREATE UNIQUE INDEX message_same ON message (same) WHERE same IS NOT NULL;
CREATE TABLE parcel (
    id INTEGER PRIMARY KEY REFERENCES message (id),
    date INTEGER NOT NULL,
    expires INTEGER,
    max_forwards INTEGER NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    next_at REAL NOT NULL,
    ended TEXT,
    "user" TEXT NOT NULL DEFAULT '',
    display BLOB NOT NULL DEFAULT '',
    fields BLOB NOT NULL DEFAULT '',
    octets INTEGER NOT NULL DEFAULT 0,
    notice BLOB,
    notice_id TEXT,
    outcome TEXT,
    lane TEXT
);
CREATE TABLE lane (name TEXT PRIMARY KEY, recipient TEXT NOT NULL, is_notice INTEGER NOT NULL, next_at REAL NOT NULL);
CREATE TABLE run (
    id INTEGER PRIMARY KEY REFERENCES message (id),
    queue TEXT NOT NULL,
    ready_at REAL,
    started INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX run_queue ON run (queue, ready_at);
CREATE INDEX run_ready ON run (ready_at) WHERE ready_at >= 0;
CREATE TABLE instance (number TEXT NOT NULL);
INSERT INTO instance VALUES (upper(replace(gen_random_uuid()::text, '-', '')));
CREATE TABLE progress (shown INTEGER NOT NULL);
CREATE TABLE backlog (id INTEGER PRIMARY KEY REFERENCES message (id));
CREATE TABLE identity (aor TEXT NOT NULL);
"""
_TYPES = (  # of sqlite, and what PostgreSQL has for them
    ("INTEGER PRIMARY KEY REFERENCES", "BIGINT PRIMARY KEY REFERENCES"),
    ("PRIMARY KEY AUTOINCREMENT", "PRIMARY KEY"),
    ("INTEGER PRIMARY KEY", "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"),
    ("INTEGER", "BIGINT"),
    (" REAL", " DOUBLE PRECISION"),
    (" BLOB", " BYTEA"),
)


def postgresql_steps(version: int) -> str:
    """Return what leads from a version, 0 for nothing, to that of today."""
    text = "".join((*(() if version else (_POSTGRESQL,)), *STEPS[version or _BEGINNING :]))
    for ours, theirs in _TYPES:
        text = text.replace(ours, theirs)
    return text
