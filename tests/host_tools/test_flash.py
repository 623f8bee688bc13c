"""Flashing by unmodified esptool, against a simulated ROM loader behind a pseudo-terminal."""

import hashlib
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sipmote.__main__ import main
from sipmote.board.config import encode_config
from sipmote.board.firmware import read_firmware
from sipmote.board.image import files_of_a_board
from sipmote.commands import flash as flash_command
from sipmote.errors import ToolError
from sipmote.link.port import close_port, open_port
from tests.host_tools import made_firmware
from tests.host_tools.made_firmware import esp_image
from tests.host_tools.mounted import read_by_micropython
from tests.host_tools.rom_loader import ESP32, ESP32_C3, RomLoader
from tests.host_tools.virtual import virtual_board
from tests.interop.peers import wait_until
from tests.tools import Tool

_FILES_AT = 0x190000  # where a made image leaves room for MicroPython's file system
_CONFIG = {"aor": "sip:boiler@example.org", "to": "sip:desk@example.org"}
_LITTLEFS = bytes(8) + b"littlefs" + bytes(100)


@pytest.fixture
def board() -> Iterator[RomLoader]:
    with RomLoader(ESP32) as loader:
        yield loader


@pytest.fixture
def firmware(tmp_path: Path) -> Path:
    path = tmp_path / "ESP32_GENERIC-20250911-v1.26.1.bin"
    path.write_bytes(esp_image())
    return path


class Flash:
    """`sipmote flash --json` in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: object) -> dict[str, dict[str, Any]]:
        """Return the events by their names; it has to come out well."""
        code = main(["flash", "--json", *map(str, arguments)])
        said = self._capsys.readouterr()
        assert code == 0, said.err
        return {event["event"]: event for event in map(json.loads, said.out.splitlines())}

    def fails(self, *arguments: object) -> str:
        """Return the one line on stderr."""
        assert main(["flash", "--json", *map(str, arguments)]) == 1
        said = self._capsys.readouterr().err
        assert said.count("\n") == 1
        return said


@pytest.fixture
def flash(capsys: pytest.CaptureFixture[str]) -> Flash:
    return Flash(capsys)


@pytest.mark.parametrize(
    ("chip", "made"), [(ESP32, made_firmware.ESP32), (ESP32_C3, made_firmware.ESP32_C3)], ids=["ESP32", "ESP32-C3"]
)
def test_firmware_is_written_where_its_chip_begins_and_nowhere_else(
    chip: Any, made: tuple[int, int], tmp_path: Path, flash: Flash
) -> None:
    image = esp_image(made)
    path = tmp_path / "firmware.bin"
    path.write_bytes(image)
    offset = made[1]
    with RomLoader(chip) as board:
        board.put(0, b"\0" * 0x190000)  # what was there before
        said = flash("--port", board.port, "--firmware", path)
        assert bytes(board.flash[offset : offset + len(image)]) == image
        assert set(board.flash[:offset]) <= {0}
        assert set(board.flash[-(-(offset + len(image)) // 4096) * 4096 : 0x190000]) == {0}
        assert set(board.flash[0x190000:]) == {0xFF}
        assert board.bauds[-1] == 460800
    assert said["firmware"]["sha256"] == hashlib.sha256(image).hexdigest()
    assert said["firmware"]["version"] == "v1.26.1"
    assert said["board"] | {"port": "", "mac": ""} == {
        "event": "board",
        "port": "",
        "mac": "",
        "chip": said["firmware"]["chip"],
        "flash_bytes": 4 << 20,
        "holds": "nothing",
    }
    assert said["flashed"]["bytes"] == len(image)


@pytest.mark.parametrize(
    "damage", [lambda image: image[:100_000], lambda image: image[:90_000] + b"x" + image[90_001:]]
)
def test_a_file_that_is_not_whole_is_refused_before_the_board_is_asked(damage: Any, tmp_path: Path) -> None:
    """R0-P18: a download that broke off would go over a firmware that works."""
    path = tmp_path / "firmware.bin"
    path.write_bytes(damage(esp_image(made_firmware.ESP32)))
    with pytest.raises(ToolError, match="is damaged, or not all of it is there"):
        read_firmware(path)


def test_firmware_of_another_chip_is_refused_before_a_write(tmp_path: Path, board: RomLoader, flash: Flash) -> None:
    path = tmp_path / "firmware.bin"
    path.write_bytes(esp_image(made_firmware.ESP32_C3))
    said = flash.fails("--port", board.port, "--firmware", path)
    assert "has an ESP32, and this firmware is for an ESP32-C3" in said
    assert board.erased == [] and set(board.flash) == {0xFF}


def test_a_board_that_stays_silent_is_told_how_to_get_into_its_boot_loader(firmware: Path, flash: Flash) -> None:
    with RomLoader(ESP32, deaf=True) as board:
        said = flash.fails("--port", board.port, "--firmware", firmware)
    assert "hold BOOT (IO0) while you press reset (EN)" in said
    assert "doesn't start" not in said  # nothing was written


def test_a_flash_that_was_cut_is_told_and_repaired_by_the_next(firmware: Path, board: RomLoader, flash: Flash) -> None:
    image = firmware.read_bytes()
    board.dies_after = 80_000
    said = flash.fails("--port", board.port, "--firmware", firmware)
    assert "doesn't start until it has been flashed whole: run the same again" in said
    assert "--baud 115200" in said
    assert bytes(board.flash[0x1000 : 0x1000 + len(image)]) != image
    board.press_reset()
    flash("--port", board.port, "--firmware", firmware, "--baud", 115200)
    assert bytes(board.flash[0x1000 : 0x1000 + len(image)]) == image


def test_a_cable_that_is_pulled_is_told(firmware: Path, board: RomLoader) -> None:
    firmware.write_bytes(esp_image(octets=1_500_000))
    with Tool("flash", "--port", board.port, "--firmware", str(firmware)) as tool:
        wait_until(lambda: board.flash[0x20000] != 0xFF, tool.transcript)
        board.pull_cable()
        assert tool.wait() == 1
        assert len(tool.complaints) == 1 and "run the same again" in tool.complaints[0]
        assert any(remedy in tool.complaints[0] for remedy in ("check the cable", "another cable"))


def test_a_line_that_breaks_before_anything_was_lost_is_tried_once_more(
    firmware: Path, board: RomLoader, flash: Flash
) -> None:
    image = firmware.read_bytes()
    board.mistakes = 1
    flash("--port", board.port, "--firmware", firmware)
    assert bytes(board.flash[0x1000 : 0x1000 + len(image)]) == image
    board.press_reset()
    board.mistakes = 2
    assert "broke down" in flash.fails("--port", board.port, "--firmware", firmware)


def test_flash_that_does_not_keep_what_it_is_sent_is_noticed(firmware: Path, board: RomLoader, flash: Flash) -> None:
    board.is_worn = True
    assert "broke down" in flash.fails("--port", board.port, "--firmware", firmware)


def test_ctrl_c_ends_esptool_as_well_and_says_what_is_left(firmware: Path, board: RomLoader) -> None:
    firmware.write_bytes(esp_image(octets=1_500_000))
    with Tool("flash", "--port", board.port, "--firmware", str(firmware)) as tool:
        wait_until(lambda: board.flash[0x20000] != 0xFF, tool.transcript)
        assert tool.interrupt() == 128 + signal.SIGINT
        assert any("interrupted; the board doesn't start until" in line for line in tool.complaints)
    close_port(open_port(board.port))  # esptool has let go of it


def test_what_is_no_micropythons_stays_until_erase_is_said(firmware: Path, board: RomLoader, flash: Flash) -> None:
    board.put(_FILES_AT, b"another firmware's data" * 300)
    said = flash.fails("--port", board.port, "--firmware", firmware)
    assert "--erase" in said
    assert board.erased == []
    done = flash("--port", board.port, "--firmware", firmware, "--erase")
    assert done["board"]["holds"] is None and done["flashed"]["erased"] is True
    assert board.erased[0] == (0, 4 << 20)
    assert set(board.flash[_FILES_AT:]) == {0xFF}


def test_files_of_a_board_stay_when_its_firmware_is_renewed(firmware: Path, board: RomLoader, flash: Flash) -> None:
    board.put(_FILES_AT, _LITTLEFS)
    assert flash("--port", board.port, "--firmware", firmware)["board"]["holds"] == "files"
    assert bytes(board.flash[_FILES_AT:]).startswith(_LITTLEFS)


def test_a_firmware_is_checked_before_a_port_is_opened(tmp_path: Path, firmware: Path, flash: Flash) -> None:
    def refused(data: bytes, *arguments: str) -> str:
        path = tmp_path / "firmware.bin"
        path.write_bytes(data)
        return flash.fails("--port", "/dev/null", "--firmware", path, *arguments)

    image = esp_image()
    assert "can't read" in flash.fails("--firmware", tmp_path / "none.bin")
    assert "is no firmware" in refused(b"PK\3\4 a zip file" * 5000)
    assert "is no firmware" in refused(b"")
    assert "without its bootloader" in refused(image[0xF000:])
    assert "holds no MicroPython" in refused(image.replace(b"MicroPython", b"CircuitPy  "))
    assert "a copy of a whole flash" in refused(image + b"\xff" * (2 << 20))
    assert "needs 1.24 or later" in refused(esp_image(version="v1.19.1"))
    assert "chip number 77" in refused(esp_image((77, 0)))
    assert "download it again" in refused(image, "--sha256", "00" * 32)
    assert "goes with --deploy" in refused(image, "--config", "mote.json")


def test_a_virtual_board_is_not_flashed(tmp_path: Path, firmware: Path, flash: Flash) -> None:
    with virtual_board(tmp_path / "flash") as port:
        assert "use deploy" in flash.fails("--port", port, "--firmware", firmware)


def test_a_board_comes_with_its_program_in_one_write(
    tmp_path: Path, firmware: Path, board: RomLoader, flash: Flash, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A MicroPython mounts what is in the flash and finds all that a first deploy would have put there."""
    program = tmp_path / "boiler.py"
    program.write_text("print('hello')\n")
    settings = ("--set", "aor=sip:boiler@example.org", "--set", "to=sip:desk@example.org", "--wifi", "Home")
    monkeypatch.setenv("SIPMOTE_WIFI_PASSWORD", "garden gnome")
    said = flash("--port", board.port, "--firmware", firmware, "--deploy", program, *settings)
    config = {**_CONFIG, "wifi": [["Home", "garden gnome"]]}
    files = files_of_a_board({"/main.py": program.read_bytes(), "/mote.json": encode_config(config)}, config)
    assert said["flashed"]["files"] == len(files)
    assert read_by_micropython(bytes(board.flash[_FILES_AT:]), tmp_path) == {
        path: hashlib.sha256(data).hexdigest() for path, data in files.items()
    }
    assert board.erased[-1][0] == _FILES_AT and len(board.erased) == 2  # both parts by one esptool


def test_files_that_a_program_would_replace_are_not_lost_without_a_word(
    tmp_path: Path, firmware: Path, board: RomLoader, flash: Flash
) -> None:
    program = tmp_path / "boiler.py"
    program.write_text("print('hello')\n")
    board.put(_FILES_AT, _LITTLEFS)
    wanted = ("--port", board.port, "--firmware", firmware, "--deploy", program)
    assert "needs the configuration as well" in flash.fails(*wanted)
    wanted += ("--set", "aor=sip:boiler@example.org", "--set", "to=sip:desk@example.org")
    said = flash.fails(*wanted)
    assert "--backup DIR" in said and "--erase" in said
    assert board.erased == []
    board.dies_after = 200_000  # in the middle of the files
    assert "run the same again" in flash.fails(*wanted, "--erase")
    board.press_reset()
    flash(*wanted, "--erase")
    assert read_by_micropython(bytes(board.flash[_FILES_AT:]), tmp_path)["/main.py"]


def test_a_partition_of_the_firmware_tells_where_files_go(tmp_path: Path, board: RomLoader, flash: Flash) -> None:
    path = tmp_path / "firmware.bin"
    path.write_bytes(esp_image(vfs=(0x200000, 0x100000)))
    program = tmp_path / "boiler.py"
    program.write_text("print('hello')\n")
    settings = ("--set", "aor=sip:boiler@example.org", "--set", "to=sip:desk@example.org")
    flash("--port", board.port, "--firmware", path, "--deploy", program, *settings)
    assert read_by_micropython(bytes(board.flash[0x200000:0x300000]), tmp_path)["/mote.json"]


def test_a_board_with_too_little_flash_is_refused(tmp_path: Path, flash: Flash) -> None:
    path = tmp_path / "firmware.bin"
    path.write_bytes(esp_image(vfs=(0x100000, 0x200000)))
    with RomLoader(ESP32, flash_octets=2 << 20) as board:
        assert "2048 KiB of flash, too little" in flash.fails("--port", board.port, "--firmware", path)
        path.write_bytes(esp_image(vfs=(0x200000, 0x100000)))
        assert "too small" in flash.fails("--port", board.port, "--firmware", path)
        assert board.erased == []


@pytest.fixture
def mpflash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in mpflash's place: it notes its arguments in the file that this gives, and fetches a made image."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "made.bin").write_bytes(esp_image(made_firmware.ESP32_C3))
    program = tmp_path / "bin" / "mpflash"
    program.write_text(
        f"""#!{sys.executable}
import pathlib, shutil, sys
options = dict(zip(sys.argv[1:], sys.argv[2:]))
pathlib.Path({str(tmp_path / "asked")!r}).write_text(" ".join(sys.argv[1:]))
if options["--board"] == "NO_SUCH":
    sys.exit("No firmwares found")
folder = pathlib.Path(options["--dir"], "esp32")
folder.mkdir(parents=True, exist_ok=True)
for name in ("", "-SPIRAM"):
    shutil.copy({str(tmp_path / "made.bin")!r}, folder / (options["--board"] + name + "-20250911-v1.26.1.bin"))
"""
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setattr(flash_command, "cache_dir", lambda: tmp_path / "cache")
    return tmp_path / "asked"


def test_firmware_is_fetched_for_the_chip_that_is_there(mpflash: Path, flash: Flash) -> None:
    with RomLoader(ESP32_C3) as board:
        said = flash("--port", board.port)
        assert said["firmware"]["file"].endswith("/ESP32_GENERIC_C3-20250911-v1.26.1.bin")
        assert said["flashed"]["chip"] == "esp32c3"
        flash("--port", board.port, "--board", "esp32_generic_c3")
    assert "--board ESP32_GENERIC_C3" in mpflash.read_text() and "--version stable" in mpflash.read_text()


def test_firmware_that_can_not_be_fetched_is_told_where_to_get(mpflash: Path, flash: Flash, tmp_path: Path) -> None:
    assert "could not fetch NO_SUCH (No firmwares found)" in flash.fails("--port", "/dev/null", "--board", "NO_SUCH")
    (tmp_path / "bin" / "mpflash").unlink()
    said = flash.fails("--port", "/dev/null", "--board", "ESP32_GENERIC")
    assert "https://micropython.org/download/ESP32_GENERIC/" in said and "sipmote[firmware]" in said
