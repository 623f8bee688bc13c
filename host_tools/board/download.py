"""Firmware from micropython.org, by mpflash, a package of its own that who wants it installs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from sipmote.board.profiles import profiles
from sipmote.console import Output
from sipmote.errors import ToolError

_PAGE = "https://micropython.org/download/"


def board_with(chip: str) -> str:
    """Return micropython.org's name of what most boards with a chip, e.g. "esp32c3", take. Raises ToolError."""
    for profile in profiles():
        if profile.chip == chip and profile.filesystem:
            return profile.key.upper()
    raise ToolError(f"the board has an {chip}, and none is known that has: name the firmware with --firmware FILE")


def fetch_firmware(board: str, folder: Path, output: Output) -> Path:
    """Return the file of the newest stable firmware of a board, e.g. "ESP32_GENERIC". Raises ToolError.

    folder: where it is kept.
    """
    board = board.upper()
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    mpflash = shutil.which("mpflash", path=places)
    if mpflash is None:
        raise ToolError(
            f"download {board} from {_PAGE}{board}/ and name the file with --firmware; to have it fetched, install "
            "what does it: pip install 'sipmote[firmware]'"
        )
    output.say(None, f"fetching {board} from micropython.org")
    options = ["--no-interactive", "--dir", str(folder), "download", "--no-clean", "--version", "stable"]
    done = subprocess.run(
        [mpflash, *options, "--board", board],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    files = sorted(folder.rglob(f"{board}-[0-9]*-v*.*"), key=lambda path: path.stat().st_mtime)
    files = [path for path in files if path.suffix in (".bin", ".uf2")]
    if done.returncode or not files:
        said = (done.stdout + done.stderr).strip().splitlines() or ["it gave no reason"]
        raise ToolError(f"mpflash could not fetch {board} ({said[-1].strip()}): take a file from {_PAGE} yourself")
    return files[-1]
