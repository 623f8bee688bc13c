"""Listing ports: what a person reads and what a program does."""

import contextlib
import fcntl
import json
import os
import tempfile
from pathlib import Path

import pytest
from serial.tools.list_ports_common import ListPortInfo

from sipmote.__main__ import main
from sipmote.link import port as serial_port
from sipmote.link.port import virtual_ports
from tests.vm import board

_WITH_A_CP2102 = [f"esp32_generic{chip}" for chip in ("", "_c3", "_c6", "_s2", "_s3")] + ["esp8266_generic"]


def esp32() -> ListPortInfo:
    port = ListPortInfo("/dev/ttyUSB0")
    port.vid, port.pid, port.serial_number = 0x10C4, 0xEA60, "0001"
    port.manufacturer, port.product = "Silicon Labs", "CP2102N USB to UART"
    return port


def test_a_port_is_listed_with_the_device_behind_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(serial_port, "usb_ports", lambda: [esp32()])
    monkeypatch.setattr(serial_port, "virtual_ports", list)
    assert main(["ports"]) == 0
    seen = capsys.readouterr().out
    assert seen.startswith("/dev/ttyUSB0  10c4:ea60  Silicon Labs CP2102N USB to UART  serial 0001  (")
    assert seen.endswith(f"({' or '.join(_WITH_A_CP2102)}?)\n")
    assert main(["ports", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "event": "port",
        "port": "/dev/ttyUSB0",
        "usb": "10c4:ea60",
        "description": "Silicon Labs CP2102N USB to UART",
        "serial_number": "0001",
        "boards": _WITH_A_CP2102,
    }


def test_one_port_is_asked_for_by_name_link_or_serial_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ttyUSB7").touch()
    (tmp_path / "link").symlink_to(tmp_path / "ttyUSB7")
    here = esp32()
    here.device = str(tmp_path / "ttyUSB7")
    monkeypatch.setattr(serial_port, "usb_ports", lambda: [here])
    monkeypatch.setattr(serial_port, "virtual_ports", lambda: ["/dev/pts/99"])
    for name in (here.device, str(tmp_path / "link"), "0001"):
        assert main(["ports", name, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["port"] == here.device
    assert main(["ports", "0002"]) == 1
    assert "no port 0002" in capsys.readouterr().err


def test_no_port_is_no_error_and_says_how_to_do_without(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(serial_port, "usb_ports", list)
    monkeypatch.setattr(serial_port, "virtual_ports", list)
    assert main(["ports"]) == 0
    assert "sipmote board start virtual" in capsys.readouterr().out
    assert main(["ports", "--json"]) == 0
    assert capsys.readouterr().out == ""


def test_a_virtual_board_that_runs_is_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with board() as running:
        assert main(["ports", "--json"]) == 0
        assert running.port in [json.loads(line)["port"] for line in capsys.readouterr().out.splitlines()]
    assert main(["ports", "--json"]) == 0
    assert running.port not in [json.loads(line)["port"] for line in capsys.readouterr().out.splitlines()]


def test_a_note_that_another_user_could_have_written_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """deploy would send a program, its passwords included, to whatever is behind the port that it names.

    What a board has left that was killed is none either: nobody has it locked.
    """
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    notes = []
    for name, mode in (("ours", 0o700), ("open", 0o777), ("group", 0o770), ("theirs", 0o700), ("killed", 0o700)):
        folder = tmp_path / f"sipmote-board-{name}"
        folder.mkdir()
        (folder / "port").write_text(f"/dev/pts/{name}")
        folder.chmod(mode)
        if name != "killed":
            notes.append((folder / "port").open())
            fcntl.flock(notes[-1], fcntl.LOCK_EX)
    (tmp_path / "sipmote-board-link").symlink_to(tmp_path / "sipmote-board-ours")
    theirs = tmp_path / "sipmote-board-theirs"
    with contextlib.suppress(PermissionError):
        os.chown(theirs, 65534, -1)
    foreign = [] if theirs.stat().st_uid != os.getuid() else ["/dev/pts/theirs"]
    assert virtual_ports() == ["/dev/pts/ours", *foreign]
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    assert virtual_ports() == []
    for note in notes:
        note.close()
