"""What a store asks of its database, whichever that is, and what goes wrong with it.

SQL is written once, in words that sqlite and PostgreSQL understand alike: `?` stands for a value, and for nothing else.
Truth is 1 and 0, as a column has it.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

Row = tuple[Any, ...]
Values = Sequence[object]


class StoreError(Exception):
    """The store can't do what it was asked for."""

    def __init__(self, text: str, remedy: str = "") -> None:
        """remedy: what a person can do about it, "" where nobody knows."""
        super().__init__(text)
        self.remedy = remedy


class Unstorable(StoreError):
    """It is not the store that is in trouble: it can't have what was to be kept."""


class Lost(StoreError):
    """The connection is lost: what was under way may have been committed, or not. Nobody waits for the next one."""


def trouble(error: Exception) -> str:
    """Return what is wrong with the store, and what a person can do about it."""
    remedy = error.remedy if isinstance(error, StoreError) else ""
    return f"{error}: {remedy}" if remedy else str(error)


class Database(Protocol):
    """A connection. All that it does raises StoreError."""

    place: str  # what people know it by: the path of a file, or a URL without its password
    mark: str  # what it is the same by, from wherever it is named
    name: str  # of this inbox among those that share it, "" where nobody shares it
    generation: int  # of what is open: no lock outlives it
    edition: int  # of what is stored: the ids of its rows mean nothing in another

    def execute(self, sql: str, values: Values = ()) -> None:
        """Do what has no result."""

    def query(self, sql: str, values: Values = ()) -> list[Row]:
        """Return the rows."""

    def rows(self, sql: str, values: Values = ()) -> list[dict[str, Any]]:
        """Return the rows with the names of their columns."""

    def many(self, sql: str, values: Iterable[Values]) -> list[Row | None]:
        """Do the same, with RETURNING, with these in turn; returns the first row of each, None where there is none."""

    def transaction(self) -> AbstractContextManager["Database"]:
        """Commit what is done within, or nothing of it. One program at a time writes; others wait for their turn."""

    def refresh(self) -> None:
        """Open it again if it isn't what we have open."""

    def is_current(self) -> bool:
        """Is what we have open what a person finds by its name?"""

    @property
    def is_private(self) -> bool:
        """Can nobody else open it, as it is in memory?"""

    def reader(self) -> "Database":
        """Return a connection of its own to read by, for another thread."""

    def has_turn(self, work: str) -> bool:
        """Is a kind of work ours? One program at a time has it, until it ends, or gives it back."""

    def end_turn(self, work: str) -> None:
        """Let another program have it."""

    def close(self) -> None:
        """Close it."""
