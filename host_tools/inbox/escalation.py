"""Who is told of messages that nobody at the page has acknowledged or answered.

All that is due goes out in one message, and no more than one goes to anybody in half a minute: strangers who write much
keep nobody awake more than that.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from sipmote.inbox.store import Store
from sipmote.inbox.text import text_of

_PAUSE_S = 30.0  # between two to the same one
_MOST = 500  # messages told of at once
_SHOWN = 300  # characters of the newest
_UNSEEN = """
SELECT id, sender, body, content_type, received, valid_until FROM message
    WHERE open = 1 AND escalated = ? AND received <= ? ORDER BY received LIMIT ?
"""


@dataclass(frozen=True)
class Escalation:
    """Whom messages go to that nobody has acknowledged: URIs, one after the other, each so many seconds later."""

    targets: tuple[str, ...]
    after_s: float


@dataclass(frozen=True)
class Due:
    """What to tell whom. message: id of the newest that it is about. note: writes down that it is told."""

    target: str
    text: str
    message: int
    note: Callable[[], None]


class Escalator:
    """Looks for what is due."""

    def __init__(self, store: Store, escalation: Escalation) -> None:
        self._store = store
        self._escalation = escalation
        self._told_at: dict[str, float] = {}  # by the monotonic clock

    def due(self) -> Due | None:
        """Return what is to be told now, None for nothing. Raises StoreError."""
        now = time.time()
        for level, target in enumerate(self._escalation.targets):
            if time.monotonic() - self._told_at.get(target, -_PAUSE_S) < _PAUSE_S:
                continue
            since = now - self._escalation.after_s * (level + 1)
            rows = self._store.db.rows(_UNSEEN, (level, since, _MOST))
            valid = [row for row in rows if row["valid_until"] is None or row["valid_until"] > now]
            if valid:
                return Due(target, _text(valid), valid[-1]["id"], partial(self._note, rows, target))
            if rows:  # nobody wants to know any more
                with self._store.transaction():
                    self._note(rows)
        return None

    def _note(self, rows: list[dict[str, Any]], target: str = "") -> None:
        """Write it down, within a transaction: that which queues it, if it is told."""
        self._told_at[target] = time.monotonic()
        update = "UPDATE message SET escalated = escalated + 1 WHERE id = ? RETURNING id"
        self._store.db.many(update, [(row["id"],) for row in rows])


def _text(rows: list[dict[str, Any]]) -> str:
    newest = rows[-1]
    said = text_of(newest["content_type"], bytes(newest["body"]))[0] or newest["content_type"]
    came = time.strftime("%H:%M", time.localtime(newest["received"]))
    others = len({row["sender"] for row in rows}) - 1
    more = f"; and {len(rows) - 1} more" if len(rows) > 1 else ""
    of = f", of {others} others, too" if others else ""
    return f"Nobody has acknowledged: {newest['sender']} at {came}: {said[:_SHOWN]}{more}{of}"
