"""A store in a PostgreSQL database, which several inboxes may share, and which may be away for a while.

There is one connection. When it is lost the next use opens another, at most so often that an inbox is never held up for
long by a server that doesn't answer. Sessions hold what is ours alone: our name, and our turns at work (turn.py).
"""

import contextlib
import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row
from psycopg.types.numeric import IntDumper
from psycopg.types.string import StrDumper

from sipmote.errors import ToolError
from sipmote.inbox.database import Lost, Row, StoreError, Unstorable, Values
from sipmote.inbox.schema import VERSION, postgresql_steps

logging.getLogger("psycopg").addHandler(logging.NullHandler())  # what it warns of we tell ourselves
_CONNECT_S = 2  # the least that libpq knows
_ANSWER_S = 8.0  # that a statement may take before we give the connection up
_PAUSE_S = 1.0  # between two attempts to connect
_RARELY = 4  # times as long as an attempt took do we do without another: so much of our time is left for other things
_NAME_S = 5.0  # at a start, for what a killed one of our name has left to be noticed
_SESSION = """
SET statement_timeout = '5s'; SET lock_timeout = '3s'; SET idle_in_transaction_session_timeout = '10s';
SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3;
SET tcp_user_timeout = '10s'; SET client_min_messages = 'error'; SET TimeZone = 'UTC';
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'
"""
_FACTS = """
SELECT current_schema(), current_schema()::regnamespace::oid::bigint, current_setting('server_encoding'),
    to_regclass(quote_ident(current_schema()) || '.sipmote') IS NOT NULL
"""
_FIRST_OF_NAME = """
INSERT INTO progress (inbox, shown) SELECT ?, coalesce(max(id), 0) FROM message WHERE 1 = 1 ON CONFLICT DO NOTHING
"""
_NEWER = ("it was made by a newer sipmote", "update this one or name another with --db")
_SEARCH_S = 120.0
_BUSY = "another program keeps it busy: see pg_stat_activity"
_DISK = "look at its disk"
_REMEDIES = {  # the beginning of PostgreSQL's code for what is wrong: what a person can do about it
    "25006": "it is a standby: name the one that can be written to, e.g. with ?target_session_attrs=read-write",
    "42501": "give this user the right to read and write its tables, and to create them: GRANT ALL ON SCHEMA",
    "53100": "make room on its disk",
    "53": "see its log for what it has too little of",
    "55P03": _BUSY,
    "57014": _BUSY,
    "58": _DISK,
    "XX": _DISK,
}
_AT_THE_DOOR = {  # words of what goes wrong before there is a connection, and has no code
    "password": "correct the password: in the URL, in ~/.pgpass or in PGPASSWORD",
    "pg_hba.conf": "let it in: a line of that file says who may come from where",
    "does not exist": "create it (createdb, createuser), or correct --db",
    "too many": "raise its max_connections",
    "starting up": "wait until it is up",
    "read-only": _REMEDIES["25006"],
    "certificate": "see sslrootcert and sslmode in the manual of PostgreSQL",
}
_OF_A_MESSAGE = ("22", "23")  # data exceptions, integrity violations


class _Truth(IntDumper):
    """True is 1: columns hold integers, as sqlite has no other."""

    def dump(self, obj: Any) -> Any:
        return super().dump(int(obj))


class _Text(StrDumper):
    """PostgreSQL has no text with NUL in it."""

    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace("\0", "\ufffd"))


class _Connection(psycopg.Connection[Row]):
    """A connection on which nothing is waited for without end, even if its server has stopped or is cut off."""

    patience = _ANSWER_S

    def wait(self, gen: Any, *args: Any, **more: Any) -> Any:
        try:
            return super().wait(_within(gen, self.patience), *args, **more)
        except _Silence:
            self.close()
            raise


class _Silence(psycopg.OperationalError):
    """The server doesn't answer."""


def _within(gen: Any, seconds: float) -> Any:
    """Yield and return as gen does, which is resumed now and then although nothing has come; raises when it is late."""
    end = time.monotonic() + seconds
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > end:
                raise _Silence("the server doesn't answer")
            wanted = gen.send(ready)
    except StopIteration as ended:
        return ended.value


class Postgresql:
    """The database. What a transaction has committed is on the server's disk."""

    def __init__(self, url: str, name: str | None, tell: Callable[[str], None]) -> None:
        """Connect, and make the tables if they are missing; raises ToolError if that can't be.

        url: postgresql://... as libpq takes it. name: of this inbox, which no other may have at the same time; None to
        read only, and make nothing.
        tell: called with what a person should know.
        """
        self._settings, self.place = settings(url)
        self.mark = self.place
        self._url = url
        self.name = name or ""
        self._reads = name is None
        self.generation = self.edition = 0
        self._tell = tell
        self._connection: _Connection | None = None
        self._schema = 0  # its number
        self._instance = ""
        self._turns: dict[str, int] = {}  # work: in which generation it is ours
        self._retry_at = 0.0
        self._why = StoreError("")
        end = time.monotonic() + _NAME_S
        while True:
            try:
                self._connect()
                return
            except _NameTaken as error:
                if time.monotonic() > end:
                    raise ToolError(f"{self.place}: {error}: {error.remedy}") from None
                time.sleep(0.1)
            except StoreError as error:
                remedy = error.remedy or "start it, or correct --db"
                what = "read messages from" if self._reads else "keep messages in"
                raise ToolError(f"can't {what} {self.place}: {error}: {remedy}") from None

    # The connection

    def refresh(self) -> None:
        """Connect again if the connection is lost."""
        self._connected()

    def is_current(self) -> bool:
        """Is what we have open what a person finds by its name? It is who answers there."""
        return True

    def _connected(self) -> _Connection:
        if self._connection is None:
            if time.monotonic() < self._retry_at:
                raise Lost(str(self._why), self._why.remedy)
            self._connect()
            self._tell(f"{self.place} is there again")
        assert self._connection
        return self._connection

    def _connect(self) -> None:
        begun = time.monotonic()
        connection = None
        try:
            connection = _Connection.connect(**self._settings, autocommit=True)
            self._begin(connection)
        except (psycopg.Error, StoreError) as error:
            if connection is not None:
                connection.close()
            now = time.monotonic()
            self._retry_at = now + max(_PAUSE_S, _RARELY * (now - begun))
            self._why = error if isinstance(error, StoreError) else _failure(error)
            raise self._why from None
        self._connection = connection
        self.generation += 1
        self._turns.clear()

    def _begin(self, connection: _Connection) -> None:
        """Make a session ours: its settings, tables as we know them, and our name."""
        connection.adapters.register_dumper(bool, _Truth)
        connection.adapters.register_dumper(str, _Text)
        connection.execute(_SESSION)
        schema, number, encoding, is_there = connection.execute(_FACTS).fetchall()[0]
        if schema is None:
            raise StoreError("it has none of the schemas of its search_path", "create one")
        if encoding != "UTF8":
            raise StoreError(f"its texts are in {encoding}", "create it with ENCODING 'UTF8' and TEMPLATE template0")
        self._schema = number
        version = connection.execute("SELECT version FROM sipmote").fetchall()[0][0] if is_there else 0
        if self._reads:
            return self._check_to_read(connection, version)
        if version < VERSION:
            version = self._bring_up_to_date(connection)
        if version > VERSION:
            raise StoreError(*_NEWER)
        if not connection.execute("SELECT pg_try_advisory_lock(%s)", (self._key(f"name {self.name}"),)).fetchall()[0][
            0
        ]:
            raise _NameTaken(f"an inbox called {self.name} is at work there", "give this one another --name")
        connection.execute(_translated(_FIRST_OF_NAME), (self.name,))
        [(instance,)] = connection.execute("SELECT number FROM instance").fetchall()
        if instance != self._instance:
            self._instance = instance
            self.edition += 1

    def _check_to_read(self, connection: _Connection, version: int) -> None:
        """See that messages are there as we know them. Searches take longer than what an inbox has time for."""
        if not version:
            raise StoreError("there is no inbox's table in it", "start an inbox with it, or correct --db")
        if version > VERSION:
            raise StoreError(*_NEWER)
        if version < VERSION:
            raise StoreError("it was made by an older sipmote", "an inbox of this version brings it up to date")
        connection.patience = _SEARCH_S
        connection.execute("SET default_transaction_read_only = on; SET statement_timeout = 0")

    def _bring_up_to_date(self, connection: _Connection) -> int:
        """Take the steps that are missing, all or none; returns the version that there is then."""
        connection.patience = float("inf")
        with connection.transaction():
            connection.execute("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (self._key("write"),))
            is_there = connection.execute(_FACTS).fetchall()[0][-1]
            version = connection.execute("SELECT version FROM sipmote").fetchall()[0][0] if is_there else 0
            if version < VERSION:
                if version:
                    self._tell(f"{self.place} is brought up to date; many messages take a while")
                connection.execute(postgresql_steps(version).encode())
                connection.execute("UPDATE sipmote SET version = %s", (VERSION,))
        connection.patience = _ANSWER_S
        return max(int(version), VERSION)

    def _key(self, what: str) -> int:
        """Return the number of an advisory lock: they are the database's, and a schema of it is ours."""
        octets = f"sipmote {self._schema} {what}".encode("utf-8", "surrogatepass")
        return int.from_bytes(blake2b(octets, digest_size=8).digest(), "big", signed=True)

    @contextlib.contextmanager
    def _told(self) -> Iterator[_Connection]:
        """Have errors told in our words, and a connection forgotten that can't be used any more."""
        connection = self._connected()
        try:
            yield connection
        except psycopg.Error as error:
            if connection.closed:
                self._connection = None
                raise Lost(_first_line(error), "see its log for why, or wait until it is up") from error
            raise _failure(error) from error

    @property
    def is_private(self) -> bool:
        """Can nobody else open it?"""
        return False

    def reader(self) -> "Postgresql":
        """Return a connection of its own to read by, for another thread."""
        try:
            return Postgresql(self._url, None, lambda text: None)
        except ToolError as error:
            raise StoreError(str(error)) from None

    def close(self) -> None:
        """Leave."""
        if self._connection is not None:
            self._connection.close()

    # SQL

    def execute(self, sql: str, values: Values = ()) -> None:
        """Do what has no result. In a transaction it goes to the server with what follows."""
        with self._told() as connection:
            connection.execute(_translated(sql), values)

    def query(self, sql: str, values: Values = ()) -> list[Row]:
        """Return the rows."""
        with self._told() as connection:
            return connection.execute(_translated(sql), values).fetchall()

    def rows(self, sql: str, values: Values = ()) -> list[dict[str, Any]]:
        """Return the rows with the names of their columns."""
        with self._told() as connection:
            return connection.cursor(row_factory=dict_row).execute(_translated(sql), values).fetchall()

    def many(self, sql: str, values: Iterable[Values]) -> list[Row | None]:
        """Do the same, with RETURNING, with these, in one round trip; returns the first row of each, or None."""
        with self._told() as connection:
            cursor = connection.cursor()
            cursor.executemany(_translated(sql), values, returning=True)
            found = []
            is_one = cursor.description is not None
            while is_one:
                found.append(cursor.fetchone())
                is_one = bool(cursor.nextset())
            return found

    @contextlib.contextmanager
    def transaction(self) -> Iterator["Postgresql"]:
        """Commit what is done within, or nothing of it. It waits for other inboxes: ids are in the order of commits."""
        with self._told() as connection:
            try:
                with connection.pipeline():
                    connection.execute("BEGIN")
                    connection.execute("SELECT pg_advisory_xact_lock(%s)", (self._key("write"),))
                    yield self
                    connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(psycopg.Error):  # what went wrong first is what counts
                    if not connection.closed:
                        connection.execute("ROLLBACK")
                raise

    def has_turn(self, work: str) -> bool:
        """Is a kind of work ours, from now on until this connection is lost? Raises StoreError."""
        if self._connection is None or work not in self._turns:
            [(is_ours,)] = self.query("SELECT pg_try_advisory_lock(?)", (self._key(f"turn {work}"),))
            if is_ours:
                self._turns[work] = self.generation
            return bool(is_ours)
        return True

    def end_turn(self, work: str) -> None:
        """Let another inbox have it."""
        if self._turns.pop(work, None) is not None and self._connection is not None:
            with contextlib.suppress(StoreError):
                self.query("SELECT pg_advisory_unlock(?)", (self._key(f"turn {work}"),))


class _NameTaken(StoreError):
    """Another inbox has our name."""


def settings(url: str) -> tuple[dict[str, Any], str]:
    """Return what to connect with, and what people may read of it, which is all but the password. Raises ToolError.

    What can't be read is not shown either: a password with an @ in it may stand anywhere.
    """
    try:
        read: dict[str, Any] = dict(conninfo_to_dict(url))
    except psycopg.Error:
        read = {"host": "@"}
    host, port, name = (str(read.get(key) or "") for key in ("host", "port", "dbname"))
    if "@" in host + name or not re.fullmatch(r"[0-9,]*", port):
        raise ToolError(
            "--db postgresql://...: a URL such as postgresql://USER:PASSWORD@HOST:5432/DATABASE was expected; in a "
            "password, @ is written %40, : %3A, / %2F, ? %3F, # %23 and % %25"
        )
    ours = {"connect_timeout": _CONNECT_S, "application_name": "sipmote", "tcp_user_timeout": 5000}
    ours |= {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3}
    user = f"{read['user']}@" if read.get("user") else ""
    place = f"postgresql://{user}{host}{':' if port else ''}{port}/{name}"
    return {**ours, **read}, place


@lru_cache(256)
def _translated(sql: str) -> str:
    return sql.replace("%", "%%").replace("?", "%s")


def _first_line(error: psycopg.Error) -> str:
    return str(error).partition("\n")[0].removeprefix("connection failed: ")


def _failure(error: psycopg.Error) -> StoreError:
    text, code = _first_line(error), error.sqlstate or ""
    remedy = next((words for prefix, words in _REMEDIES.items() if code.startswith(prefix)), "")
    if not code:
        remedy = next((words for part, words in _AT_THE_DOOR.items() if part in text), "start it, or correct --db")
    return (Unstorable if code.startswith(_OF_A_MESSAGE) else StoreError)(text, remedy)
