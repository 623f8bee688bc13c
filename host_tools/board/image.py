"""A board's file system made on this machine, with its files in it, to be written in one go with the firmware."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from littlefs import LittleFS, LittleFSError

from sipmote.board.compile import compile_packages
from sipmote.board.config import Config
from sipmote.board.files import MARK, boot_file
from sipmote.board.needed import needed
from sipmote.board.plan import folders
from sipmote.board.survey import mark_of
from sipmote.errors import ToolError

_DISK_VERSION = 0x00020000  # the older of two: MicroPython before 1.23 mounts no other
_READ = 32  # octets; how MicroPython calls littlefs, micropython/micropython extmod/vfs_lfs.c and vfs_lfsx.c
_LOOKAHEAD = 32
_CYCLES = 100
_MORE = 8  # blocks, when a guess of how many are needed was too low
_NO_SPACE = -28


def make_image(files: dict[str, bytes], octets: int, block: int, program: int) -> bytes:
    """Return the first blocks of a littlefs of so many octets that holds these files; what follows them is free.

    files: path on the board -> what it holds. block, program: octets that are erased, and programmed, at once.
    Raises ToolError when they don't fit.
    """
    total = octets // block
    count = min(total, 4 + 2 * len(folders(files)) + sum(-(-len(data) // block) for data in files.values()))
    while True:
        try:
            return _fill(files, count, total, block, program)
        except LittleFSError as error:
            if error.code != _NO_SPACE:
                raise
        if count == total:
            whole = sum(map(len, files.values()))
            raise ToolError(f"{len(files)} files of {whole} octets don't fit into the board's file system of {octets}")
        count = min(total, count + _MORE)


def _fill(files: dict[str, bytes], count: int, total: int, block: int, program: int) -> bytes:
    """Return an image; it grows to `total` blocks once all is in the first `count`, where littlefs would scatter it."""
    filesystem = LittleFS(
        block_size=block,
        block_count=count,
        read_size=_READ,
        prog_size=program,
        cache_size=4 * max(_READ, program),  # a small file lies in its folder up to this size, on the board as here
        lookahead_size=_LOOKAHEAD,
        block_cycles=_CYCLES,
        disk_version=_DISK_VERSION,
    )
    for folder in folders(files):
        filesystem.mkdir(folder)
    for path, data in sorted(files.items()):
        with filesystem.open(str(PurePosixPath(path)), "wb") as file:
            file.write(data)
    filesystem.fs_grow(total)
    filesystem.unmount()
    image = bytes(filesystem.context.buffer).rstrip(b"\xff")
    return image + b"\xff" * (-len(image) % block)


def files_of_a_board(own: dict[str, bytes], config: Config, ours: Iterable[str] = ()) -> dict[str, bytes]:
    """Return path -> octets of all that a board holds after its first deploy.

    own: its program and configuration, which config is. ours: modules of our packages that the program imports.
    """
    modules = needed(config, ours, lean=False)
    packages = {path: data for path, data in compile_packages().items() if path in modules}
    files = {**packages, "/boot.py": boot_file(), **own}
    return {**files, MARK: mark_of(files).encode()}
