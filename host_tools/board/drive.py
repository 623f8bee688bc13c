"""Putting firmware onto a Pico: its boot loader is a drive, which takes a file and goes."""

import contextlib
import os
import re
import string
import time
from dataclasses import dataclass
from pathlib import Path

from sipmote.board.firmware import Firmware
from sipmote.board.image import make_image
from sipmote.console import Output, complain
from sipmote.errors import ToolError
from sipmote.link.port import close_port, open_port
from sipmote.link.repl import Board

_ABOUT = "INFO_UF2.TXT"
_CHIPS = {"RPI-RP2": "rp2040", "RP2350": "rp2350"}  # by Board-ID; RP2040 datasheet, chapter 2.8.4, RP2350's, 5.5.3
_APPEARS_S = 20  # until a system has mounted a drive, or has let go of it
_POLL_S = 0.1
_PIECE = 65536
_BOOTSEL = "hold BOOTSEL while you plug the board in, and run this again"
_START = "import machine\nmachine.bootloader()\n"
_SAYS_NOTHING_S = 2


@dataclass(frozen=True)
class Drive:
    """A boot loader's drive: where it is mounted, and of which chip it is."""

    folder: Path
    chip: str

    @property
    def is_there(self) -> bool:
        """Is it still mounted?"""
        try:
            return (self.folder / _ABOUT).exists()
        except OSError:
            return False


def drive_at(folder: Path) -> Drive | None:
    """Return the drive that is mounted there; None where there is none of a Pico."""
    try:
        found = re.search(r"^Board-ID: *(\S+)", (folder / _ABOUT).read_text(errors="replace"), re.MULTILINE)
    except OSError:
        return None
    return Drive(folder, _CHIPS[found[1]]) if found and found[1] in _CHIPS else None


def find_drives() -> list[Drive]:
    """Return the drives of boot loaders that are mounted on this machine."""
    return [drive for drive in map(drive_at, _mounted()) if drive]


def _mounted() -> list[Path]:
    if os.name == "nt":
        return [Path(f"{letter}:/") for letter in string.ascii_uppercase[2:]]
    mounts = Path("/proc/self/mounts")
    if mounts.exists():
        folders = re.findall(r"^\S+ (\S+) vfat ", mounts.read_text(errors="surrogateescape"), re.MULTILINE)
        return [Path(re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), folder)) for folder in folders]
    return sorted(Path("/Volumes").glob("*"))


def find_drive(firmware: Firmware, folder: Path | None, device: str | None) -> Drive:
    """Return the drive of a board that a firmware is for; raises ToolError.

    folder: where it is mounted; device: the port of a board that runs MicroPython, to be started in its boot loader.
    None: look for it.
    """
    if folder:
        drives = list(filter(None, [drive_at(folder)]))
        if not drives:
            raise ToolError(f"{folder} is no drive of a Pico's boot loader (it has no {_ABOUT}): {_BOOTSEL}")
    else:
        drives = find_drives()
        if not drives and device:
            start_boot_loader(device)
            drives = _wait_for_drives()
    fitting = [drive for drive in drives if drive.chip == firmware.profile.chip]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise ToolError(f"more than one board: name a drive with --drive ({', '.join(str(d.folder) for d in fitting)})")
    if drives:
        chip = drives[0].chip
        raise ToolError(
            f"the board at {drives[0].folder} has an {chip}, and this firmware is for {firmware.profile.chip}"
        )
    raise ToolError(
        f"no drive of a Pico's boot loader is mounted: {_BOOTSEL}; where drives aren't mounted by themselves, mount it "
        "and name it with --drive"
    )


def start_boot_loader(device: str) -> None:
    """Have a board that runs MicroPython start in its boot loader; its port goes. Raises ToolError."""
    port = open_port(device)
    try:
        board = Board(port)
        board.stop()
        with contextlib.suppress(ToolError):  # it has no time to answer
            board.run(_START, _SAYS_NOTHING_S)
    finally:
        close_port(port)


def _wait_for_drives() -> list[Drive]:
    deadline = time.monotonic() + _APPEARS_S
    while not (drives := find_drives()) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return drives


def flash_drive(drive: Drive, firmware: Firmware, files: dict[str, bytes], erase: bool, output: Output) -> None:
    """Put firmware onto the board of a drive, with its files or without, and say what comes next. Raises ToolError."""
    began = time.monotonic()
    about = {"drive": str(drive.folder), "chip": drive.chip}
    output.say({"event": "board", **about}, f"{drive.folder}: {drive.chip} in its boot loader")
    data = uf2_for(firmware, files, erase)
    try:
        copy_to(drive, data, output)
    except KeyboardInterrupt:
        complain(f"interrupted; the board doesn't start until it has a whole file: {_BOOTSEL}")
        raise
    seconds = round(time.monotonic() - began, 1)
    event = {"event": "flashed", **about, "version": firmware.version, "bytes": len(data), "files": len(files)}
    line = f"flashed: MicroPython {firmware.version}, {len(data)} octets, {seconds} s; the board has them and starts"
    output.say({**event, "erased": erase, "seconds": seconds}, (line, "green"))
    output.say(None, f"next: sipmote {'monitor' if files else 'deploy MAIN.py --config mote.json'}")


def uf2_for(firmware: Firmware, files: dict[str, bytes], erase: bool) -> bytes:
    """Return the file to copy: the firmware, with these files of the board's, or with nothing in place of its files."""
    if firmware.uf2 is None:
        raise ToolError(f"{firmware.path} is no .uf2 file")
    settings = firmware.settings
    image = make_image(files, settings["size"], settings["block"], settings["program"]) if files else b""
    if erase:
        image = image.ljust(settings["size"], b"\xff")
    return firmware.uf2.with_part(settings["offset"], image) if image else firmware.data


def copy_to(drive: Drive, data: bytes, output: Output) -> None:
    """Copy a file of blocks to a boot loader, which starts it once it has every block. Raises ToolError."""
    done = 0
    try:
        with output.progress("copying", len(data)) as advance, open(drive.folder / "firmware.uf2", "wb") as file:
            while done < len(data):
                done += file.write(data[done : done + _PIECE])
                file.flush()
                os.fsync(file.fileno())
                advance(_PIECE)
    except OSError as error:
        if done < len(data) - _PIECE:  # else it has begun to run before the system had closed the file
            why = error.strerror or str(error)
            raise ToolError(f"{drive.folder}: {why}, at {done * 100 // len(data)} % of the file: {_BOOTSEL}") from error
    deadline = time.monotonic() + _APPEARS_S
    while drive.is_there:
        if time.monotonic() > deadline:
            raise ToolError(f"the board at {drive.folder} didn't take the file: {_BOOTSEL}")
        time.sleep(_POLL_S)
