"""R0-P18: packages in ROMFS, where the firmware has it; what is a person's stays there."""

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sipmote.__main__ import main
from sipmote.board import romfs
from tests.host_tools.deploying import NAMES, Deploy, small_packages
from tests.host_tools.virtual import virtual_board

_OURS = ["/lib/agent/__init__.mpy", "/lib/agent/uri.mpy", "/lib/mote/__init__.mpy"]


class Rom:
    """A board with a ROMFS partition."""

    def __init__(self, port: str, flash: Path) -> None:
        self.port = port
        self.flash = flash
        self._file = flash.with_name("flash.romfs")

    def holds(self) -> bytes:
        return self._file.read_bytes()

    def write(self, data: bytes) -> None:
        """Change what the VM has mapped."""
        with self._file.open("r+b") as file:
            file.write(data)

    def files(self) -> list[str]:
        """Return the packages' files in the file system."""
        return sorted(f"/{path.relative_to(self.flash)}" for path in self.flash.rglob("lib/*/*.mpy"))


@pytest.fixture
def rom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rom]:
    small_packages(tmp_path / "source", monkeypatch)
    (tmp_path / "source/micropython/main.py").write_text("import mote\nopen(mote.__file__[:4] + 'x', 'w')\n")
    flash = tmp_path / "flash"
    with virtual_board(flash, "64k", "--romfs", "16k") as port:
        yield Rom(port, flash)


def test_packages_go_into_romfs_and_the_program_finds_them_there(
    rom: Rom, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    program = tmp_path / "boiler.py"
    program.write_text("import mote\nprint('from', mote.__file__)\nmote.gone\n")
    deploy = Deploy(capsys)
    first = deploy(rom.port, str(program), *NAMES, code=1)
    assert first["/rom"] == "sent" and rom.files() == []
    assert "AttributeError" in deploy.said or first[""]["event"] == "ended"
    again = deploy(rom.port, str(program), *NAMES, code=1)
    assert again["/rom"] == "same"
    program.write_text("import mote\nwith open('/where', 'w') as file:\n    file.write(mote.__file__)\n")
    deploy(rom.port, str(program))
    assert (rom.flash / "where").read_text() == "/rom/lib/mote/__init__.mpy"


def test_other_packages_are_in_the_file_system_only_until_romfs_has_them(
    rom: Rom, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    deploy = Deploy(capsys)
    deploy(rom.port, *NAMES)
    (tmp_path / "source/agent/uri.py").write_text("def parse(x):\n    return 5\n")
    second = deploy(rom.port)
    assert second["/rom"] == "sent"
    assert [second[path] for path in _OURS] == ["removed"] * 3  # the last that was said of them
    assert rom.files() == []


def test_no_romfs_takes_the_packages_back_into_the_file_system(rom: Rom, capsys: pytest.CaptureFixture[str]) -> None:
    deploy = Deploy(capsys)
    deploy(rom.port, *NAMES)
    assert "/rom" not in deploy(rom.port, "--no-romfs")
    assert rom.files() == _OURS
    assert not rom.holds().startswith(romfs._HEADER)


def test_what_somebody_else_has_put_into_romfs_stays_unless_it_is_to_go(
    rom: Rom, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = romfs.VfsRomWriter()
    writer.mkfile("mine.txt", b"mine")
    theirs = bytes(writer.finalise())
    rom.write(theirs)
    deploy = Deploy(capsys)
    deploy(rom.port, *NAMES)
    assert "holds something else (--romfs puts the packages in its place)" in deploy.said
    assert rom.holds().startswith(theirs) and rom.files() == _OURS
    assert deploy(rom.port, "--romfs")["/rom"] == "sent"
    assert rom.files() == [] and b"mine" not in rom.holds()


def test_a_dry_run_says_that_romfs_would_be_written_and_leaves_it(rom: Rom, capsys: pytest.CaptureFixture[str]) -> None:
    before = rom.holds()
    assert Deploy(capsys)(rom.port, "--dry-run", *NAMES)["/rom"] == "send"
    assert rom.holds() == before


def test_romfs_that_does_not_take_what_is_sent_leaves_the_packages_in_the_file_system(
    rom: Rom, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    deploy = Deploy(capsys)
    deploy(rom.port, *NAMES)
    (tmp_path / "source/agent/uri.py").write_text("def parse(x):\n    return 5\n")
    monkeypatch.setattr(romfs, "_ACCESS", romfs._ACCESS.replace("(4,0,at,data)", "(4,0,at,data[1:])"))
    assert "ROMFS did not take what was sent: try again, or --no-romfs" in deploy.fails(rom.port)
    assert rom.files() == _OURS and not rom.holds().startswith(romfs._HEADER)


def test_a_partition_that_is_too_small_or_absent_is_named(
    rom: Rom, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with virtual_board(tmp_path / "other") as port:
        assert "no ROMFS: leave --romfs out" in Deploy(capsys).fails(port, "--romfs", *NAMES)
    (tmp_path / "source/agent/large.py").write_text(f"TEXT = '{'x' * 20000}'\n")
    (tmp_path / "source/agent/uri.py").write_text("import agent.large\n\n\ndef parse(x):\n    return x\n")
    deploy = Deploy(capsys)
    deploy(rom.port, *NAMES)
    assert "has 16384 octets, the packages need 20480 (less with --lean): the packages go into the file" in deploy.said
    assert len(rom.files()) == 4


def test_uninstall_leaves_nothing_of_ours_in_romfs(rom: Rom, capsys: pytest.CaptureFixture[str]) -> None:
    Deploy(capsys)(rom.port, *NAMES)
    assert main(["uninstall", "--port", rom.port, "--yes"]) == 0
    assert not rom.holds().startswith(romfs._HEADER)


class _Flash(bytearray):
    """A partition that is a block device, as on esp32 and rp2: whole pages alone, and only bits to 0 but by erasing."""

    def ioctl(self, request: int, block: int) -> int:
        if request == 6:
            self[block * 4096 : (block + 1) * 4096] = b"\xff" * 4096
        return {5: 4096, 6: 0}[request]

    def writeblocks(self, block: int, data: bytes, offset: int) -> None:
        assert offset % 256 == 0 and len(data) % 256 == 0 and offset + len(data) <= 4096
        for at, octet in enumerate(data, block * 4096 + offset):
            self[at] &= octet


def test_a_block_device_is_written_in_whole_pages_and_its_header_last(monkeypatch: pytest.MonkeyPatch) -> None:
    image = romfs.image_of({"/lib/agent/a.mpy": bytes(range(256)) * 20, "/lib/mote/net/b.mpy": b"M"})
    flash = _Flash(bytes(4 * 4096))
    vfs = types.SimpleNamespace(rom_ioctl=lambda request, partition: flash, umount=lambda path: None)
    monkeypatch.setitem(sys.modules, "vfs", vfs)
    board: dict[str, Any] = {}
    exec(romfs._ACCESS, board)
    assert board["erase"](len(image)) == 4
    for at, data in romfs._chunks(image, 4):
        board["write"](at, data)
    assert not board["begins"]() and flash[4 : len(image)] == image[4:]
    board["write"](0, image[:4])
    assert flash.startswith(image) and flash[8192:] == bytes(8192)  # blocks that it doesn't need stay
    exec(romfs._INVALIDATE, board)
    assert not board["begins"]()
