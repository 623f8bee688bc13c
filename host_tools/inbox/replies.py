"""What people at a page write to boards: kept until it has reached them, or has expired.

A board that sleeps or is away is tried now and then, and at once when it is heard. What goes out is the same at each
attempt, Call-ID and body, so that a board knows what it has.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from typing import Any

from sipmote.agent.errors import AgentError
from sipmote.agent.events import Outcome
from sipmote.agent.uri import parse_uri
from sipmote.agent.user_agent import UserAgent
from sipmote.errors import ToolError
from sipmote.inbox.boards import Boards
from sipmote.inbox.database import StoreError, trouble
from sipmote.inbox.escalation import Escalation, Escalator
from sipmote.inbox.outbox import Outbox
from sipmote.inbox.parcels import flow_of
from sipmote.inbox.store import Store
from sipmote.inbox.turn import Turn
from sipmote.sip.places import Flow
from sipmote.sip.reasons import reason_of
from sipmote.sip.shell import Shell

_TICK_S = 1.0  # between two looks at the store: another inbox may have queued something
_AT_ONCE = 16
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 15.0, 600.0
_AGAIN = (408, 480, 500, 503, 504)  # who answers so, or not at all, may be there later
_LONGEST = 1000  # characters of a text
_NOWHERE: Flow = (b"TCP", b"", 0)  # of a board that monitors alone have heard: no connection that is there
_INSERT = """
INSERT INTO reply (kind, message, target, words, who, at, expires_at, call_id, asked, state, next_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'waiting', ?) RETURNING id
"""
# What goes to a board goes in the order in which it was written: "off" is never overtaken by "on". An escalation goes
# where its URI alone leads: anybody can write that into his From, and who is heard so would keep everybody asleep.
_DUE = """
SELECT reply.*, coalesce(board.source, asked.source) AS board_source,
    coalesce(board.transport, asked.transport) AS board_transport,
    coalesce(message.recipient, asked.recipient) AS ours
    FROM reply LEFT JOIN board ON board.aor = reply.target AND reply.kind = 'reply'
    LEFT JOIN message ON message.id = board.last
    LEFT JOIN message AS asked ON asked.id = reply.message AND asked.sender = reply.target AND reply.kind = 'reply'
    WHERE next_at <= ? AND state = 'waiting' AND NOT EXISTS (SELECT 1 FROM reply AS earlier WHERE earlier.id < reply.id
        AND earlier.target = reply.target AND earlier.kind = reply.kind AND earlier.state IN ('waiting', 'sending'))
    ORDER BY next_at, reply.id LIMIT ?
"""
_AT_ONCE_FOR = """
UPDATE reply SET next_at = ? WHERE target = ? AND kind = 'reply' AND state = 'waiting' AND next_at IS NOT NULL
"""
_ENDED = """
UPDATE reply SET state = ?, status = ?, reason = ?, tries = ?, next_at = ?, ended_at = ?
    WHERE id = ? AND state IN ('waiting', 'sending')
"""

Framed = tuple[bytes, dict[str, Any]]  # a body, and options of its request


class Replies:
    """Sends what is due, one inbox at a time of those that share a store."""

    def __init__(
        self,
        ua: UserAgent,
        shell: Shell,
        outbox: Outbox,
        store: Store,
        boards: Boards,
        warn: Callable[[str], None],
        escalation: Escalation | None = None,
    ) -> None:
        """Send nothing yet, within the running loop. escalation: of what nobody sees to, None for none."""
        self._ua = ua
        self._shell = shell
        self._outbox = outbox
        self._store = store
        self._boards = boards
        self._warn = warn
        self._escalator = Escalator(store, escalation) if escalation else None
        self._turn = Turn(store, "replies")
        self._taken_up = -1
        self._due = asyncio.Event()
        self._pending: dict[bytes, dict[str, Any]] = {}  # Call-ID -> row, of what is under way
        self._sending: set[asyncio.Task[None]] = set()
        self._told = ""
        self._task: asyncio.Task[None] | None = None

    @property
    def is_guided(self) -> bool:
        """Does all that is written go to a server of our own?"""
        return self._shell.is_guided

    def start(self) -> None:
        """Begin with what is due."""
        self._task = asyncio.get_running_loop().create_task(self._work())

    def more(self) -> None:
        """Something has been queued, or somebody is there again."""
        self._due.set()

    def write(
        self, target: str, text: str, who: str, expires_s: int | None, message: int | None = None, key: str = ""
    ) -> int:
        """Queue a text for a URI; returns its id. message: that it answers; it is acknowledged by that.

        key: who asks again with it, as he has heard no answer, gets the id of what he has written already; "" for none.
        Raises ToolError for what can't be sent, StoreError.
        """
        text = text.strip()
        if not text:
            raise ToolError("there is no text to send")
        if len(text) > _LONGEST:
            raise ToolError(f"the text has {len(text)} characters: {_LONGEST} is the most")
        try:
            parse_uri(os.fsencode(target)).flow(b"UDP")
        except AgentError as error:
            raise ToolError(f"nothing can be sent to {target}: {error}") from None
        now = time.time()
        expires_at = None if expires_s is None else int(now) + expires_s
        call_id = self._ua.new_call_id().decode()
        asked = f"{who}\n{key}" if key else None
        with self._store.transaction() as db:
            for number, *written in db.query("SELECT id, target, words, message FROM reply WHERE asked = ?", (asked,)):
                if written != [target, text, message]:
                    raise ToolError("this Idempotency-Key is that of something else: take a new one for each text")
                return int(number)
            db.execute(_AT_ONCE_FOR, (now, target))  # for it waits behind that
            row = ("reply", message, target, text, who, now, expires_at, call_id, asked, now)
            [(number,)] = db.query(_INSERT, row)
            self._boards.changed("reply", number)
            if message is not None:
                self._boards.acknowledged([message], who)
        self.more()
        return int(number)

    async def find_way(self, target: str) -> None:
        """See that a board can be written to which monitors alone have heard: by its URI, our proxy or a registrar.

        Raises ToolError where nothing leads to it, StoreError.
        """
        if not self._store.db.query("SELECT 1 FROM board WHERE aor = ? AND source = ''", (target,)):
            return
        try:
            await self._outbox.way(os.fsencode(target), flow=_NOWHERE)
        except (OSError, AgentError) as error:
            why = reason_of(error) if isinstance(error, OSError) else error
            raise ToolError(f"nobody knows where this board is, only a serial line has told of it: {why}") from None

    # The queue

    async def _work(self) -> None:
        while True:
            self._due.clear()
            try:
                self._look()
                self._told = ""
            except Exception as error:
                if self._told != str(error):
                    self._told = str(error)
                    text = trouble(error) if isinstance(error, StoreError) else repr(error)
                    self._warn(f"the store fails, what was written waits: {text}")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK_S):  # wait_for() may swallow what close() says
                    await self._due.wait()

    def _look(self) -> None:
        """Send what is due, if that is our part."""
        if not self._turn.is_ours():
            self._taken_up = -1
            return
        if self._taken_up != self._store.generation:
            self._take_up()
        self._boards.tidy()
        self._expire()
        self._escalate()
        room = _AT_ONCE - len(self._pending)
        for row in self._store.db.rows(_DUE, (time.time(), room)) if room > 0 else ():
            with self._store.transaction() as db:
                db.execute("UPDATE reply SET state = 'sending', next_at = NULL WHERE id = ?", (row["id"],))
                self._boards.changed("reply", row["id"])
            task = asyncio.create_task(self._send(row))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    def _take_up(self) -> None:
        """What another one was sending when it ended is sent again, as the same message."""
        ours = {row["id"] for row in self._pending.values()}
        with self._store.transaction() as db:
            for (number,) in db.query("SELECT id FROM reply WHERE state = 'sending'"):
                if number not in ours:
                    db.execute("UPDATE reply SET state = 'waiting', next_at = ? WHERE id = ?", (time.time(), number))
        self._taken_up = self._store.generation

    def _expire(self) -> None:
        now = time.time()
        query = "SELECT * FROM reply WHERE state = 'waiting' AND next_at IS NOT NULL AND expires_at < ?"
        for row in self._store.db.rows(query, (now,)):
            self._end(row, "expired", row["status"], row["reason"] or "it was not heard in time")

    def _escalate(self) -> None:
        """Queue what tells somebody of what nobody has acknowledged."""
        due = self._escalator.due() if self._escalator else None
        if due is None:
            return
        with self._store.transaction() as db:
            now, call_id = time.time(), self._ua.new_call_id().decode()
            ends = int(now) + 86400
            row = ("escalation", due.message, due.target, due.text, "the inbox", now, ends, call_id, None, now)
            [(number,)] = db.query(_INSERT, row)
            due.note()
            self._boards.changed("acknowledgement", due.message)
            self._boards.changed("reply", number)

    # One of them

    async def _send(self, row: dict[str, Any]) -> None:
        target = os.fsencode(row["target"])
        call_id = row["call_id"].encode()
        self._pending[call_id] = row
        try:
            ours = os.fsencode(row["ours"] or "")
            way = await self._outbox.way(target, flow=_flow(row), to=ours)
            body, options = self._frozen(row, target, way.sender, call_id)
            if row["expires_at"] is not None:
                options |= {"expires": max(0, row["expires_at"] - int(time.time()))}
            await self._shell.send(call_id, target, body, flow=way.flow, sender=way.sender, **options)
        except (OSError, StoreError) as error:
            self._pending.pop(call_id, None)
            self._retry(row, None, reason_of(error) if isinstance(error, OSError) else str(error))
        except (AgentError, ToolError) as error:
            self._pending.pop(call_id, None)
            self._end(row, "failed", None, str(error))
        except Exception as error:  # a fault of ours: it may be none with the next attempt
            self._pending.pop(call_id, None)
            self._warn(f"not sent to {row['target']}: {error!r}; please report it")
            self._retry(row, None, repr(error))

    def _frozen(self, row: dict[str, Any], target: bytes, sender: bytes, call_id: bytes) -> Framed:
        """Return body and options, those of the first attempt."""
        if row["body"] is not None:
            return bytes(row["body"]), {"content_type": row["content_type"].encode()}
        body, options = self._outbox.protected(target, sender, call_id, b"text/plain", row["words"].encode())
        kept = options["content_type"].decode()
        with self._store.transaction() as db:
            db.execute("UPDATE reply SET body = ?, content_type = ? WHERE id = ?", (body, kept, row["id"]))
        return body, options

    def finished(self, outcome: Outcome, trouble: str) -> bool:
        """Take the outcome of one of ours; False for that of anything else."""
        row = self._pending.pop(outcome.call_id, None)
        if row is None:
            return False
        reason = trouble or outcome.reason.decode("utf-8", "backslashreplace")
        is_taken = outcome.name in ("delivered", "accepted")
        if not is_taken and outcome.status in _AGAIN:
            self._retry(row, outcome.status, reason)
        else:
            self._end(row, outcome.name if is_taken else "failed", outcome.status, reason)
        self.more()
        return True

    def _retry(self, row: dict[str, Any], status: int | None, reason: str) -> None:
        pause = min(_FIRST_PAUSE_S * 2 ** min(row["tries"], 10), _LONGEST_PAUSE_S)
        self._note(row, ("waiting", status, reason, row["tries"] + 1, time.time() + pause, None))

    def _end(self, row: dict[str, Any], state: str, status: int | None, reason: str) -> None:
        self._note(row, (state, status, reason, row["tries"] + 1, None, time.time()))
        if row["kind"] == "escalation" and state in ("failed", "expired"):
            self._warn(f"--escalate {row['target']}: can't be told of what nobody has acknowledged: {reason}")

    def _note(self, row: dict[str, Any], values: tuple[object, ...]) -> None:
        try:
            with self._store.transaction() as db:
                db.execute(_ENDED, (*values, row["id"]))
                self._boards.changed("reply", row["id"])
        except StoreError as error:
            self._taken_up = -1  # it is sent once more, as the same message
            self._warn(f"what became of a reply could not be stored, it is sent again: {trouble(error)}")

    async def close(self) -> None:
        """Stop; what is under way is the next one's."""
        tasks = [*self._sending, *([self._task] if self._task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._turn.close()


def _flow(row: dict[str, Any]) -> Flow | None:
    """Return the flow by which the receiver was heard last, None for who wasn't."""
    if row["board_source"] is None:
        return None
    return flow_of(row["board_transport"], row["board_source"]) if row["board_source"] else _NOWHERE
