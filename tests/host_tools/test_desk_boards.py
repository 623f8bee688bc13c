"""What is known of boards, and who is told of what nobody has seen to: in the store, without a page."""

import time
from collections.abc import Iterator

import pytest

from sipmote.inbox import boards as inbox_boards
from sipmote.inbox.boards import Boards
from sipmote.inbox.escalation import Escalation, Escalator
from sipmote.inbox.store import Store
from tests.host_tools.test_store import received

BOILER = "sip:boiler@example.org"


@pytest.fixture
def store() -> Iterator[Store]:
    kept = Store(":memory:")
    yield kept
    kept.close()


def test_what_nothing_proves_does_not_move_a_board_that_has_proved_who_it_is(store: Store) -> None:
    """Else a stranger would get what a person writes to it; that it was heard by him is told"""
    boards = Boards(store)
    now = time.time()
    way = ("192.0.2.7:5060", "tcp", "login", None)
    query = "SELECT source, transport, proof, every FROM board"
    first = received(sender=BOILER, source=way[0], transport=way[1], user="boiler", received=now)
    store.add([first], [boards.add])
    assert store.db.query(query) == [way]
    stranger = received(sender=BOILER, call_id="b", source="203.0.113.5:5060", transport="udp", received=now)
    store.add([stranger], [boards.add])
    boards.beat([(stranger, {"every": 60})])
    assert store.db.query(query) == [way]
    moved = received(sender=BOILER, call_id="c", source="192.0.2.8:5060", transport="udp", user="boiler", received=now)
    boards.beat([(moved, {"every": 60})])
    assert store.db.query(query) == [("192.0.2.8:5060", "udp", "login", 60)]


def test_a_batch_and_its_twins_are_counted_right(store: Store) -> None:
    boards = Boards(store)
    batch = [received(sender=BOILER, call_id=name, open=True) for name in ("a", "b", "a")]
    store.add(batch, [boards.add])
    assert store.db.query("SELECT messages, open, last FROM board") == [(2, 2, batch[1].id)]
    first, second = batch[0].id, batch[1].id
    assert boards.acknowledge([first, 99], "alice") == [first]  # of 99 nothing is known
    assert store.db.query("SELECT open FROM board") == [(1,)]
    assert boards.acknowledge([first, second, second], "bob") == [second]
    assert store.db.query("SELECT open FROM board") == [(0,)]
    assert store.db.query("SELECT message, who FROM acknowledgement") == [(first, "alice"), (second, "bob")]


def test_strangers_names_do_not_fill_the_store(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose board goes is a stranger's, heard longest ago"""
    monkeypatch.setattr(inbox_boards, "_MOST", 3)
    boards = Boards(store)
    store.add([received(sender=BOILER, call_id="own", user="boiler", received=1.0)], [boards.add])
    names = [received(sender=f"sip:{n}@example.net", call_id=f"{n}", received=2.0 + n) for n in range(6)]
    store.add(names, [boards.add])
    boards.tidy()
    left = [aor for (aor,) in store.db.query("SELECT aor FROM board ORDER BY heard")]
    assert left == [BOILER, "sip:3@example.net", "sip:4@example.net", "sip:5@example.net"]


def test_who_has_written_before_there_was_a_page_is_known_and_nothing_of_that_is_open(store: Store) -> None:
    store.add([received(sender=BOILER, call_id=name) for name in ("a", "b")])
    boards = Boards(store)
    assert store.db.query("SELECT aor, messages, open, last FROM board") == [(BOILER, 2, 0, 2)]
    Boards(store)
    store.add([received(sender=BOILER, call_id="c", open=True)], [boards.add])
    assert store.db.query("SELECT messages, open FROM board") == [(3, 1)]


def test_the_next_one_is_told_later_and_nobody_of_what_has_expired(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R0-P6: a storm is one message, and half a minute passes before another"""
    now = time.time()
    escalator = Escalator(store, Escalation(("sip:night@example.org", "sip:boss@example.org"), 60.0))
    ages = {"new": 30.0, "old": 70.0, "older": 130.0}
    store.add([received(sender=BOILER, call_id=name, open=True, received=now - age) for name, age in ages.items()])
    past = received(sender=BOILER, call_id="past", open=True, received=now - 90, valid_until=int(now) - 10)
    store.add([past])
    due = escalator.due()
    assert due and due.target == "sip:night@example.org" and "and 1 more" in due.text
    with store.transaction():
        due.note()
    after = escalator.due()
    assert after and after.target == "sip:boss@example.org" and "more" not in after.text  # of the older one
    with store.transaction():
        after.note()
    assert escalator.due() is None
    assert store.db.query("SELECT escalated FROM message ORDER BY id") == [(0,), (1,), (2,), (1,)]
