"""What keeping one more message costs, by how many are in the store already."""

import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sipmote.inbox.received import Received
from sipmote.inbox.store import Store

ROWS = (0, 10_000, 100_000, 1_000_000)
_BATCH = 100  # messages in a commit, as under load
_COMMITS = 100
_REPEATS = 3  # of which the quickest counts: neighbours only ever add


def costs() -> Iterator[tuple[int, int, int]]:
    """Give (rows, ns of CPU time to keep one message more, octets of the file for each) as the store grows."""
    with tempfile.TemporaryDirectory(dir=".cache") as folder:
        path = Path(folder) / "inbox.db"
        store = Store(str(path))
        kept = 0
        for rows in ROWS:
            while kept < rows:
                count = min(10_000, rows - kept)
                store.add(_messages(kept, count))
                kept += count
            quickest = min(_cost(store, kept + place * _BATCH * _COMMITS) for place in range(_REPEATS))
            kept += _REPEATS * _BATCH * _COMMITS
            yield rows, quickest, path.stat().st_size // kept
        store.close()


def _cost(store: Store, first: int) -> int:
    """Keep some messages; returns the ns of CPU time, the kernel's included, for each."""
    batches = [_messages(first + number * _BATCH, _BATCH) for number in range(_COMMITS)]
    begun = time.process_time_ns()
    for batch in batches:
        store.add(batch)
    return (time.process_time_ns() - begun) // (_BATCH * _COMMITS)


def _messages(first: int, count: int) -> list[Received]:
    """Make alerts with random Call-IDs, the worst there are for an index."""
    chance = random.Random(first)
    return [
        Received(
            call_id=f"{chance.getrandbits(128):032x}",
            cseq=1,
            sender=f"sip:pump{number % 5000}@iot.example.net",
            to="sip:ops@iot.example.net",
            subject=None,
            content_type="text/plain;charset=UTF-8",
            body=b"ALERT node=esp32-01 temp=87.3C limit=80.0C seq=000123 prio=1",
            date=1_700_000_000 + number,
            received=1_700_000_000.5 + number,
            expired=False,
            stale=False,
            transport="udp",
            source="192.0.2.7:5060",
        )
        for number in range(first, first + count)
    ]
