"""A monitor's history: what boards have said is kept, read back without a board, and takes no more room than it may."""

import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from sipmote.__main__ import main
from sipmote.errors import ToolError
from sipmote.link.frames import Record, encode_record
from sipmote.link.history import History, find
from tests.host_tools.fake_board import FakeBoard
from tests.interop.peers import wait_until
from tests.tools import Tool

FAILED = Record(1, 900, None, 0, 2, "wifi_failed", {"ssid": "cellar"}, 0)
DAY_S = 86400.0


def test_what_was_heard_is_read_back_without_a_board_whatever_was_shown_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """R0-P17: its owner alone can read it."""
    file = tmp_path / "monitor.db"
    with FakeBoard() as fake, Tool("monitor", "--port", fake.port, "--db", str(file), "--name", "none") as monitor:
        monitor.wait_for(event="ready")
        fake.write(encode_record(FAILED) + b"81 C\r\n" + encode_record(Record(2, 901, None, 0, 1, "none", {}, 0)))
        monitor.wait_for(event="log")
        assert monitor.interrupt() == 0
        assert [line["event"] for line in monitor.lines] == ["ready", "log"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with Tool("monitor", "--since", "1h", "--db", str(file)) as reader:
        assert reader.wait() == 0
        said = [(line["event"], line.get("name") or line.get("text", "")) for line in reader.lines]
        assert said[1:] == [("log", "wifi_failed"), ("console", "81 C"), ("log", "none")]
    assert main(["monitor", "--since", "1h", "--db", str(file), "--grep", "81|wifi"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert 'warning wifi_failed ssid="cellar"' in first
    assert second.endswith(" 81 C") and second[:2] == "20"  # a line of the console has its date, too


def test_who_kills_the_monitor_keeps_what_was_heard_a_second_before(tmp_path: Path) -> None:
    file = tmp_path / "monitor.db"
    with FakeBoard() as fake, Tool("monitor", "--port", fake.port, "--db", str(file)) as monitor:
        monitor.wait_for(event="ready")
        fake.write(b"kept\r\n")
        monitor.wait_for(event="console")
        wait_until(lambda: [1 for *_, event in find(str(file), 0, 9e9) if event.get("text") == "kept"])
        monitor._process.kill()
    assert [event["text"] for *_, event in find(str(file), 0, 9e9) if event["event"] == "console"] == ["kept"]


def test_a_reader_that_stalls_stops_neither_the_log_nor_the_history(tmp_path: Path) -> None:
    """R0-P19"""
    file = tmp_path / "monitor.db"
    with FakeBoard() as fake:
        command = [sys.executable, "-m", "sipmote", "monitor", "--port", fake.port, "--db", str(file), "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout
            assert b"ready" in process.stdout.readline()  # and no more is read for now
            for number in range(5000):
                fake.write(encode_record(Record(number, number, None, 0, 1, "tick", {}, 0)))
            wait_until(lambda: file.exists() and [e for *_, e in find(str(file), 0, 9e9) if e.get("seq") == 4999])
            process.send_signal(signal.SIGINT)
            told = [line for line in process.stdout if b'"event": "log"' in line]
        assert process.returncode == 0
    assert len(told) == 5000


def filled(path: Path, days: int, keep_days: float, most: int, each: int) -> list[float]:
    """Keep an event of so many octets a day; returns the days that are still there."""
    history = History(str(path), keep_days * DAY_S, most)
    for day in range(days):
        history.add({"event": "console", "text": "x" * each}, "boiler", "/dev/ttyUSB0", day * DAY_S)
        if day % 10 == 9:
            assert history.commit(day * 100.0, day * DAY_S) is None
    history.close(days * DAY_S)
    return [unix / DAY_S for unix, *_ in find(str(path), 0, 9e9)]


def test_what_is_too_old_goes(tmp_path: Path) -> None:
    assert filled(tmp_path / "file", 50, 7, 10**9, 10) == [42, 43, 44, 45, 46, 47, 48, 49]


def test_the_oldest_go_when_the_file_is_full_and_it_shrinks(tmp_path: Path) -> None:
    days = filled(tmp_path / "file", 600, 10_000, 200_000, 1000)
    assert 120 < len(days) < 200
    assert days == list(range(600 - len(days), 600))
    assert (tmp_path / "file").stat().st_size < 220_000


def test_a_disk_that_is_full_stops_nothing_and_is_told_once(tmp_path: Path) -> None:
    """R0-P13, R0-P19"""
    history = History(str(tmp_path / "file"), DAY_S, 10**9)
    history._db.execute("PRAGMA max_page_count = 8")
    told = []
    for second in range(100):
        history.add({"event": "console", "text": "x" * 1000}, "boiler", "port", second)
        told.append(history.commit(second * 2.0, second))
    assert [bool(line) for line in told].count(True) == 1
    assert "takes nothing, so 1 events are not kept: database or disk is full" in "".join(filter(None, told))


def test_a_file_that_is_something_else_is_left_alone(tmp_path: Path) -> None:
    other, text = tmp_path / "inbox.db", tmp_path / "notes.txt"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE message (id)")
    text.write_text("notes\n" * 999)
    for file in (other, text):
        before = file.read_bytes()
        with pytest.raises(ToolError, match="with --db"):
            History(str(file), DAY_S, 10**9)
        assert file.read_bytes() == before
        with pytest.raises(ToolError, match=r"no history of a monitor's|can't read"):
            list(find(str(file), 0, 1))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--since", "2d"], "--since needs --db FILE"),
        (["--keep", "2d"], "--keep needs --db FILE"),
        (["--until", "14:00"], "--until belongs to --since"),
        (["--since", "2d", "--db", "none", "--all"], "leave --port, --all, --reset and --view out"),
        (["--since", "2d", "--db", "none"], "there is no file none"),
        (["--db", "x", "--keep", "0d"], "--keep 0 would keep nothing"),
        (["--since", "14:00", "--until", "13:00", "--db", "x"], "--until is before --since"),
    ],
)
def test_what_does_not_go_together_is_told(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["monitor", *arguments]) == 1
    assert told in capsys.readouterr().err
