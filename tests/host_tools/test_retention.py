"""How long messages are kept."""

import time

from sipmote.inbox.parcels import Parcels
from sipmote.inbox.retention import Keep, Retention
from sipmote.inbox.runs import Runs
from sipmote.inbox.store import Store
from tests.host_tools.test_store import received, store, waiting

_DAY = 86400


def call_ids(kept: Store) -> list[str]:
    return [row[0] for row in kept.db.query("SELECT call_id FROM message ORDER BY id")]


def test_what_is_old_goes_and_what_is_still_to_be_done_or_shown_stays() -> None:
    """R0-P1, R0-P3: a run, a parcel that waits, what nobody has seen, and the newest: no number is given again"""
    old = time.time() - 31 * _DAY
    with store() as kept:
        batch = [received(call_id=name, received=old) for name in ("gone", "runs")]
        parcel = waiting("desk", 1, received=old)
        kept.add(batch[:1])
        kept.add(batch[1:], [Runs(kept, "exec").add])
        kept.add([parcel], [Parcels(kept, True).add])
        kept.add([received(call_id="young", received=time.time() - 29 * _DAY)])
        kept.add([received(call_id="newest", received=old)])
        retention = Retention(kept, Keep(days=30))
        assert not retention.step()  # nothing has been shown
        kept.shown(5)
        kept.flush()
        assert retention.step() and not retention.step()
        assert call_ids(kept) == ["runs", "1@192.0.2.7", "young", "newest"]


def test_the_oldest_go_while_there_are_too_many_and_their_room_is_used_again() -> None:
    """R0-P13"""
    with store() as kept:

        def fill(first: int) -> None:
            kept.add([received(call_id=f"{number}", body=b"x" * 4000) for number in range(first, first + 1000)])
            kept.shown(first + 1000)
            kept.flush()

        fill(0)
        most = kept.db.octets() // 2
        retention = Retention(kept, Keep(octets=most))
        while retention.step():
            pass
        left = call_ids(kept)
        assert (
            400 < len(left) < 600
            and left[-1] == "999"
            and left == [f"{1000 - len(left) + i}" for i in range(len(left))]
        )
        assert kept.db.octets() < 1.1 * most
        [(pages,)] = kept.db.query("PRAGMA page_count")
        kept.add([received(call_id=f"later{number}", body=b"x" * 4000) for number in range(300)])
        assert kept.db.query("PRAGMA page_count") == [(pages,)]
