"""Reading what an inbox has stored, while it may be running, out of a file of any version."""

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sipmote.agent.cpim import imdn
from sipmote.agent.cpim.reader import parse_cpim
from sipmote.agent.errors import ParseError
from sipmote.errors import ToolError
from sipmote.inbox.database import StoreError, trouble
from sipmote.inbox.received import Received
from sipmote.inbox.rows import listed
from sipmote.inbox.store import is_url, open_reader

_OLDEST = {"user": None, "encrypted": None, "author": None, "cpim": None}  # columns that the first version lacks
_MAGIC = b"SQLite format 3\0"
_FLAGS = ("expired", "stale")
_WHEN = "SELECT * FROM message WHERE received BETWEEN ? AND ?"
_PAGE = 500  # messages
_KEPT = tuple(field.name for field in fields(Received) if field.name not in ("cpim", "verdict", "parcel"))


@dataclass(frozen=True)
class Query:
    """Which messages are wanted.

    text: in the text or subject; sender: in From, the display name or what message/cpim says; both whatever their case.
    since, until: Unix seconds of when they came. limit: so many at most, the newest; 0 for all.
    """

    text: str = ""
    sender: str = ""
    since: float | None = None
    until: float | None = None
    limit: int = 0

    def takes(self, one: Received) -> bool:
        """Is this message wanted, whenever it came?"""
        senders = [one.sender, one.author or "", getattr(one, "display_name", None) or ""]
        if not any(self.sender.casefold() in name.casefold() for name in senders):
            return False
        return not self.text or any(self.text.casefold() in (t or "").casefold() for t in (one.text()[0], one.subject))


@dataclass(frozen=True)
class Stored:
    """A message out of the file. signature: its worth as judged when it came, None for an unsigned one."""

    number: int
    message: Received
    signature: str | None
    signer: str | None

    def line(self) -> dict[str, Any]:
        """Return the event line for machines: as that of the inbox, with the number it is stored under."""
        line = {**self.message.line(), "id": self.number}
        if self.signature is not None:
            line["signature"] = {"state": self.signature, "signer": self.signer}
        return line


def find(path: str, query: Query) -> Iterator[Stored | str]:
    """Yield the messages in a file that are wanted, the oldest first; for one that can't be read what is wrong with it.

    path: of a file, or the URL of a server. Raises ToolError for one that isn't there or is no inbox's.
    """
    if is_url(path):
        found = _search(_rows_of_server(path, query), query)
        yield from reversed(list(found)) if query.limit else found
        return
    _check(path)
    # Nobody has it open where there is no log of changes beside it: then sqlite needn't make one.
    mode = "mode=ro" if Path(f"{path}-wal").exists() else "mode=ro&immutable=1"
    try:
        db = sqlite3.connect(f"file:{quote(path)}?{mode}", uri=True, timeout=5.0)
        db.row_factory = sqlite3.Row
        try:
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'message'").fetchall():
                raise _no_inbox(path)
            found = _search(_rows_of_file(db, query), query)
            yield from reversed(list(found)) if query.limit else found
        finally:
            db.close()
    except sqlite3.Error as error:
        raise ToolError(f"can't read messages from {path}: {error}; name an inbox's file with --db") from error


def _check(path: str) -> None:
    """Raise ToolError for what is no file, none that we can read, or no database."""
    if Path(path).is_dir():
        raise ToolError(f"{path} is a directory: name a file in it with --db, such as {Path(path) / 'inbox.db'}")
    if not Path(path).is_file():
        raise ToolError(f"there is no file {path}: start an inbox, or name its file with --db")
    try:
        with open(path, "rb") as file:
            begins = file.read(len(_MAGIC))
    except OSError as error:
        text = f"can't read messages from {path}: {error.strerror}; ask its owner, or name another file with --db"
        raise ToolError(text) from None
    if begins != _MAGIC:
        raise _no_inbox(path)


def _no_inbox(path: str) -> ToolError:
    return ToolError(f"{path} is no inbox's file: name one with --db")


def shown(path: str) -> str:
    """Return what a person may read of where messages are kept: a URL without its password. Raises ToolError."""
    if not is_url(path):
        return path
    from sipmote.inbox.postgresql import settings

    return settings(path)[1]


def _rows_of_file(db: sqlite3.Connection, query: Query) -> Iterator[dict[str, Any]]:
    order = "DESC" if query.limit else "ASC"
    return map(dict, db.execute(f"{_WHEN} ORDER BY id {order}", _span(query)))


def _rows_of_server(url: str, query: Query) -> Iterator[dict[str, Any]]:
    """Yield as much at a time as fits into memory. Raises ToolError."""
    place = shown(url)
    db = open_reader(url)
    order, more = ("DESC", "id < ?") if query.limit else ("ASC", "id > ?")
    last = 2**62 if query.limit else 0
    try:
        while page := db.rows(f"{_WHEN} AND {more} ORDER BY id {order} LIMIT {_PAGE}", (*_span(query), last)):
            yield from page
            last = page[-1]["id"]
    except StoreError as error:
        raise ToolError(f"can't read messages from {place}: {trouble(error)}") from None
    finally:
        db.close()


def _span(query: Query) -> tuple[float, float]:
    since = float("-inf") if query.since is None else query.since
    return since, float("inf") if query.until is None else query.until


def _search(rows: Iterator[dict[str, Any]], query: Query) -> Iterator[Stored | str]:
    """Yield what is wanted, the newest first if there is a limit."""
    count = 0
    for row in rows:
        try:
            one = _stored(row)
            if not query.takes(one.message):
                continue
            one.line()  # what can't be told can't be read
        except (ValueError, TypeError, AttributeError, OverflowError, OSError) as error:
            yield f"message {row['id']} can't be read: {error}"
            continue
        yield one
        count += 1
        if count == query.limit:
            return


def _stored(row: dict[str, Any]) -> Stored:
    """Return the message of a row, whose columns may be more or fewer than those of today."""
    row = {**_OLDEST, **row}
    body = row["body"] if isinstance(row["body"], bytes) else str(row["body"]).encode()
    kept = {name: row[name] for name in _KEPT if name in row}
    kept |= {name: None if row[name] is None else bool(row[name]) for name in _FLAGS}
    kept |= {"to": row["recipient"], "body": body, "encrypted": bool(row["encrypted"])}
    kept |= {"unauthenticated": bool(row.get("unauthenticated")), "for_others": listed(row.get("for_others"))}
    one = Received(**kept)
    if row["cpim"] is not None:
        with contextlib.suppress(ParseError):  # an older version was more patient
            one.cpim = parse_cpim(row["cpim"] + body, (imdn.NAMESPACE,))
    if one.cpim is None:
        one.author = None
    return Stored(row["id"], one, row.get("signature"), row.get("signer"))
