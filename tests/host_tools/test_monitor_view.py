"""The view of a terminal: a line for each board, whatever its width."""

import os
import sys
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from sipmote.__main__ import main
from sipmote.console import Output, Part
from sipmote.link.board_events import Event, log_event
from sipmote.link.frames import Record, encode_record
from sipmote.link.teller import Teller
from sipmote.link.view import View, span
from tests.host_tools.fake_board import FakeBoard
from tests.terminals import Terminal


def record(name: str, level: int = 1, uptime_ms: int = 5000, **fields: Any) -> Event:
    return log_event(Record(0, uptime_ms, 1767225600, 4, level, name, fields, 0xABC), 0)


class Screen:
    """Keeps the picture that a view has made last."""

    def __init__(self, width: int) -> None:
        self.view = View(self._fill, lambda: width)
        self.pictures = 0

    def _fill(self, head: Any, rows: Any, below: Any) -> None:
        self.rows = [dict(zip(head, map(_text, row), strict=True)) for row in rows]
        self.below = ["".join(map(_text, line)) for line in below]
        self.pictures += 1


def _text(part: Part) -> str:
    return part if isinstance(part, str) else part[0]


def test_each_board_has_a_line_with_what_is_known_of_it() -> None:
    screen = Screen(130)
    said = [record("boot", aor="sip:boiler@x"), record("wifi_up", ssid="Home", rssi=-61), record("tick", 2, 9000, n=1)]
    screen.view.take(said, [["hello"]], "boiler", "/dev/ttyUSB0", 100.0)
    screen.view.take([{"event": "console", "text": "x"}], [], "ttyUSB1", "/dev/ttyUSB1", 70.0)
    screen.view.show(160.0)
    first, second = screen.rows
    assert first == {
        "board": "boiler",
        "port": "/dev/ttyUSB0",
        "build": "0abc",
        "heard": "60 s",
        "up": "69 s",
        "clock": "ntp",
        "rssi": "-61",
        "wait": "",
        "last": "tick 1",
    }
    assert (second["heard"], second["up"], second["last"]) == ("90 s", "", "")
    assert screen.below == ["boiler hello"]


def test_alerts_that_were_tried_and_wait_are_counted_until_they_have_gone() -> None:
    screen = Screen(60)
    for number, (call_id, level, wait) in enumerate((("a", 2, "1"), ("b", 2, "2"), ("a", 2, "2"), ("a", 1, "1"))):
        screen.view.take([record("outcome", level, call_id=call_id)], [], "boiler", "port", float(number))
        screen.view.show(float(number) + 0.5)
        assert screen.rows[0]["wait"] == wait
    screen.view.take([record("boot")], [], "boiler", "port", 9.0)
    screen.view.show(9.5)
    assert screen.rows[0]["wait"] == ""


def test_a_board_that_is_away_is_marked_and_has_one_line_when_it_is_back_under_another_name() -> None:
    screen = Screen(130)
    screen.view.note({"event": "ready"}, "listening", "boiler", "/dev/ttyUSB0", 1.0)
    screen.view.note({"event": "port_gone"}, "waiting", "boiler", "/dev/ttyUSB0", 2.0)
    screen.view.show(3.0)
    assert screen.rows[0]["heard"] == "away"
    screen.view.note({"event": "port_back", "was": "/dev/ttyUSB0"}, "back", "boiler", "/dev/ttyUSB1", 4.0)
    screen.view.show(5.0)
    assert [(row["port"], row["heard"]) for row in screen.rows] == [("/dev/ttyUSB1", "4 s")]


def test_what_is_wrong_with_the_desk_stays_in_the_view(capsys: pytest.CaptureFixture[str]) -> None:
    """A line on stderr would be gone with the next picture"""
    screen, desk = Screen(130), MagicMock()
    desk.news.side_effect = [["the desk is away"], []]
    teller = Teller(Output(as_json=False), view=screen.view, desk=desk)
    teller.tick(100.0)
    teller.tick(200.0)
    assert screen.below == ["the desk is away"] and screen.pictures == 2
    assert capsys.readouterr().err == ""


def test_pictures_are_made_at_most_ten_times_a_second_and_once_a_second_without_news() -> None:
    screen = Screen(80)
    for tick in range(1000):  # ten seconds
        if tick < 500:
            screen.view.take([record("tick")], [["line"]], "boiler", "port", tick / 100)
        screen.view.show(100 + tick / 100)
    assert 50 <= screen.pictures <= 56
    assert len(screen.below) == 200


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.4, "0 s"), (99, "99 s"), (100, "1 min"), (6000, "1 h"), (359_999, "99 h"), (360_000, "4 d")],
)
def test_a_span_of_time_is_short(seconds: float, shown: str) -> None:
    assert span(seconds) == shown


@pytest.mark.parametrize("columns", ["40", "100"])
def test_the_screen_is_filled_to_its_width_and_given_back(tmp_path: Path, columns: str) -> None:
    with FakeBoard() as fake:
        line = f"{sys.executable} -m sipmote monitor --view --port {fake.port}; echo over"
        with Terminal(line, tmp_path, [], COLUMNS=columns, LINES="10", TERM="xterm") as terminal:
            terminal.wait_for("listening on")
            fake.write(encode_record(Record(0, 1, None, 0, 3, "sensor_failed\x1b[2J", {"error": "x" * 200}, 0)))
            terminal.wait_for("sensor_failed\\x1b[2J")
            os.write(terminal._screen, b"\x03")
            terminal.wait_for("over")
        for picture in terminal.written.split("\x1b[H")[1:]:
            rows = picture.split("\x1b[?25h")[0].replace("\x1b[J", "").replace("\r", "").split("\x1b[K\n")
            assert len(rows) <= 10
            assert max(len(plain(row)) for row in rows) <= int(columns)
        assert "\x1b[?1049l" in terminal.written.split("over")[0]


def plain(text: str) -> str:
    """Return text without colours."""
    first, *rest = text.split("\x1b[")
    return first + "".join(part.split("m", 1)[-1] for part in rest)


def test_a_view_without_a_terminal_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with FakeBoard() as fake:
        assert main(["monitor", "--view", "--port", fake.port]) == 1
    assert "a view needs a terminal" in capsys.readouterr().err
