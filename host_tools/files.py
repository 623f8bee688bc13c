"""Where our files are: the rooms beside this one, and what a person has told us; and how they are written whole."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sipmote.errors import ToolError


def rooms() -> Path:
    """Return the folder that holds agent, micropython and boards: a clone's, or in an installed package its own."""
    here = Path(__file__).resolve().parent
    return here if (here / "agent").is_dir() else here.parent


def data_folder() -> Path:
    """Return where messages and names are kept when nobody says where."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "sipmote"


@contextlib.contextmanager
def alone(target: Path) -> Iterator[None]:
    """Keep others who do the same out meanwhile: each would write the file without what the other puts into it.

    Raises ToolError where there is no folder for it.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    try:
        folder = os.open(target.parent, os.O_RDONLY)
    except OSError as error:
        raise ToolError(f"can't write {target}: {error.strerror}") from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def write_whole(target: Path, text: str) -> None:
    """Put a text in place of a file, all of it or nothing: its owner's alone, or for those who could read it before.

    Raises ToolError.
    """
    try:
        handle, temporary = tempfile.mkstemp(prefix=target.name, dir=target.parent)  # with mode 0600
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(handle)
        with contextlib.suppress(OSError):  # who reads it now is to read it then
            found = target.stat()
            os.chown(temporary, found.st_uid, found.st_gid)
            os.chmod(temporary, found.st_mode & 0o640)
        os.replace(temporary, target)
    except OSError as error:
        raise ToolError(f"can't write {target}: {error.strerror}") from None
