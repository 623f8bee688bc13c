"""Which of the programs that share a store does a kind of work: one at a time."""

from sipmote.inbox.store import Store


class Turn:
    """Our turn, once we have it, until we end, or the connection to a server is lost."""

    def __init__(self, store: Store, work: str) -> None:
        """work: its name."""
        self._store = store
        self._work = work

    def is_ours(self) -> bool:
        """Is it for us to do the work? Another program may have been first. Raises StoreError."""
        return self._store.db.has_turn(self._work)

    def close(self) -> None:
        """Let another program have it."""
        self._store.db.end_turn(self._work)
