"""`sipmote boards`: what is told of boards that speak, that are asked, that are silent and that can't be reached."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from serial.tools.list_ports_common import ListPortInfo

from sipmote.__main__ import main
from sipmote.board.acquaintances import Acquaintances
from sipmote.board.overview import title
from sipmote.commands import boards
from sipmote.link.port import close_port, open_port
from tests.host_tools.virtual import fill, virtual_board

SETTINGS = {"aor": "sip:boiler@127.0.0.1", "to": "sip:desk@127.0.0.1:9", "bind": "127.0.0.1:0"}
TALKS = '''"""Boiler in the cellar.

More of it.
"""
with open("/starts", "a") as file:
    file.write(".")
from mote import Mote

mote = Mote()


@mote.every(0.2)
def measure():
    mote.log(1, "measured", celsius=81)


mote.run()
'''
SILENT = "import time\nwhile True:\n time.sleep(1)\n"


@pytest.fixture
def run_boards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """`sipmote boards --json` in this process, with a data folder of its own; returns the exit code and the events."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(boards, "virtual_ports", list)
    monkeypatch.setattr(boards, "usb_ports", list)

    def run(*arguments: str) -> tuple[int, list[dict[str, Any]]]:
        code = main(["boards", "--json", *arguments])
        return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return run


def usb(device: str, serial_number: str = "7001") -> ListPortInfo:
    port = ListPortInfo(device)
    port.vid, port.pid, port.serial_number = 0x10C4, 0xEA60, serial_number
    return port


def test_a_board_that_speaks_is_heard_and_its_program_goes_on(tmp_path: Path, run_boards: Any) -> None:
    flash = tmp_path / "flash"
    fill(flash, TALKS, SETTINGS)
    with virtual_board(flash, "128k", "--no-clock") as port:
        code, (found,) = run_boards("--port", port, "--seconds", "5")
    assert code == 0
    assert (found["done"], found["clock"]) == ("listened", "none")
    assert found["silent_s"] is not None and "program" not in found
    assert (flash / "starts").read_text() == "."


def test_a_board_that_is_asked_tells_the_rest_and_starts_its_program_again(tmp_path: Path, run_boards: Any) -> None:
    flash = tmp_path / "flash"
    fill(flash, TALKS, SETTINGS)
    with virtual_board(flash, "128k") as port:
        run_boards("--port", port, "--seconds", "3")  # it has begun
        code, (found,) = run_boards("--port", port, "--ask")
        assert run_boards("--port", port, "--seconds", "5")[1][0]["clock"] == "rtc"
    assert code == 0
    assert (found["done"], found["program"], found["clock"]) == ("asked", "Boiler in the cellar.", "rtc")
    assert found["program_octets"] == len(TALKS) and found["program_date"]
    assert found["release"].count(".") == 2 and 0 < found["memory_free"] < 128 * 1024
    assert found["uptime_s"] >= 0
    assert (flash / "starts").read_text() == ".."


def test_what_was_found_is_known_by_serial_number_when_the_board_is_silent(
    tmp_path: Path, run_boards: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also under another name of its port."""
    flash, link = tmp_path / "flash", tmp_path / "ttyUSB7"
    flash.mkdir()
    (flash / "main.py").write_text(SILENT)
    with virtual_board(flash, "128k", "--link", str(link)):
        monkeypatch.setattr(boards, "usb_ports", lambda: [usb(str(link))])
        asked = run_boards("--ask")[1][0]
        other = tmp_path / "ttyUSB9"
        other.symlink_to(link.readlink())
        monkeypatch.setattr(boards, "usb_ports", lambda: [usb(str(other))])
        code, (found,) = run_boards("--seconds", "0.5")
    assert code == 0
    assert (found["port"], found["done"], found["serial_number"]) == (str(other), "listened", "7001")
    assert found["release"] == asked["release"] and found["asked"] == asked["asked"] and found["silent_s"] >= 0


def test_a_port_that_somebody_has_open_is_named_and_the_others_are_listed(tmp_path: Path, run_boards: Any) -> None:
    with virtual_board(tmp_path / "one") as busy, virtual_board(tmp_path / "two") as free:
        port = open_port(busy)
        try:
            code, found = run_boards("--port", busy, "--port", free, "--seconds", "0.2")
        finally:
            close_port(port)
    assert code == 1
    assert [event["done"] for event in found] == ["failed", "listened"]
    assert "is in use" in found[0]["trouble"]


def test_a_link_to_a_virtual_board_is_no_name_to_know_it_by(tmp_path: Path, run_boards: Any) -> None:
    """Its number is another terminal's one day, and the link another board's."""
    link = tmp_path / "ttyBoard"
    with virtual_board(tmp_path / "flash", "64k", "--link", str(link)):
        code, (found,) = run_boards("--seconds", "0.1", "--port", str(link))
    assert (code, found["port"]) == (0, str(link))
    assert json.loads((tmp_path / "data" / "sipmote" / "boards.json").read_text()) == {}


def test_boards_with_the_same_serial_number_are_known_by_their_ports() -> None:
    """Cheap bridge chips all have 0001."""
    ports = [usb("/dev/ttyUSB0", "0001"), usb("/dev/ttyUSB1", "0001"), usb("/dev/ttyUSB2", "7001")]
    names = [boards._name(ports, device) for device in ("/dev/ttyUSB0", "/dev/ttyUSB2", "/dev/ttyS0", "/dev/pts/3")]
    assert names == ["/dev/ttyUSB0", "7001", "/dev/ttyS0", None]


def test_the_file_of_boards_is_for_its_owner_and_a_torn_one_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "data" / "boards.json"
    known = Acquaintances(path)
    known.take("7001", {"release": "1.29.0"})
    known.keep()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Acquaintances(path).take("7001", {"rssi": -61}) == {"release": "1.29.0", "rssi": -61}
    path.write_text(path.read_text()[:-5])
    assert Acquaintances(path).take("7001", {}) == {}


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b'"""Boiler."""\nimport x\n', "Boiler."),
        (b"# by me\n\n'''\nBoiler\n'''", "Boiler"),
        (b"\xef\xbb\xbf# Boiler 3\nimport x\n", "Boiler 3"),
        (b"#!/usr/bin/env micropython\nimport x\n", None),
        (b"import x\n", None),
        (b"\xff\xfe\x00", None),
        (b"", None),
    ],
)
def test_a_program_is_called_what_it_says_of_itself(head: bytes, words: str | None) -> None:
    assert title(head) == words
