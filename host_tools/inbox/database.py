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


def trouble(error: Exception) -> str:
    """Return what is wrong with the store, and what a person can do about it."""
    remedy = error.remedy if isinstance(error, StoreError) else ""
    return f"{error}: {remedy}" if remedy else str(error)


class Database(Protocol):
    """A connection. All that it does raises StoreError."""

    place: str  # what people know it by: the path of a file, or a URL without its password
    generation: int  # of what is open: no lock, and no id of a row, outlives it

    def execute(self, sql: str, values: Values = ()) -> None:
        """Do what has no result."""

    def query(self, sql: str, values: Values = ()) -> list[Row]:
        """Return the rows."""

    def rows(self, sql: str, values: Values = ()) -> list[dict[str, Any]]:
        """Return the rows with the names of their columns."""

    def many(self, sql: str, values: Iterable[Values]) -> list[Row | None]:
        """Do the same with these in turn; returns the first row of each, None where there is none."""

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

    def close(self) -> None:
        """Close it."""
