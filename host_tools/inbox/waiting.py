"""How many messages may wait for one board: no stranger fills its queue, or the disk.

The source of a datagram is whatever its sender says, so that all who write over UDP have a share together, beyond which
streams still get through. Who has logged in, and a board at a port of ours, has a share that strangers don't touch.
"""

import asyncio
from collections import Counter
from collections.abc import Hashable

from sipmote.inbox.received import Received
from sipmote.inbox.rows import COLUMNS, to_row
from sipmote.inbox.store import Store
from sipmote.sip.places import site

_MOST_OF_KNOWN = 64  # messages: of one user of --users, or of one board
_MOST_OF_SENDER = 8  # of one URI in From at one address
_MOST_OF_ADDRESS = 32  # which may be a proxy's, with many senders behind it
_MOST_OF_DATAGRAMS = 64
_MOST_OF_STRANGERS = 128
_WAITING = """
SELECT message.user, transport, source, sender FROM parcel JOIN message USING (id)
    WHERE ended IS NULL AND lane IN (SELECT name FROM lane WHERE recipient = 'to ' || ?)
"""
_IS_WAITING = "SELECT 1 FROM message JOIN parcel USING (id) WHERE twin = ? AND ended IS NULL"


class Waiting:
    """Counts what waits, by the shares that it takes from."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._counts: dict[str, Counter[Hashable]] = {}  # by recipient: of the store and of the batch that is read now

    def has_room(self, recipient: str, one: Received) -> bool:
        """May one more wait? Then it counts, although it is stored only with its batch. Raises StoreError."""
        counts = self._counts.get(recipient)
        if counts is None:
            asyncio.get_running_loop().call_soon(self._counts.clear)
            rows = self._store.db.query(_WAITING, (recipient,))
            counts = self._counts[recipient] = Counter(share for row in rows for share in _shares(*row))
        shares = _shares(one.user, one.transport, one.source, one.sender)
        if any(counts[share] >= most for share, most in shares.items()):
            return bool(self._store.db.query(_IS_WAITING, (to_row(one)[COLUMNS.index("twin")],)))
        counts.update(shares.keys())
        return True


def _shares(user: str | None, transport: str, source: str, sender: str) -> dict[Hashable, int]:
    """Return the shares that a message takes from, and how many messages each of them holds."""
    if user is not None or transport == "serial":
        return {("known", user or source): _MOST_OF_KNOWN}
    address = site(source.rpartition(":")[0].strip("[]"))
    shares: dict[Hashable, int] = {
        ("sender", address, sender): _MOST_OF_SENDER,
        ("address", address): _MOST_OF_ADDRESS,
        "strangers": _MOST_OF_STRANGERS,
    }
    if transport == "udp":
        shares["datagrams"] = _MOST_OF_DATAGRAMS
    return shares
