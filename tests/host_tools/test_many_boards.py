"""Many boards at once: each named in its lines, known by its serial number, and no trouble of one is another's."""

import argparse
import contextlib
import fcntl
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sipmote.__main__ import main
from sipmote.commands import monitor as command
from sipmote.console import Output
from sipmote.link.board_events import BoardEvents
from sipmote.link.frames import Record, encode_record
from sipmote.link.teller import Teller
from tests.host_tools.fake_board import FakeBoard
from tests.tools import Tool

BOOT = Record(0, 812, None, 0, 1, "boot", {"aor": "sip:boiler@192.0.2.7", "commands": []}, 0)
_WITH_FAKE_USB = """
import json, os, sys
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

def comports():
    with open(os.environ["FAKE_USB"]) as file:
        plugged = json.load(file)
    found = []
    for device, number in plugged.items():
        port = ListPortInfo(device)
        port.vid, port.pid, port.serial_number = 0x10C4, 0xEA60, number
        found.append(port)
    return found

list_ports.comports = comports
from sipmote.__main__ import main
sys.exit(main())
"""


class Usb:
    """USB as `sipmote` sees it: links in a folder as the ports, and each with a serial number."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._plugged: dict[str, str] = {}
        self._write()

    def plug(self, name: str, board: FakeBoard, number: str) -> str:
        """Plug a board in; returns its port."""
        port = self._folder / name
        port.symlink_to(board.port)
        self._plugged[str(port)] = number
        self._write()
        return str(port)

    def unplug(self, port: str) -> None:
        os.remove(port)
        del self._plugged[port]
        self._write()

    def _write(self) -> None:
        new = self._folder / "usb.new"
        new.write_text(json.dumps(self._plugged))
        new.replace(self._folder / "usb")


@pytest.fixture
def usb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Usb:
    monkeypatch.setenv("FAKE_USB", str(tmp_path / "usb"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # where virtual boards of others are not noted
    return Usb(tmp_path)


@contextlib.contextmanager
def monitor(*arguments: str) -> Iterator[Tool]:
    """Start a monitor that sees fake USB; it has to end well by Ctrl-C."""
    with Tool("monitor", *arguments, program=(sys.executable, "-c", _WITH_FAKE_USB)) as tool:
        yield tool
        assert tool.interrupt() == 0, tool.transcript()


def test_lines_name_their_board_and_a_broken_port_disturbs_no_other(usb: Usb, tmp_path: Path) -> None:
    with FakeBoard() as one, FakeBoard() as two:
        here, there = usb.plug("ttyUSB0", one, "A1"), usb.plug("ttyUSB1", two, "B2")
        missing = str(tmp_path / "ttyUSB9")
        with monitor("--port", here, "--port", missing, "--port", there) as tool:
            failed = tool.wait_for(event="port_failed", port=missing)
            assert "no port" in failed["reason"]
            for port in (here, there):
                tool.wait_for(event="ready", port=port)
            one.write(encode_record(BOOT) + b"hot\r\n")
            two.write(b"cold\r\n")
            assert tool.wait_for(event="console", text="hot")["board"] == "boiler"
            assert tool.wait_for(event="console", text="cold")["board"] == "ttyUSB1"
            one.pull_cable()
            tool.wait_for(event="port_gone", port=here)
            two.write(b"still cold\r\n")
            tool.wait_for(event="console", text="still cold", port=there)
        assert len([line for line in tool.lines if line["event"] == "port_failed"]) == 1


def test_a_board_is_known_by_its_serial_number_when_it_is_back_under_another_name(usb: Usb) -> None:
    with FakeBoard() as board, FakeBoard() as again, FakeBoard() as another:
        port = usb.plug("ttyUSB0", board, "A1")
        with monitor("--port", "a1") as tool:
            tool.wait_for(event="ready", port=port)
            board.pull_cable()
            usb.unplug(port)
            tool.wait_for(event="port_gone")
            usb.plug("ttyUSB0", another, "C3")  # has the name, and isn't it
            back = usb.plug("ttyUSB1", again, "A1")
            tool.wait_for(event="port_back", port=back, was=port, serial_number="A1")
            another.write(b"not me\r\n")
            again.write(b"it is me\r\n")
            tool.wait_for(event="console", text="it is me")
        assert "not me" not in tool.transcript()


def test_of_two_boards_with_one_name_the_port_is_told_too(capsys: pytest.CaptureFixture[str]) -> None:
    teller = Teller(Output(False), several=True)
    for port in ("/dev/ttyUSB0", "/dev/ttyUSB1", "/dev/ttyUSB0"):
        teller.tell([{"event": "console", "text": "hot"}], "boiler", port)
    teller.tell([{"event": "console", "text": "open"}], "door", "/dev/ttyUSB2")
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names == ["boiler", "boiler@ttyUSB1", "boiler@ttyUSB0", "door"]


def test_a_board_that_is_named_twice_is_watched_once(usb: Usb) -> None:
    with FakeBoard() as board:
        port = usb.plug("ttyUSB0", board, "A1")
        with monitor("--port", port, "--port", "A1") as tool:
            tool.wait_for(event="ready", port=port)
            assert "is watched already" in tool.wait_for(event="port_failed")["reason"]
            board.write(b"once\r\n")
            tool.wait_for(event="console", text="once")
        assert len([line for line in tool.lines if line["event"] == "console"]) == 1


def test_boards_with_one_serial_number_go_by_their_names(usb: Usb) -> None:
    """Many bridge chips have the number 0001."""
    with FakeBoard() as one, FakeBoard() as two, FakeBoard() as again:
        here, there = usb.plug("ttyUSB0", one, "0001"), usb.plug("ttyUSB1", two, "0001")
        with monitor("--port", here, "--port", there) as tool:
            for port in (here, there):
                tool.wait_for(event="ready", port=port)
            two.pull_cable()
            usb.unplug(there)
            tool.wait_for(event="port_gone", port=there)
            usb.plug("ttyUSB1", again, "0001")
            tool.wait_for(event="port_back", port=there)


def test_with_all_each_that_comes_is_watched(usb: Usb) -> None:
    with FakeBoard() as one, FakeBoard() as two, monitor("--all") as tool:
        tool.wait_for(event="waiting")
        first = usb.plug("ttyUSB0", one, "A1")
        tool.wait_for(event="ready", port=first)
        second = usb.plug("ttyUSB1", two, "B2")
        tool.wait_for(event="ready", port=second)
        two.write(encode_record(BOOT))
        tool.wait_for(event="log", name="boot", board="boiler", port=second)


def test_with_all_twins_are_two_and_who_takes_the_name_of_one_that_is_away_is_another(usb: Usb) -> None:
    with (
        FakeBoard() as one,
        FakeBoard() as two,
        FakeBoard() as other,
        FakeBoard() as again,
        monitor("--all") as tool,
    ):
        here, there = usb.plug("ttyUSB0", one, "0001"), usb.plug("ttyUSB1", two, "0001")
        for port in (here, there):
            tool.wait_for(event="ready", port=port)
        one.pull_cable()
        usb.unplug(here)
        tool.wait_for(event="port_gone", port=here)
        assert usb.plug("ttyUSB0", other, "C3") == here
        tool.wait_for(event="ready", port=here, serial_number="C3")
        back = usb.plug("ttyUSB2", again, "0001")
        tool.wait_for(event="port_back", port=back, was=here)


def test_a_port_that_can_not_be_opened_yet_is_tried_again_and_told_when_that_lasts(usb: Usb, tmp_path: Path) -> None:
    """As udev sets a port's group only after it is there; and as another program may have it."""
    with FakeBoard() as one, FakeBoard() as two, monitor("--all") as tool:
        tool.wait_for(event="waiting")
        with open(one.port, "rb", buffering=0) as holder:
            fcntl.flock(holder, fcntl.LOCK_EX)
            port = usb.plug("ttyUSB0", one, "A1")
            assert "in use" in tool.wait_for(event="port_failed", port=port)["reason"]
        other = usb.plug("ttyUSB1", two, "B2")
        tool.wait_for(event="ready", port=port)
        tool.wait_for(event="ready", port=other)
        assert len([line for line in tool.lines if line["event"] == "port_failed"]) == 1


def test_a_virtual_board_that_ends_is_watched_no_more_and_others_are(usb: Usb) -> None:
    with FakeBoard() as one, FakeBoard() as two, monitor("--port", one.port, "--port", two.port) as tool:
        for board in (one, two):
            tool.wait_for(event="ready", port=board.port)
        one.pull_cable()
        tool.wait_for(event="board_ended", port=one.port)
        two.write(b"here\r\n")
        tool.wait_for(event="console", text="here", board=two.port.removeprefix("/dev/"))


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ([], ["boot", "wifi_failed", "Brownout", "measured"]),
        (["--level", "warning"], ["wifi_failed", "Brownout"]),
        (["--name", "wifi_*"], ["wifi_failed"]),
        (["--grep", "BROWN|cellar"], ["wifi_failed", "Brownout"]),
        (["--board", "boiler"], ["boot", "wifi_failed", "Brownout", "measured"]),
        (["--board", "ttyUSB1"], []),
    ],
)
def test_only_what_is_wanted_is_shown(options: list[str], seen: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    failed = Record(1, 900, None, 0, 2, "wifi_failed", {"ssid": "cellar"}, 0)
    measured = Record(2, 950, None, 0, 1, "measured", {"celsius": 81}, 0)
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    args = parser.parse_args(options)
    teller = Teller(Output(as_json=True), True, wanted=command.wanted(args))
    board = BoardEvents("ttyUSB0")
    said = encode_record(BOOT) + encode_record(failed) + b"Brownout\r\n" + encode_record(measured)
    teller.tell(board.feed(said, 0, 0), board.name, "/dev/ttyUSB0")
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line.get("name") or line["text"] for line in shown] == seen


def test_a_pattern_that_is_none_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["monitor", "--grep", "a["])
    assert "a[: unterminated character set" in capsys.readouterr().err
