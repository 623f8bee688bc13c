"""Watching a board: text and records on one line, the port gone and back, and a clean end."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sipmote.console import Output
from sipmote.link.board_events import BoardEvents, stamp
from sipmote.link.frames import Console, Damaged, Item, Lost, Record, encode_record
from sipmote.link.teller import Teller
from tests.bench.monitor import replayed, stream
from tests.host_tools.fake_board import FakeBoard
from tests.host_tools.virtual import virtual_board
from tests.tools import Tool

ALERT = Record(3, 61_250, 1767225600, 4, 1, "alert_sent", {"call_id": b"a@b", "octets": 412})


def test_a_board_that_logs_and_prints_on_one_line_is_told_apart(tmp_path: Path) -> None:
    frames = [encode_record(ALERT), encode_record(Record(6, 61_300, None, 0, 2, "dropped", {}))]
    (tmp_path / "main.py").write_text(
        f"print('reads 81', end='')\nfor f in {frames!r}:\n print(f.decode(), end='')\n1/0\n"
    )
    with virtual_board(tmp_path) as port, Tool("monitor", "--port", port, "--reset") as monitor:
        assert monitor.wait_for(event="ready")["port"] == port
        seen = monitor.wait_for(event="log")
        assert datetime.now(UTC) - datetime.fromisoformat(seen.pop("heard")) < timedelta(minutes=1)
        assert seen == {
            "event": "log",
            "seq": 3,
            "uptime_ms": 61_250,
            "date": "2026-01-01T00:00:00Z",
            "clock": "ntp",
            "clock_age_s": None,
            "level": "info",
            "name": "alert_sent",
            "fields": {"call_id": "a@b", "octets": 412},
        }
        monitor.wait_for(event="console", text="reads 81", partial=True)
        assert monitor.wait_for(event="lost") == {"event": "lost", "count": 2}
        monitor.wait_for(event="log", seq=6, date=None, clock="none", level="warning")
        monitor.wait_for(event="console", text=lambda text: "ZeroDivisionError" in text)
        assert monitor.interrupt() == 0
        assert not monitor.complaints


def test_a_record_says_to_programs_which_build_it_is_of(tmp_path: Path) -> None:
    """Since kind 2 of the log's frames; kind 1, of boards with older files, has none."""
    frames = [encode_record(Record(0, 1, None, 0, 1, "boot", {}, build)) for build in (None, 0, 0xABC)]
    (tmp_path / "main.py").write_text(f"for f in {frames!r}:\n print(f.decode())\n")
    with virtual_board(tmp_path) as port, Tool("monitor", "--port", port, "--reset") as monitor:
        monitor.wait_for(event="log", build="0abc")
        builds = [line.get("build") for line in monitor.lines if line["event"] == "log"]
        assert builds == [None, "0000", "0abc"]


def test_an_unplugged_board_is_waited_for(tmp_path: Path) -> None:
    link = tmp_path / "port"
    with FakeBoard() as fake:
        link.symlink_to(fake.port)
        with Tool("monitor", "--port", str(link)) as monitor:
            monitor.wait_for(event="ready")
            fake.write(b"half a line" + encode_record(ALERT)[:20])
            monitor.wait_for(event="console")
            fake.pull_cable()
            assert monitor.wait_for(event="damaged")["count"] == 1
            assert monitor.wait_for(event="port_gone")["port"] == str(link)
            with FakeBoard() as again:
                os.remove(link)
                link.symlink_to(again.port)
                monitor.wait_for(event="port_back")
                again.write(encode_record(ALERT))
                assert monitor.wait_for(event="log")["seq"] == 3
                assert monitor.interrupt() == 0


def test_the_end_of_a_virtual_board_ends_it() -> None:
    with FakeBoard() as fake, Tool("monitor", "--port", fake.port) as monitor:
        monitor.wait_for(event="ready")
        fake.pull_cable()
        monitor.wait_for(event="port_gone")
        assert monitor.wait() == 1
        assert monitor.complaints == [f"sipmote: the virtual board at {fake.port} has ended"]


def test_a_line_that_never_ends_is_told_in_pieces() -> None:
    """No 0.1 s of silence, no line end: a piece after a second, or after 4096 characters."""
    board = BoardEvents("port")
    pieces = [event for tick in range(60) for event in board.feed(b"\xc2\xb0.", tick / 20, HEARD)]
    assert [len(piece["text"]) for piece in pieces] == [42, 44]
    assert all(piece["partial"] for piece in pieces)
    last = board.feed(b"\r\n", 3.0, HEARD)
    assert [(event["text"], event.get("partial")) for event in last] == [("\xb0." * 17, None)]
    (long,) = board.feed(b"-" * 5000, 3.0, HEARD)
    assert (len(long["text"]), long["partial"]) == (5000, True)
    board.feed(b"81\r", 4.5, HEARD)
    assert [event["text"] for event in board.idle(4.6, HEARD) + board.feed(b"\n", 4.7, HEARD)] == ["81", ""]


def test_after_a_reset_the_new_start_alone_is_shown() -> None:
    board = BoardEvents("port")
    board.drop_until_restart(0.0)
    old = encode_record(ALERT) + b"Traceback\r\nKeyboardInterrupt: \r\n>>> \r\nMPY: so"
    assert board.feed(old, 0.1, HEARD) == []
    assert board.idle(0.3, HEARD) == []
    events = board.feed(b"ft reboot\r\nhello\r\n" + encode_record(ALERT), 0.5, HEARD)
    assert [event.get("text") for event in events] == ["MPY: soft reboot", "hello", None, None]
    assert [event["event"] for event in events[2:]] == ["lost", "log"]


def test_a_board_that_does_not_restart_is_heard_all_the_same() -> None:
    board = BoardEvents("port")
    board.drop_until_restart(0.0)
    assert board.feed(b"I go on\r\n", 9.0, HEARD) == []
    assert [event["text"] for event in board.feed(b"and on\r\n", 10.1, HEARD)] == ["I go on", "and on"]


def test_of_what_a_fast_board_sends_nothing_is_lost() -> None:
    """`python -m tests.bench monitor` does so with a day of it, and looks at the memory."""
    replay = replayed(stream(8192), most=1)
    assert (replay.told, replay.lost) == (replay.sent, 0)


def test_it_ends_by_itself_after_the_seconds_asked_for() -> None:
    with FakeBoard() as fake, Tool("monitor", "--port", fake.port, "--seconds", "0.3") as monitor:
        assert monitor.wait() == 0
        assert monitor.lines == [{"event": "ready", "port": fake.port}]


def test_a_port_that_is_not_there_at_the_start_is_an_error(tmp_path: Path) -> None:
    with Tool("monitor", "--port", str(tmp_path / "none")) as monitor:
        assert monitor.wait() == 1
        (complaint,) = monitor.complaints
        assert "no port" in complaint


HEARD = 1767225601.5  # 2026-01-01T00:00:01Z
Shown = Callable[..., str]


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shown:
    """Gives the function that says what people see of some items."""
    monkeypatch.setenv("COLUMNS", "40")

    def show(*items: Item) -> str:
        teller, board = Teller(Output(as_json=False), utc=True), BoardEvents("port")
        teller.tell(board._events(list(items), 0, HEARD) + board._rest(HEARD), "port", "/dev/port")
        return capsys.readouterr().out

    return show


def test_a_record_has_a_line_of_its_own_with_its_date_and_how_sure_that_is(shown: Shown) -> None:
    assert shown(Console("[red]reads"), ALERT, Console("81\r\n"), ALERT) == (
        "[red]reads\n"
        '2026-01-01T00:00:00Z (ntp) info alert_sent call_id="a@b" octets=412\n'
        "81\n"
        '2026-01-01T00:00:00Z (ntp) info alert_sent call_id="a@b" octets=412\n'
    )


def test_a_board_without_a_clock_is_given_no_date(shown: Shown) -> None:
    assert stamp(Record(0, 1, 946684800, 0, 1, "boot", {})) is None
    old = Record(0, 1, 1767225600, 3, 1, "boot", {}, 0, told=1767225600 - 7300)
    assert shown(old).startswith("2026-01-01T00:00:00Z (host of 2 h ago) info boot")
    assert shown(Record(0, 61_005, 946684800, 0, 3, "boot", {})) == (
        "2026-01-01T00:00:01Z (heard, up 61.005 s) error boot\n"
    )


def test_people_see_the_build_once_when_the_board_starts(shown: Shown) -> None:
    assert shown(Record(0, 1, None, 0, 1, "boot", {}, 0xABC)) == (
        '2026-01-01T00:00:01Z (heard, up 0.001 s) info boot build="0abc"\n'
    )
    assert shown(Record(1, 2, None, 0, 1, "tick", {}, 0xABC), Record(0, 1, None, 0, 1, "boot", {}, 0)) == (
        "2026-01-01T00:00:01Z (heard, up 0.002 s) info tick\n2026-01-01T00:00:01Z (heard, up 0.001 s) info boot\n"
    )


def test_a_message_from_the_network_does_not_command_the_terminal(shown: Shown) -> None:
    text = shown(Console("\x1b[2J\u202e\n"), Record(0, 1, None, 0, 1, "x\x1b", {"body\x9b": "\x1b]0;\x9b\nö"}))
    assert (
        text
        == '\\x1b[2J\\u202e\n2026-01-01T00:00:01Z (heard, up 0.001 s) info x\\x1b body\\x9b="\\u001b]0;\\x9b\\nö"\n'
    )


def test_what_was_lost_is_shown(shown: Shown) -> None:
    assert shown(Damaged(1), Lost(3)) == "[1 damaged frame]\n[3 log records lost]\n"
