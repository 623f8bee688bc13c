"""R3261-17.2-3: ten thousand messages at a fixed rate, each on the disk before it is answered."""

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.interop.sipp import Clients
from tests.tools import Tool

_COUNT = 10_000
_RATE = 1000  # a second


def test_ten_thousand_messages_are_neither_lost_nor_doubled(tmp_path: Path) -> None:
    store = tmp_path / "inbox.db"
    with Tool("inbox", "--bind", "udp:127.0.0.1:0", "--db", str(store)) as inbox:
        port = int(inbox.wait_for(event="ready")["bind"][0].rpartition(":")[2])
        with Clients(tmp_path, port, _COUNT, _RATE) as clients:
            figures = clients.wait(60)
        assert (figures["ok"], figures["failed"]) == (_COUNT, 0)
        assert figures["retransmissions"] <= _COUNT  # one each: more than T1 nobody waits for an answer for long
        assert inbox.interrupt() == 0
        shown = [line["call_id"] for line in inbox.lines if line["event"] == "message"]
        assert len(shown) == len(set(shown)) == _COUNT
        assert not [line for line in inbox.lines if line["event"] not in ("ready", "message")]
    with closing(sqlite3.connect(store)) as db:
        assert {call_id for (call_id,) in db.execute("SELECT call_id FROM message")} == set(shown)
