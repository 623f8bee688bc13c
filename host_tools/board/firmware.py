"""A firmware file: what it is for, and where MicroPython will have its file system once it is on a board.

Two kinds are known. An ESP32's .bin is the whole flash from its bootloader on, partition table included; its header
names the chip. A Pico's .uf2 is a list of blocks (board/uf2.py), each of which names the family of its chip.
"""

import hashlib
import re
import struct
from dataclasses import dataclass
from pathlib import Path

from sipmote.board.files import read_file
from sipmote.board.profiles import Profile, profiles
from sipmote.board.uf2 import FLASH, Uf2, read_uf2
from sipmote.errors import ToolError

_IMAGE = 0xE9  # how an ESP32's image begins, https://docs.espressif.com/projects/esptool/en/latest/esp32/advanced-topics/firmware-image-format.html
_CHIPS = {  # the header's number of it, same page
    0: "esp32",
    2: "esp32s2",
    5: "esp32c3",
    9: "esp32s3",
    12: "esp32c2",
    13: "esp32c6",
    16: "esp32h2",
    18: "esp32p4",
    20: "esp32c61",
    23: "esp32c5",
}
_TABLE = 0x8000  # where the partition table is in flash
_TABLE_OCTETS = 0xC00
_PARTITION = struct.Struct("<HBBII16s4x")  # magic, type, subtype, offset, size, label
_PARTITION_MAGIC = 0x50AA
_HEADER_OCTETS = 24  # of an image
_VERSION = re.compile(rb"MicroPython (v\d+\.\d+[\w.+-]*)")
OLDEST = (1, 24)  # whose .mpy files ours are


@dataclass(frozen=True)
class Place:
    """A part of the flash: octets from an offset on. is_code: does an application lie there?"""

    offset: int
    octets: int
    is_code: bool


@dataclass(frozen=True)
class Firmware:
    """A firmware file that was read. profile: of the boards that it is for; version: MicroPython's, e.g. "v1.26.1"."""

    path: Path
    data: bytes
    profile: Profile
    version: str
    uf2: Uf2 | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the file, in hexadecimal digits."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def release(self) -> tuple[int, int]:
        """MicroPython's release, e.g. (1, 26)."""
        major, minor = self.version[1:].split(".")[:2]
        return int(major), int(re.findall(r"\d+", minor)[0])

    @property
    def settings(self) -> dict[str, int]:
        """How MicroPython uses littlefs there, as the profile says."""
        return self.profile.filesystem or {}

    @property
    def filesystem_offset(self) -> int:
        """Where MicroPython's file system will be on a board.

        An ESP32 has a partition for it, or else, as most images have it, all that the others leave at the end of the
        flash (micropython/micropython ports/esp32/main.c, boardctrl_startup); a Pico has what its profile says.
        """
        if self.uf2:
            return self.settings["offset"]
        own = self._partition
        return own.offset if own else max(place.offset + place.octets for place in self._partitions.values())

    def filesystem_octets(self, flash_octets: int) -> int:
        """Return the size of that file system on a board with so much flash; 0 or less where it doesn't fit."""
        if self.uf2:
            return self.settings["size"]
        own = self._partition
        if own and own.offset + own.octets <= flash_octets:
            return own.octets
        return 0 if own else flash_octets - self.filesystem_offset

    @property
    def _partitions(self) -> dict[str, Place]:
        return _partitions(self.data, self.profile.flash_offset or 0)

    @property
    def _partition(self) -> Place | None:
        """The partition that is named for the file system, by either of the names that MicroPython looks for."""
        return next((place for label, place in self._partitions.items() if label in ("vfs", "ffat")), None)


def read_firmware(path: Path) -> Firmware:
    """Return what a file holds; raises ToolError unless it is MicroPython for a board that we know."""
    data = read_file(path)
    uf2 = read_uf2(path, data)
    profile = _profile(path, data, uf2)
    version = _VERSION.search(uf2.content if uf2 else data)
    if version is None:
        raise ToolError(f"{path} holds no MicroPython: take a file from https://micropython.org/download/")
    if not uf2 and not _partitions(data, profile.flash_offset or 0):
        raise ToolError(
            f"{path} is a part of a firmware, without its bootloader: take the file without .app in its name"
        )
    firmware = Firmware(path, data, profile, version[1].decode(), uf2)
    if not uf2:
        _check_whole(path, data, profile.flash_offset or 0)
    end = max(uf2.pages) + 1 - FLASH if uf2 else (profile.flash_offset or 0) + len(data)
    if end > firmware.filesystem_offset:
        raise ToolError(f"{path} is a copy of a whole flash, with a file system in it: take a firmware alone")
    return firmware


def _check_whole(path: Path, data: bytes, image_offset: int) -> None:
    """Raise ToolError unless the application of an image is as it was built: all of its segments, their sum, its hash.

    Source: https://docs.espressif.com/projects/esptool/en/latest/esp32/advanced-topics/firmware-image-format.html
    """
    begin = (
        next((place.offset for place in _partitions(data, image_offset).values() if place.is_code), 0) - image_offset
    )
    at, checksum, has_hash = begin + _HEADER_OCTETS, 0xEF, data[begin + 23 : begin + 24] == b"\1"
    for _ in range(data[begin + 1] if len(data) > begin + 1 and data[begin] == _IMAGE else 0):
        octets = int.from_bytes(data[at + 4 : at + 8], "little")
        for octet in data[at + 8 : at + 8 + octets]:
            checksum ^= octet
        at += 8 + octets
    at = begin + ((at - begin) | 15) + 1  # the sum is the last octet of 16
    is_whole = begin + _HEADER_OCTETS < at <= len(data) and data[at - 1] == checksum
    if not is_whole or (has_hash and data[at : at + 32] != hashlib.sha256(data[begin:at]).digest()):
        raise ToolError(f"{path} is damaged, or not all of it is there: download it again")


def _profile(path: Path, data: bytes, uf2: Uf2 | None) -> Profile:
    """Return the profile of the boards that a file is for."""
    if uf2:
        chip = uf2.chip
    elif len(data) > _TABLE and data[0] == _IMAGE:
        number = int.from_bytes(data[12:14], "little")
        chip = _CHIPS.get(number, f"chip number {number}")
    else:
        raise ToolError(f"{path} is no firmware: a .bin for an ESP32 or a .uf2 for a Pico was expected")
    known = {profile.chip: profile for profile in profiles() if profile.filesystem}
    if chip not in known:
        raise ToolError(f"{path} is for {chip}; boards are known that have an {', an '.join(sorted(known))}")
    return known[chip]


def _partitions(image: bytes, image_offset: int) -> dict[str, Place]:
    """Return label -> place of each partition in the table of an image that begins at image_offset in flash.

    Source: https://docs.espressif.com/projects/esp-idf/en/latest/esp32/api-guides/partition-tables.html
    """
    table = image[_TABLE - image_offset :][:_TABLE_OCTETS]
    found = {}
    for at in range(0, len(table) - _PARTITION.size + 1, _PARTITION.size):
        magic, kind, _, offset, octets, label = _PARTITION.unpack_from(table, at)
        if magic != _PARTITION_MAGIC:
            break
        found[label.rstrip(b"\0").decode("utf-8", "replace")] = Place(offset, octets, kind == 0)
    return found
