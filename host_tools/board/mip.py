"""Packages of micropython-lib, fetched by mpremote's mip onto this machine, to go onto a board with all the rest."""

import contextlib
import socket
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mpremote import mip  # type: ignore[import-untyped]
from mpremote.commands import CommandError  # type: ignore[import-untyped]

from sipmote.errors import ToolError

_LIB = "/lib"
_INDEX = mip._PACKAGE_INDEX
_TIMEOUT_S = 30

mip.print = lambda *words: None  # what it says would be in the middle of our own words


class _Shelf:
    """What mip takes for a board; it only keeps what is written to it. files: path on the board -> octets."""

    def __init__(self, mpy: int) -> None:
        self.files: dict[str, bytes] = {}
        self._mpy = mpy

    def exec(self, script: str) -> None:
        """It imports sys."""

    def eval(self, expression: str) -> int:
        """It asks for the .mpy version."""
        return self._mpy

    def fs_exists(self, path: str) -> bool:
        return True

    def fs_hashfile(self, path: str, algorithm: str) -> bytes:
        raise FileNotFoundError

    def fs_writefile(self, path: str, data: bytes, progress_callback: Any) -> None:
        self.files[path] = data


def fetch(names: Iterable[str], packages: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return path on the board -> octets of these packages, and of those that they depend on. Raises ToolError.

    names: as mpremote mip takes them: NAME, NAME@VERSION, github:ORG/REPO, a URL, the path of a package.json. packages:
    ours, which are for the same .mpy version.
    """
    shelf = _Shelf(next(data[1] for data in packages.values()))
    for whole in names:
        name, _, version = whole.partition("@") if "://" not in whole else (whole, "", "")
        try:
            with _timeout():
                mip._install_package(shelf, name, _INDEX, _LIB, version or None, True)
        except (CommandError, OSError, ValueError) as error:
            raise ToolError(f"--mip {whole}: {error or 'no such package'}") from None
    wrong = [path for path in shelf.files if ".." in path.split("/")]
    if wrong:
        raise ToolError(f"--mip: a package wants to be at {wrong[0]}, which is outside of {_LIB}")
    return shelf.files


@contextlib.contextmanager
def _timeout() -> Iterator[None]:
    """mip itself would wait for a silent server for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
