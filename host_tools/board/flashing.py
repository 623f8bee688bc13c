"""Putting firmware onto an ESP32, with all of its files or without: what is looked at first, and what is refused."""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from sipmote.board.firmware import Firmware
from sipmote.board.flasher import Flasher
from sipmote.board.image import make_image
from sipmote.console import Output, complain
from sipmote.errors import ToolError

_LOOKED_AT = 8192  # octets: the two blocks that say what a file system is
_BROKEN = "the board doesn't start until it has been flashed whole: run the same again"


@dataclass(frozen=True)
class Options:
    """How to flash. baud: bit/s; erase: all of the flash first; is_saved: there are copies of the board's files."""

    baud: int
    erase: bool
    is_saved: bool


class Flashing:
    """One board and what is to be on it."""

    def __init__(
        self, device: str, firmware: Firmware, files: dict[str, bytes], options: Options, output: Output
    ) -> None:
        """device: the port; files: path on the board -> octets of all that it is to have, none for firmware alone."""
        self._device = device
        self._firmware = firmware
        self._files = files
        self._erase = options.erase
        self._is_saved = options.is_saved
        self._output = output
        self._flasher = Flasher(device, firmware.profile.chip, options.baud, output)

    def run(self) -> None:
        """Look, check, write, and say what comes next."""
        firmware, began = self._firmware, time.monotonic()
        octets = self._look()
        with tempfile.TemporaryDirectory() as folder:  # for nobody else to read
            parts = [(firmware.profile.flash_offset or 0, Path(folder) / "firmware")]
            parts[0][1].write_bytes(firmware.data)  # what was checked, whatever becomes of the file meanwhile
            if self._files:
                settings = firmware.settings
                parts.append((firmware.filesystem_offset, Path(folder) / "files"))
                parts[1][1].write_bytes(make_image(self._files, octets, settings["block"], settings["program"]))
            written = sum(path.stat().st_size for _, path in parts)
            self._write(parts)
        about = {"port": self._device, "chip": firmware.profile.chip, "version": firmware.version}
        seconds = round(time.monotonic() - began, 1)
        event = {"event": "flashed", **about, "bytes": written, "files": len(self._files), "erased": self._erase}
        line = f"flashed: MicroPython {firmware.version}, {written} octets, compared by their MD5, {seconds} s"
        self._output.say({**event, "seconds": seconds}, (line, "green"))
        with_port = f"--port {self._device}"
        following = f"monitor {with_port}" if self._files else f"deploy MAIN.py --config mote.json {with_port}"
        self._output.say(None, f"next: sipmote {following} (if nothing comes, press reset)")

    def _look(self) -> int:
        """Look at the board and refuse what would lose something, or not start; returns the file system's octets."""
        firmware = self._firmware
        self._output.say(None, f"looking at the board at {self._device}")
        found = self._flasher.look(firmware.filesystem_offset, 0 if self._erase else _LOOKED_AT)
        holds = what_holds(found.data)  # what goes anyway isn't looked at
        event = {"event": "board", "port": self._device, "chip": firmware.profile.chip, "mac": found.mac}
        line = f"{self._device}: {firmware.profile.chip} {found.mac}, {found.flash_octets >> 20} MiB of flash"
        about = {"flash_bytes": found.flash_octets, "holds": None if self._erase else holds}
        self._output.say({**event, **about}, line)
        octets = firmware.filesystem_octets(found.flash_octets)
        if octets <= 0:
            raise ToolError(f"the board has {found.flash_octets >> 10} KiB of flash, too little for {firmware.path}")
        if holds == "other":
            raise ToolError(
                "the board holds something that isn't MicroPython's, beside which MicroPython would not start: "
                "add --erase to have all of its flash erased first"
            )
        if holds == "files" and self._files and not self._is_saved:
            raise ToolError(
                "the board has files, which --deploy replaces: add --backup DIR to save them first, or --erase to do "
                "without them"
            )
        return octets

    def _write(self, parts: list[tuple[int, Path]]) -> None:
        if self._erase:
            self._output.say(None, "erasing all of the flash first, which may take a minute")
        try:
            self._flasher.write(parts, self._erase)
        except KeyboardInterrupt:
            if self._flasher.began:
                complain(f"interrupted; {self._broken}")
            raise
        except ToolError as error:
            raise ToolError(f"{error}; {self._broken}" if self._flasher.began else str(error)) from None

    @property
    def _broken(self) -> str:
        return f"{_BROKEN} with --erase" if self._files and not self._erase else _BROKEN


def what_holds(data: bytes) -> str:
    """Return what the beginning of a file system's place holds: "nothing", "files" or "other"."""
    if not data.strip(b"\xff"):
        return "nothing"
    is_littlefs = b"littlefs" in (data[8:16], data[4104:4112])
    return "files" if is_littlefs or data[54:57] == b"FAT" else "other"
