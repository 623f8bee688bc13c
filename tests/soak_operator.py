"""`python -m tests.soak_operator [KILLS]`: Kamailio as operators get it before three inboxes, under load from boards.

An inbox is killed again and again (kill -9, each fifth SIGTERM), each tenth time PostgreSQL is restarted beside it,
each twentieth time all inboxes are away. What boards were told is taken must be stored once.
"""

import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import psycopg

from tests.interop.front import Boards, Front, inbox_at
from tests.interop.peers import free_port
from tests.interop.postgresql import Cluster
from tests.restarted import Restarted

_BOARDS = [f"board{number}" for number in range(12)]


class Figures(NamedTuple):
    """What became of messages that were answered 200."""

    kills: int
    taken: int
    lost: int  # not stored
    doubled: int  # stored twice
    put_off: int  # attempts that were to be made again
    longest_s: float  # from raising a message to its 200

    @property
    def is_good(self) -> bool:
        """Was every promise kept?"""
        return bool(self.taken) and not (self.lost or self.doubled)


def soak(kills: int) -> Figures:
    """Kill inboxes under load as often as that, and count."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        at, data = Path(folder), Path(folder) / "postgresql"
        at.chmod(0o755)  # PostgreSQL may run as another user
        data.mkdir()
        cluster = Cluster(data)
        url = cluster.url(cluster.database())
        ports = [free_port() for _ in range(3)]
        front = Front(at, cluster, [inbox_at(at, port, "--db", url, "--name", f"inbox{port}") for port in ports], ports)
        front.make_tables("desk", *_BOARDS)
        boards = Boards(front, _BOARDS)
        try:
            with front.running():
                for number in range(kills):
                    boards.run(random.uniform(0.0, 0.5))
                    _kill(front, boards, number)
                boards.drain()
            with psycopg.connect(url) as db:
                stored = Counter(call_id for (call_id,) in db.execute("SELECT call_id FROM message"))
        finally:
            boards.close()
            cluster.stop()
    lost, doubled = len(set(boards.taken) - set(stored)), sum(times - 1 for times in stored.values())
    return Figures(kills, len(boards.taken), lost, doubled, boards.put_off, round(boards.longest_s, 1))


def _kill(front: Front, boards: Boards, number: int) -> None:
    """Have one inbox away for a moment, or all; and the database now and then."""
    away: Sequence[Restarted] = front.inboxes if number % 20 == 19 else [front.inboxes[number % 3]]
    for inbox in away:
        inbox.end(signal.SIGTERM if number % 5 == 4 else signal.SIGKILL)
    if number % 10 == 9:
        front.cluster.stop()
        boards.run(0.3)
        front.cluster.start()
    boards.run(random.uniform(0.0, 1.0))
    for inbox in away:
        inbox.start(boards.turn)


if __name__ == "__main__":
    figures = soak(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
    print(figures)
    sys.exit(not figures.is_good)
