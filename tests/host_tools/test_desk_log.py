"""A board's log at the desk: what monitors tell of it, within bounds, and that a board lives by it and nothing else."""

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from sipmote.desk import log, views
from sipmote.errors import ToolError
from sipmote.inbox import boards as inbox_boards
from sipmote.inbox.boards import Boards
from sipmote.inbox.store import Store
from tests.host_tools.desks import TOKEN, Desk, desk
from tests.host_tools.test_desk import BOILER, alert
from tests.sip_peer import Peer

PUMP = "sip:pump@board.invalid"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(tmp_path_factory.mktemp("desk")) as found:
        yield found


def record(number: int = 0, **more: Any) -> dict[str, Any]:
    return {"at": time.time(), "level": "info", "event": f"event{number}", "fields": {"n": number}, **more}


def told(running: Desk, aor: str, records: Any, token: str = TOKEN) -> tuple[int, Any]:
    path = f"/api/boards/{quote(aor, safe='')}/log"
    return running.ask("POST", path, {"records": records}, Authorization=f"Bearer {token}")[:2]


def test_a_board_lives_by_its_log_and_what_else_is_known_of_it_stays(running: Desk) -> None:
    with Peer(BOILER.encode()) as boiler:
        alert(running, boiler)
    before = running.board(BOILER)
    with running.events() as following:
        assert told(running, BOILER, [record(1, at=before["heard"] + 0.001), record(2)])[0] == 200
        assert following()["data"]["heard_by"] == "log"
    board = running.board(BOILER)
    assert board["heard"] > before["heard"]
    same = ("source", "transport", "proof", "messages", "open", "every")
    assert [board[name] for name in same] == [before[name] for name in same]
    found = running.get(f"/api/boards/{BOILER}/log")["records"]
    assert [one["event"] for one in found] == ["event2", "event1"] and found[0]["fields"] == {"n": 2}
    told(running, BOILER, [record(3, at=1.0)])  # a monitor tells late what it heard long ago
    assert running.board(BOILER)["heard"] == board["heard"]
    told(running, BOILER, [record(4, at=time.time() + 1e6)])  # its clock is wrong
    assert running.board(BOILER)["heard"] <= time.time()


def test_a_board_of_which_a_log_alone_tells_is_there_and_where_it_is_nobody_knows(running: Desk) -> None:
    status, board = told(running, PUMP, [record()])
    assert status == 200 and (board["state"], board["source"], board["transport"]) == ("alive", "", "serial")
    assert board["proof"] == {"level": "none", "by": None} and board["heard_by"] == "log"
    path = f"/api/boards/{PUMP}/messages"
    status, said, _ = running.ask("POST", path, {"text": "status"}, Authorization=f"Bearer {TOKEN}")
    assert status == 400 and "nobody knows where this board is, only a serial line has told of it" in said["error"]


def test_where_the_uri_of_such_a_board_leads_it_is_written_to(running: Desk) -> None:
    """Though no way back is known"""
    aor = "sip:fan@127.0.0.2"
    assert told(running, aor, [record()])[0] == 200
    assert running.act(f"/api/boards/{aor}/messages", {"text": "status"})["state"] == "waiting"
    found = running.until(f"/api/boards/{aor}", lambda board: board["replies"][0]["tries"])["replies"][0]
    assert "Error" not in found["reason"]


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ([], "a list of 1 to 200"),
        ([record()] * 201, "a list of 1 to 200"),
        (["x"], "at, level, event and fields"),
        ([record(more=1)], "nothing else"),
        ([record(at=True)], "at: "),
        ([record(at=-1)], "at: "),
        ([record(level="fatal")], "level: "),
        ([record(level=[])], "level: "),
        ([record(event="")], "event: "),
        ([record(event="x" * 65)], "event: "),
        ([record(event="a\0")], "event: "),
        ([record(event="\ud800")], "event: "),
        ([record(fields=[])], "fields: an object"),
        ([record(fields={"x": float("inf")})], "a number that is none"),
        ([record(fields={"x": "y" * 5000})], "4096 are the most"),
        ([record(fields={"x": [[[[[[[[0]]]]]]]]})], "in each other"),
    ],
)
def test_what_is_no_record_to_the_letter_is_refused(records: Any, said: str) -> None:
    with pytest.raises(ToolError, match=said):
        log.records({"records": records})


def test_what_a_board_puts_into_its_fields_comes_to_the_page_as_it_was(running: Desk) -> None:
    """Whole numbers that a browser would round are text"""
    fields = {"a\0b": "\ud800\u202e<b>", "n": [2**53, -(2**63)], "x": 1e308, "deep": {"a": {"b": [None, True]}}}
    assert told(running, PUMP, [record(fields=fields)])[0] == 200
    fields["n"] = [2**53, str(-(2**63))]
    assert running.get(f"/api/boards/{PUMP}/log")["records"][0]["fields"] == fields


def test_who_may_not_and_what_is_too_much_changes_nothing(running: Desk) -> None:
    """64 KiB are taken here, and nowhere else"""
    path = "/api/boards/sip:new@board.invalid"
    assert told(running, "sip:new@board.invalid", [record()], "wrong")[0] == 401
    large = [record(fields={"x": "y" * 4000})] * 17
    assert told(running, "sip:new@board.invalid", large)[0] == 413
    for aor in (
        "new",
        "tel:+491",
        "sip:new@192.0.2.1:5070",
        "sip:new@board.invalid;x",
        "sip:n\0w@board.invalid",
        f"sip:{'n' * 250}@b.c",
    ):
        status, said = told(running, aor, [record()])
        assert status == 400 and "an address-of-record like" in said["error"]
    deep = b'{"records": ' + b"[" * 5000 + b"]" * 5000 + b"}"
    assert running.ask("POST", f"{path}/log", deep, Authorization=f"Bearer {TOKEN}")[0] == 400
    assert running.ask("GET", path)[0] == 404 and running.get(f"{path}/log") == {"records": []}
    assert told(running, PUMP, large[:15])[0] == 200


def test_a_request_that_nobody_can_read_is_no_fault_of_ours(running: Desk) -> None:
    """Each would be a line at the terminal, and who may do nothing could send any number"""
    kind = "application/json; charset=no"
    for name, value, status in (("Content_Encoding", "gzip", 400), ("Content_Type", kind, 401)):
        assert running.ask("POST", "/api/session", b"{}", **{name: value})[0] == status


def test_the_last_records_of_a_board_are_kept_and_none_of_a_board_that_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So a program that takes a name for each record doesn't fill the store, nor drives out who has written"""
    monkeypatch.setattr(inbox_boards, "_MOST_LOGGED", 3)
    monkeypatch.setattr(inbox_boards, "_KEPT_RECORDS", 2)
    with contextlib.closing(Store(":memory:")) as store:
        boards = Boards(store)
        for number in range(5):
            row = (1000.0 + number, "info", f"event{number}", json.dumps({}))
            boards.logged(f"sip:{number}@example.org", [row, row, row])
        assert store.db.query("SELECT aor FROM board ORDER BY heard") == [(f"sip:{n}@example.org",) for n in (2, 3, 4)]
        assert store.db.query("SELECT board, count(*) FROM log GROUP BY board ORDER BY board") == [
            (f"sip:{n}@example.org", 2) for n in (2, 3, 4)
        ]
        assert [one["event"] for one in views.log(store.db, "sip:4@example.org")["records"]] == ["event4"] * 2
        monkeypatch.setattr(inbox_boards, "_MOST", 1)
        boards.tidy()
        assert store.db.query("SELECT count(*) FROM board") == [(3,)]  # strangers' names don't drive them out
