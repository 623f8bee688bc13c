"""Firmware in UF2 blocks, as the boot loader of a Pico takes it.

Source: https://github.com/microsoft/uf2 (README.md: blocks; utils/uf2families.json: families).
"""

import struct
from dataclasses import dataclass
from pathlib import Path

from sipmote.errors import ToolError

FLASH = 0x10000000  # where a Pico's processor sees its flash, RP2040 datasheet chapter 2.2
PAGE = 256  # octets that a block brings
_HEADER = struct.Struct("<IIIIIIII")  # two magic words, flags, address, octets, number, count, family
_MAGIC = (0x0A324655, 0x9E5D5157)
_MAGIC_END = struct.pack("<I", 0x0AB16F30)
_BLOCK = 512
_HAS_FAMILY = 0x2000
_FAMILIES = {  # number of a family: the chip of our profiles, or its name
    0xE48BFF56: "rp2040",
    0xE48BFF59: "rp2350",
    0xE48BFF5A: "an RP2350 that runs its RISC-V cores",
}
_ABSOLUTE = 0xE48BFF57  # the family of a block that only an RP2350 wants, in front of all others


@dataclass(frozen=True)
class Uf2:
    """A file of blocks. first: blocks that stay as they are; pages: address -> octets, in order; family: theirs."""

    first: bytes
    pages: dict[int, bytes]
    family: int

    @property
    def chip(self) -> str:
        """The chip that it is for, as profiles name it, or else in words."""
        return _FAMILIES.get(self.family, f"UF2 family {self.family:#x}")

    @property
    def content(self) -> bytes:
        """What is in its pages, one after the other."""
        return b"".join(self.pages.values())

    def with_part(self, offset: int, data: bytes) -> bytes:
        """Return the file, with more that goes to an offset in flash, a multiple of PAGE."""
        more = {FLASH + offset + at: data[at : at + PAGE].ljust(PAGE, b"\xff") for at in range(0, len(data), PAGE)}
        pages = {**self.pages, **more}
        blocks = [self.first]
        for number, (address, page) in enumerate(pages.items()):
            header = _HEADER.pack(*_MAGIC, _HAS_FAMILY, address, len(page), number, len(pages), self.family)
            blocks.append((header + page).ljust(_BLOCK - len(_MAGIC_END), b"\0") + _MAGIC_END)
        return b"".join(blocks)


def read_uf2(path: Path, data: bytes) -> Uf2 | None:
    """Return what a file of blocks is; None when it isn't one. Raises ToolError when it is damaged."""
    if data[:4] != struct.pack("<I", _MAGIC[0]):
        return None
    first, pages, families, counts = b"", {}, set(), set()
    for at in range(0, len(data), _BLOCK):
        block = data[at : at + _BLOCK]
        if len(block) < _BLOCK or not block.endswith(_MAGIC_END):
            raise ToolError(f"{path} is damaged at octet {at}: download it again")
        *magic, flags, address, octets, _, count, family = _HEADER.unpack_from(block)
        if tuple(magic) != _MAGIC or octets > _BLOCK - _HEADER.size - len(_MAGIC_END):
            raise ToolError(f"{path} is damaged at octet {at}: download it again")
        if family == _ABSOLUTE:
            first += block
        else:
            pages[address] = block[_HEADER.size :][:octets]
            families.add(family if flags & _HAS_FAMILY else 0)
            counts.add(count)
    if counts != {len(pages)} or len(families) != 1:
        raise ToolError(f"{path} isn't whole, or is for more than one kind of chip: download it again")
    return Uf2(first, pages, families.pop())
