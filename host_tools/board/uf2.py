"""Firmware in UF2 blocks, as the boot loader of a Pico takes it: a drive appears, a file is copied there.

Source: https://github.com/microsoft/uf2 (README.md: blocks; utils/uf2families.json: families).
"""

import struct
from dataclasses import dataclass
from pathlib import Path

from sipmote.errors import ToolError

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
_ABSOLUTE = 0xE48BFF57  # a block that the RP2350's own faults ask for, in front of all others


@dataclass(frozen=True)
class Uf2:
    """A file of blocks. chip: which it is for; content: what is in the blocks, one after the other."""

    chip: str
    content: bytes


def read_uf2(path: Path, data: bytes) -> Uf2 | None:
    """Return what a file of blocks is; None when it isn't one. Raises ToolError when it is damaged."""
    if data[:4] != struct.pack("<I", _MAGIC[0]):
        return None
    families, content, counted = set(), [], 0
    for at in range(0, len(data), _BLOCK):
        block = data[at : at + _BLOCK]
        if len(block) < _BLOCK or not block.endswith(_MAGIC_END):
            raise ToolError(f"{path} is damaged at octet {at}: download it again")
        *magic, flags, _, octets, _, count, family = _HEADER.unpack_from(block)
        if tuple(magic) != _MAGIC or octets > _BLOCK - _HEADER.size - len(_MAGIC_END):
            raise ToolError(f"{path} is damaged at octet {at}: download it again")
        if family != _ABSOLUTE:
            families.add(family if flags & _HAS_FAMILY else 0)
            content.append(block[_HEADER.size :][:octets])
            counted = count
    if counted != len(content):
        raise ToolError(f"{path} has {len(content)} blocks of {counted}: download it again")
    chips = sorted(_FAMILIES.get(family, f"family {family:#x}") for family in families)
    return Uf2(" and ".join(chips), b"".join(content))
