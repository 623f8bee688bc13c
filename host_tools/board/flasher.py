"""Reading and writing an ESP32's flash by esptool, which is a process of its own: its licence isn't ours.

What esptool prints is read for three things: facts about the chip, how far a write is, and what went wrong.
"""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sipmote.console import Output
from sipmote.errors import ToolError

_READ = 4096
_READ_FLASH = ("read-flash", "--flash-size", "detect")
_FLASH_ID = ("--no-stub", "flash-id")
_Result = TypeVar("_Result")
_LOOK_BAUD = 115200  # at which a chip that can't be reset from here is found once more by the next esptool
_ERRORS = re.compile(r"(?:fatal|serial exception) error occurred: (.*)")
_OTHER_ERROR = re.compile(r"^[\w.]*(?:[Ee]rror|Exception): (.*)")
_FLASH_SIZE = re.compile(r"etected flash size: (\d+)(KB|MB)")
_MAC = re.compile(r"^MAC: +([0-9a-f:]{17,})")
_CHIP_FOUND = re.compile(r"This chip is (\S+), not (\S+)\.")
_WRITING = re.compile(r"^Writing at 0x[0-9a-f]+ .*?(\d+(?:\.\d+)?)%")
_GOES = ("Erasing", "Flash will be erased", "Writing")
_CONNECTED = re.compile(r"^Connected to (\S+) on ")
_VERIFIED = "Hash of data verified"

_BOOT = (
    "no boot loader answers at {port}: hold BOOT (IO0) while you press reset (EN), keep it until the writing begins, "
    "and run this again; if that doesn't help, take another cable, one that carries data"
)
_LINE = "the line to the board at {port} broke down: run this again with another cable, or slower: --baud 115200"
_TOO_SMALL = "the board's flash is too small for this: {text}"
_REMEDIES = (  # what esptool says, and what a person can do; the first that fits
    (r"serial TX path", "the board at {port} doesn't hear us: check its RX wire, or take another cable"),
    (r"No such file|Input/output|disconnected|No such device", "{port} went away: check the cable, and run this again"),
    (r"Failed to connect|Wrong boot mode", _BOOT),
    (r"port is busy|xclusive|multiple access", "{port} is in use: end the other program that has it open"),
    (r"baud rate", "{port} can't go at this speed: run this again with --baud 115200"),
    (r"not fit in|larger than detected|greater than detected", _TOO_SMALL),
    (r"ecure|ncrypt", "the board's security settings forbid that: {text}"),
    (r"serial|stream|packet|[Rr]esponse|No more data|MD5|igest|Corrupt|stub|rite", _LINE),
)


class LineBroken(ToolError):
    """What was said didn't arrive; another try may go well."""


@dataclass(frozen=True)
class Found:
    """A chip that answered. flash_octets: what its flash holds; mac: its address; data: what was read of the flash."""

    flash_octets: int
    mac: str
    data: bytes = b""


class Flasher:
    """A chip of a known kind at a port; each call resets it into its boot loader and, in the end, out of it."""

    def __init__(self, port: str, chip: str, baud: int, output: Output) -> None:
        """chip: as profiles name it, e.g. "esp32c3"; baud: bit/s, once the chip has been found at 115,200."""
        self._port = port
        self._chip = chip
        self._baud = baud
        self._output = output
        self.began = False  # has what was on the board begun to go?

    def look(self, offset: int, octets: int) -> Found:
        """Read a part of the flash, and what chip it is. Raises ToolError, also where it isn't the chip expected.

        octets: 0 for the chip alone, which its ROM tells without any code from us.
        """
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "read"
            command = [*_READ_FLASH, hex(offset), hex(octets), str(path)] if octets else _FLASH_ID
            lines = self._twice(lambda: list(_esptool(self._port, self._chip, _LOOK_BAUD, *command)))
            text = "\n".join(lines)
            size, mac = _FLASH_SIZE.search(text), re.search(_MAC.pattern, text, re.MULTILINE)
            if size is None:
                raise ToolError(f"the flash of the board at {self._port} doesn't say how large it is: check its wiring")
            flash_octets = int(size[1]) << (20 if size[2] == "MB" else 10)
            return Found(flash_octets, mac[1] if mac else "", path.read_bytes() if octets else b"")

    def write(self, parts: list[tuple[int, Path]], erase: bool) -> None:
        """Write files, each at its offset, and have the chip compare its MD5 of what it holds with ours.

        erase: all of the flash first. Raises ToolError.
        """
        self._twice(lambda: self._write(parts, erase))

    def _twice(self, what: Callable[[], _Result]) -> _Result:
        """Do what() and return its result; once more when the line broke before anything was lost by it."""
        try:
            return what()
        except LineBroken:
            if self.began:
                raise
            return what()

    def _write(self, parts: list[tuple[int, Path]], erase: bool) -> None:
        sizes = [path.stat().st_size for _, path in parts]
        arguments = [word for offset, path in parts for word in (hex(offset), str(path))]
        options = ["write-flash", *(["--erase-all"] if erase else [])]
        verified, before, shown = 0, 0, 0
        with (
            self._output.progress("writing", sum(sizes)) as advance,
            contextlib.closing(_esptool(self._port, self._chip, self._baud, *options, *arguments)) as lines,
        ):
            for line in lines:
                found = _WRITING.match(line)
                self.began = self.began or line.startswith(_GOES)
                if found and verified < len(sizes):
                    done = before + int(float(found[1]) / 100 * sizes[verified])
                    advance(done - shown)
                    shown = done
                elif _VERIFIED in line and verified < len(sizes):
                    before += sizes[verified]
                    verified += 1
        if verified != len(parts):
            raise ToolError(f"the board at {self._port} didn't confirm what was written: run this again")


def chip_at(device: str) -> str:
    """Return the chip at a port, as profiles name it. Raises ToolError."""
    for line in list(_esptool(device, "auto", _LOOK_BAUD, *_FLASH_ID)):
        found = _CONNECTED.match(line)
        if found:
            return found[1].lower().replace("-", "")
    raise ToolError(f"the chip at {device} doesn't say what it is: name the board with --board")


def _esptool(port: str, chip: str, baud: int, *command: str) -> Generator[str, None, None]:
    """Run esptool and yield its lines as they come. Raises ToolError when it fails."""
    options = ["--port", port, "--chip", chip, "--baud", str(baud)]
    said = []
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "esptool", *options, *command],  # -P: not what lies in the current folder
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200", "PYTHONIOENCODING": "utf-8"},
    ) as process:
        try:
            assert process.stdout
            for line in _lines(process.stdout.fileno()):
                said.append(line)
                yield line
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise _explained(port, said)


def _explained(port: str, said: list[str]) -> ToolError:
    """Return what a person can do about what esptool said last."""
    text = _last(said, _ERRORS) or _last(said, _OTHER_ERROR) or next(filter(None, reversed(said)), "")
    other = _CHIP_FOUND.search(text)
    if other:
        return ToolError(f"the board at {port} has an {other[1]}, and this firmware is for an {other[2]}: take its own")
    for pattern, remedy in _REMEDIES:
        if re.search(pattern, text):
            kind = LineBroken if remedy is _LINE else ToolError
            return kind(remedy.format(port=port, text=text))
    return ToolError(f"esptool can't go on: {text}")


def _lines(descriptor: int) -> Iterator[str]:
    """Yield what a process prints, a line at a time; a progress bar's ends with a carriage return."""
    rest = b""
    while data := os.read(descriptor, _READ):
        *lines, rest = re.split(rb"[\r\n]+", rest + data)
        yield from (line.decode("utf-8", "replace").strip() for line in lines)
    if rest:
        yield rest.decode("utf-8", "replace").strip()


def _last(said: list[str], pattern: re.Pattern[str]) -> str | None:
    found = [match[1] for line in said if (match := pattern.search(line))]
    return found[-1] if found else None
