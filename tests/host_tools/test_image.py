"""A file system made here, mounted by MicroPython."""

import hashlib
import random
from pathlib import Path

import pytest

from sipmote.board.config import encode_config
from sipmote.board.image import files_of_a_board, make_image
from sipmote.errors import ToolError
from tests.host_tools.mounted import read_by_micropython
from tests.host_tools.virtual import virtual_board
from tests.tools import Tool

_SIZES = (0, 1, 127, 128, 129, 511, 512, 513, 1023, 1024, 1025, 4095, 4096, 4097, 8192, 30_000, 100_000)


@pytest.mark.parametrize("program", (32, 256), ids=["ESP32", "Pico"])
def test_micropython_reads_files_of_all_sizes(program: int, tmp_path: Path) -> None:
    """Up to some size littlefs keeps a file in its folder, and the board has to have the same idea of it."""
    dice = random.Random(program)
    files = {f"/lib/some/{size}.bin": dice.randbytes(size) for size in _SIZES}
    files |= {f"/small{number}": bytes([number]) * 30 for number in range(40)} | {"/größe.txt": b"x"}
    image = make_image(files, 1 << 20, 4096, program)
    assert len(image) % 4096 == 0
    octets = image + dice.randbytes((1 << 20) - len(image))  # what was there before
    found = read_by_micropython(octets, tmp_path, program)
    assert found == {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}


def test_what_is_in_use_comes_first_so_that_little_is_written() -> None:
    files = {f"/lib/{number}.mpy": b"x" * 2000 for number in range(50)}
    assert len(make_image(files, 14 << 20, 4096, 32)) < 70 * 4096


def test_the_same_files_make_the_same_image() -> None:
    files = {"/boot.py": b"", "/lib/mote/__init__.mpy": b"M" * 5000}
    assert make_image(files, 1 << 20, 4096, 32) == make_image(files, 1 << 20, 4096, 32)


def test_files_that_do_not_fit_are_told() -> None:
    with pytest.raises(ToolError, match="don't fit"):
        make_image({"/data": bytes(300_000)}, 256 << 10, 4096, 32)


def test_a_deploy_finds_nothing_to_send_on_a_board_that_came_with_its_files(tmp_path: Path) -> None:
    program = tmp_path / "boiler.py"
    program.write_text("print('hello')\n")
    config = tmp_path / "mote.json"
    config.write_bytes(encode_config({"aor": "sip:boiler@example.org", "to": "sip:desk@example.org", "bind": "[::]:0"}))
    files = files_of_a_board({"/main.py": program.read_bytes(), "/mote.json": config.read_bytes()}, {})
    for path, data in files.items():
        place = tmp_path / "flash" / path[1:]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    with (
        virtual_board(tmp_path / "flash", "128k") as port,
        Tool("deploy", str(program), "--port", port, "--config", str(config), "--no-start") as tool,
    ):
        assert tool.wait_for(60, event="deployed")["sent"] == 0
