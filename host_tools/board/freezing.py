"""What who builds a firmware of his own freezes into it: our packages as they would be deployed, and a manifest."""

import shutil
from collections.abc import Collection
from pathlib import Path

from sipmote.board.compile import prepared_sources
from sipmote.board.files import FOLDERS
from sipmote.errors import ToolError

_OURS = "# written by sipmote deploy --freeze\n"
# Without the port's own manifest there would be no asyncio. opt=3 leaves line numbers out, as deploy does.
_MANIFEST = (
    _OURS
    + """# make BOARD=... FROZEN_MANIFEST=.../manifest.py, in MicroPython's ports/...
include("$(PORT_DIR)/boards/manifest.py")
"""
)


def freeze(folder: Path, modules: Collection[str]) -> int:
    """Write a manifest, and the sources of these modules, into a folder; returns how many. Raises ToolError.

    modules: paths on the board. A folder is written to only where it is empty, or has been written here before.
    """
    manifest = folder / "manifest.py"
    homes = [folder / place.rpartition("/")[2] for place in FOLDERS]
    try:
        if folder.exists() and any(folder.iterdir()):
            if not manifest.is_file() or not manifest.read_text().startswith(_OURS):
                raise ToolError(f"{folder} has other things in it: name an empty folder")
            for home in homes:
                shutil.rmtree(home, ignore_errors=True)
        for path, text in prepared_sources().items():
            if path in modules:
                file = folder / path.removeprefix("/lib/").replace(".mpy", ".py")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
        packages = "".join(f'package("{home.name}", opt=3)\n' for home in homes)
        manifest.write_text(_MANIFEST + packages)
    except OSError as error:
        raise ToolError(f"can't write to {folder}: {error.strerror}") from None
    return len(modules)
