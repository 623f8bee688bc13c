"""Putting firmware onto a Pico: a folder stands for the drive of its boot loader."""

import hashlib
import json
import struct
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sipmote.__main__ import main
from sipmote.board import drive
from sipmote.board.uf2 import read_uf2
from sipmote.console import Output
from sipmote.errors import ToolError
from tests.host_tools.fake_board import FakeBoard
from tests.host_tools.made_firmware import esp_image, uf2
from tests.host_tools.mounted import read_by_micropython

_RP2040, _RP2350, _ABSOLUTE = 0xE48BFF56, 0xE48BFF59, 0xE48BFF57
_ABOUT = "UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: RPI-RP2\r\n"
_FILES_AT = 0x12C000  # on a Pico W
_FILES_OCTETS = 848 << 10


class Pico:
    """A boot loader's drive that goes as soon as it has every block. flash: offset -> octets, as they came."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.flash: dict[int, bytes] = {}
        self._is_over = threading.Event()
        (folder / "INFO_UF2.TXT").write_text(_ABOUT)
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._is_over.wait(0.02):
            for path in self.folder.glob("*.uf2"):
                data = path.read_bytes()
                if len(data) >= 512 and len(data) == 512 * struct.unpack_from("<I", data, 24)[0]:
                    file = read_uf2(path, data)
                    assert file
                    self.flash = {address - 0x10000000: page for address, page in file.pages.items()}
                    (self.folder / "INFO_UF2.TXT").unlink()
                    return

    def close(self) -> None:
        self._is_over.set()
        self._thread.join()


@pytest.fixture
def pico(tmp_path: Path) -> Iterator[Pico]:
    folder = tmp_path / "RPI-RP2"
    folder.mkdir()
    board = Pico(folder)
    yield board
    board.close()


@pytest.fixture
def firmware(tmp_path: Path) -> Path:
    path = tmp_path / "RPI_PICO_W-20250911-v1.26.1.uf2"
    path.write_bytes(uf2(_RP2040))
    return path


def flash(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, dict[str, Any]]:
    """Run `sipmote flash`, which has to come out well, and return its events by their names."""
    code = main(["flash", "--json", *map(str, arguments)])
    said = capsys.readouterr()
    assert code == 0, said.err
    return {event["event"]: event for event in map(json.loads, said.out.splitlines())}


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["flash", "--json", *map(str, arguments)]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_a_file_is_copied_as_it_is_and_the_drive_waited_for(
    pico: Pico, firmware: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = flash(capsys, "--firmware", firmware, "--drive", pico.folder)
    assert (pico.folder / "firmware.uf2").read_bytes() == firmware.read_bytes()
    assert said["flashed"]["chip"] == "rp2040" and said["flashed"]["version"] == "v1.26.1"
    assert not (pico.folder / "INFO_UF2.TXT").exists()


def test_a_program_comes_in_the_same_file(
    pico: Pico, firmware: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "boiler.py"
    program.write_text("print('hello')\n")
    settings = ("--set", "aor=sip:boiler@example.org", "--set", "to=sip:desk@example.org")
    wanted = ("--firmware", firmware, "--drive", pico.folder, "--deploy", program, *settings)
    assert "can't be seen" in fails(capsys, *wanted)
    flash(capsys, *wanted, "--erase")
    octets = b"".join(pico.flash[at] for at in range(_FILES_AT, _FILES_AT + _FILES_OCTETS, 256))
    found = read_by_micropython(octets, tmp_path, 256)
    assert found["/main.py"] == hashlib.sha256(program.read_bytes()).hexdigest()
    assert b"MicroPython v1.26.1" in b"".join(page for at, page in pico.flash.items() if at < _FILES_AT)


def test_erase_leaves_nothing_of_the_files(pico: Pico, firmware: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flash(capsys, "--firmware", firmware, "--drive", pico.folder, "--erase")
    assert {pico.flash[at] for at in range(_FILES_AT, _FILES_AT + _FILES_OCTETS, 256)} == {b"\xff" * 256}


def test_what_does_not_fit_is_refused_before_a_copy(
    pico: Pico, firmware: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(data: bytes) -> str:
        firmware.write_bytes(data)
        return fails(capsys, "--firmware", firmware, "--drive", pico.folder)

    whole = firmware.read_bytes()
    assert "has an rp2040, and this firmware is for rp2350" in refused(uf2(_RP2350))
    assert "RISC-V" in refused(uf2(0xE48BFF5A))
    assert "isn't whole" in refused(whole[:-512])
    assert "damaged at octet 512" in refused(whole[:600])
    assert "damaged at octet 1024" in refused(whole[:1024] + b"x" + whole[1025:])
    assert "more than one kind" in refused(whole + uf2(_RP2350))
    assert "leave --drive out" in refused(esp_image())
    (pico.folder / "INFO_UF2.TXT").write_text("UF2 Bootloader\nBoard-ID: nRF52840-Feather\n")
    assert "hold BOOTSEL" in refused(whole)
    assert list(pico.folder.glob("*.uf2")) == []


def test_a_block_for_the_rp2350_alone_stays_in_front(tmp_path: Path) -> None:
    data = uf2(_ABSOLUTE, pages=1) + uf2(_RP2350)
    file = read_uf2(tmp_path / "x.uf2", data)
    assert file and file.chip == "rp2350"
    assert file.with_part(0x180000, b"").startswith(data) and len(file.with_part(0x180000, b"")) == len(data)
    assert file.with_part(0x180000, b"x" * 300)[:512] == data[:512]


def test_a_drive_that_stays_has_not_taken_the_file(
    tmp_path: Path, firmware: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(drive, "_APPEARS_S", 0.3)
    (tmp_path / "INFO_UF2.TXT").write_text(_ABOUT)
    assert "didn't take the file" in fails(capsys, "--firmware", firmware, "--drive", tmp_path)


def test_without_a_drive_one_is_told_how_to_get_it(
    firmware: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(drive, "_mounted", list)
    assert "hold BOOTSEL while you plug the board in" in fails(capsys, "--firmware", firmware)


def test_a_board_that_runs_micropython_is_started_in_its_boot_loader(
    pico: Pico, firmware: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mounted: list[Path] = []
    machine = types.ModuleType("machine")
    machine.bootloader = lambda: mounted.append(pico.folder)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "machine", machine)
    monkeypatch.setattr(drive, "_mounted", lambda: mounted)
    with FakeBoard() as board:
        assert flash(capsys, "--firmware", firmware, "--port", board.port)["flashed"]["drive"] == str(pico.folder)


def test_two_boards_in_their_boot_loaders_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, firmware: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
        (folder / "INFO_UF2.TXT").write_text(_ABOUT)
    monkeypatch.setattr(drive, "_mounted", lambda: folders)
    assert "--drive" in fails(capsys, "--firmware", firmware)


def test_a_drive_that_goes_in_the_middle_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "INFO_UF2.TXT").write_text(_ABOUT)
    found = drive.drive_at(tmp_path)
    assert found
    calls = iter(range(100))

    def fail(descriptor: int) -> None:
        if next(calls) == 2:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(ToolError, match="Input/output error, at 19 % of the file: hold BOOTSEL"):
        drive.copy_to(found, bytes(1_000_000), Output(as_json=True))
