"""What is known of boards, and who is told of what nobody has seen to: in the store, without a page."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from sipmote.agent.cpim.reader import parse_cpim
from sipmote.agent.cpim.writer import build_cpim
from sipmote.desk import views
from sipmote.desk.views import Search, count_open, find
from sipmote.inbox import boards as inbox_boards
from sipmote.inbox import replies as inbox_replies
from sipmote.inbox.boards import Boards
from sipmote.inbox.escalation import Escalation, Escalator
from sipmote.inbox.history import Query
from sipmote.inbox.received import Received
from sipmote.inbox.registrar import Binding
from sipmote.inbox.store import Store
from tests.host_tools.test_store import GOOD, NOW, received

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


def test_a_signed_heartbeat_that_comes_again_is_somebody_elses(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else who sees one could have what is written to the board sent to himself"""
    boards = Boards(store)
    for source in ("192.0.2.7:5060", "203.0.113.5:5060"):
        one = received(sender=BOILER, verdict=GOOD, source=source, received=time.time())
        boards.beat([(one, {"every": 60})])
    assert store.db.query("SELECT source, proof FROM board") == [("192.0.2.7:5060", "signed")]
    monkeypatch.setattr(inbox_boards, "_REPLAYED_S", -1.0)  # by now its Date would be too old: nothing is kept of it
    boards.beat([(received(sender=BOILER, received=time.time()), {})])
    assert not boards._beaten


def test_a_registration_takes_nothing_from_what_a_board_has_proved(store: Store) -> None:
    """Else a stranger would be heard in its name after each of them"""
    boards = Boards(store)
    now = time.time()
    store.add([received(sender=BOILER, user="boiler", received=now - 30)], [boards.add])
    boards.registered([Binding(BOILER, now - 20, "192.0.2.7:5060", "udp")])
    [before] = views.boards(store.db, views.Patience())
    assert (before["source"], before["proof"]) == ("192.0.2.7:5060", {"level": "none", "by": None})
    store.add([received(sender=BOILER, call_id="b", source="203.0.113.5:5060", received=now - 10)], [boards.add])
    assert store.db.query("SELECT source, heard FROM board") == [("192.0.2.7:5060", now - 20)]


def test_what_nothing_proves_is_no_answer_of_a_board_that_has_proved_who_it_is(store: Store) -> None:
    """Else who sees a request on its way could answer it, and nobody would have to acknowledge what he says"""
    boards = Boards(store)
    store.add([received(sender=BOILER, user="boiler", received=time.time())], [boards.add])
    row = "INSERT INTO reply (kind, target, words, who, at, call_id, state) VALUES ('reply', ?, 'off', '', 0, 'c', '')"
    store.db.execute(row, (BOILER,))
    for user, ends in ((None, (1, None)), ("boiler", (0, 1))):
        one = received(sender=BOILER, call_id=str(user), user=user, in_reply_to=("c",), open=True, received=time.time())
        store.add([one], [boards.add])
        query = "SELECT open, reply.id FROM message LEFT JOIN reply ON answered = message.id WHERE message.id = ?"
        assert store.db.query(query, (one.id,)) == [ends]


def test_a_board_that_has_lost_its_password_is_heard_a_day_later_though_a_monitor_tells_of_it(store: Store) -> None:
    boards = Boards(store)
    now = time.time()
    store.add([received(sender=BOILER, user="boiler", received=now - 86500)], [boards.add])
    for at in (now - 20, now - 10):
        boards.logged(BOILER, [(at, "info", "boot", "{}")])
    store.add([received(sender=BOILER, call_id="b", source="192.0.2.9:5060", received=now)], [boards.add])
    assert store.db.query("SELECT source, proof, heard FROM board") == [("192.0.2.9:5060", "none", now)]


def test_who_logs_in_and_writes_anothers_name_proves_nothing_of_that_one(store: Store) -> None:
    """Neither in From nor in message/cpim; whose login it was is told"""
    boards = Boards(store)
    cpim = parse_cpim(build_cpim(BOILER.encode(), b"sip:desk@example.org", b"fire", b"text/plain", NOW))
    for one in (
        received(sender=BOILER, user="alice", received=NOW),
        received(sender="sip:alice@example.org", user="alice", call_id="b", cpim=cpim, author=BOILER, received=NOW),
        received(sender=BOILER, user="boiler@example.org", call_id="c", received=NOW),
        received(sender=BOILER, user="boiler@elsewhere.test", call_id="d", received=NOW),
    ):
        store.add([one], [boards.add])
    found = [views.message(store.db, number) for number in (1, 2, 3, 4)]
    assert [one and (one["proof"]["level"], one["marks"]) for one in found] == [
        ("none", [f"login of alice, From says {BOILER}"]),
        ("none", [f"in the name of {BOILER}"]),
        ("login", []),
        ("none", [f"login of boiler@elsewhere.test, From says {BOILER}"]),
    ]
    query = "SELECT proof FROM board WHERE aor = 'sip:alice@example.org'"
    assert store.db.query(query) == [("none",)]


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


def _names(store: Store) -> list[str]:
    rows = store.db.query("SELECT aor FROM board ORDER BY aor")
    return [aor.removeprefix("sip:").removesuffix("@example.org") for (aor,) in rows]


def _heard(store: Store, boards: Boards, name: str, at: float, **more: Any) -> Received:
    one = received(sender=f"sip:{name}@example.org", call_id=f"{name} {at}", received=at, open=True, **more)
    store.add([one], [boards.add])
    return one


def _written(store: Store, name: str, at: float, message: int | None = None) -> None:
    columns = "kind, message, target, words, who, at, call_id, state, next_at"
    values = ("reply", message, f"sip:{name}@example.org", "off", "alice", at, "r", "waiting", at)
    store.db.execute(f"INSERT INTO reply ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)


def test_names_that_nothing_proves_are_bounded_as_they_come_and_nothing_they_say_is_lost(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Heartbeats make no more of them, who has proved himself always gets a row; it is told once"""
    monkeypatch.setattr(inbox_boards, "_MOST", 3)
    told: list[str] = []
    boards = Boards(store, told.append)
    now = time.time()
    for name in ("a", "b", "c", "d", "d", "a"):
        _heard(store, boards, name, now + len(told))
    boards.beat([(_heard(store, boards, "e", now), {"every": 60})])
    _heard(store, boards, "boiler", now, user="boiler")
    boards.registered([Binding("sip:gate@example.org", now, "192.0.2.3:5060", "udp")])
    assert _names(store) == ["a", "b", "boiler", "c", "gate"]
    assert len(told) == 1 and told[0].startswith("3 boards are known, the most there is room for")
    assert count_open(store.db) == 8 and len(find(store.db, Search(Query(), is_open=True), 50)["messages"]) == 8
    answered = store.db.query("SELECT id FROM message WHERE sender LIKE 'sip:d@%' ORDER BY id")[0][0]
    assert boards.acknowledge([answered], "alice") and count_open(store.db) == 7
    _written(store, "d", now, answered)
    [due] = store.db.rows(inbox_replies._DUE, (now + 1, 5))
    assert due["board_source"] == store.db.query("SELECT source FROM message")[0][0]
    monkeypatch.setattr(inbox_boards, "_MOST", 10)
    boards.beat([(_heard(store, boards, "d", now + 2), {"every": 60})])
    assert store.db.query("SELECT messages, open FROM board WHERE aor LIKE 'sip:d@%'") == [(3, 2)]


def test_room_is_made_by_names_that_were_heard_once_and_never_by_who_is_settled_or_proved(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registration shows that a name isn't made up, though something was heard since; open alerts keep no row"""
    monkeypatch.setattr(inbox_boards, "_MOST", 9)
    monkeypatch.setattr(inbox_boards, "_ROOM", 3)
    boards = Boards(store)
    now, day = time.time(), 86400
    for name, first, last in (
        ("old", 9, 0),
        ("new", 0.1, 0),
        ("dead", 9, 8),
        ("once", 0.1, 0.1),
        ("asked", 5, 5),
        ("gate", 0.3, 0.25),
    ):
        for ago in (first, last):
            _heard(store, boards, name, now - ago * day)
    _heard(store, boards, "boiler", now - 90 * day, user="boiler")
    boards.registered([Binding("sip:gate@example.org", now - 0.5 * day, "192.0.2.3:5060", "udp")])
    for name, ago in (("forged1", 10), ("forged2", 0)):
        _heard(store, boards, name, now - ago)
    _written(store, "asked", now)
    boards.tidy()
    assert _names(store) == ["asked", "boiler", "forged2", "gate", "new", "old"]
    change = store.db.query("SELECT ref FROM change WHERE kind = 'forgotten'")
    assert change and set(json.loads(change[0][0])) == {f"sip:{n}@example.org" for n in ("dead", "once", "forged1")}


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
