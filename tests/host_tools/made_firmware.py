"""Firmware for tests: no code in it, but all that tells a board's tools what it is."""

import hashlib
import random
import struct

_TABLE = 0x8000
_APPLICATION = 0x10000
ESP32, ESP32_C3 = (0, 0x1000), (5, 0)  # an image's number of its chip, and where it begins in flash


def esp_image(
    chip: tuple[int, int] = ESP32, version: str = "v1.26.1", octets: int = 150_000, vfs: tuple[int, int] | None = None
) -> bytes:
    """Return an image from its bootloader on; its application has 1.5 MiB. vfs: offset and size of that partition."""
    number, offset = chip
    partitions = [
        (1, 2, 0x9000, 0x6000, b"nvs"),
        (0, 0, _APPLICATION, 0x180000, b"factory"),
        *([(1, 0x81, *vfs, b"vfs")] if vfs else []),
    ]
    table = b"".join(struct.pack("<HBBII16s4x", 0x50AA, *partition) for partition in partitions)
    image = bytearray(b"\xff" * octets)
    header = bytes([0xE9, 1, 2, 0x20]) + bytes(8) + struct.pack("<H", number) + bytes(9) + b"\1"
    image[:24] = header
    image[_TABLE - offset : _TABLE - offset + len(table)] = table
    application = _application(header, version, octets - _APPLICATION + offset)
    image[_APPLICATION - offset :] = application.ljust(octets - _APPLICATION + offset, b"\xff")
    return bytes(image)


def _application(header: bytes, version: str, most: int) -> bytes:
    """Return an image with one segment, its sum and its hash, of so many octets at most."""
    size = (most - 32) // 16 * 16 - 33
    banner = b"MicroPython " + version.encode() + b" on 2025-09-11\0"
    code = (banner + random.Random(3).randbytes(size))[:size]  # doesn't shrink, as code hardly does
    checksum = 0xEF
    for octet in code:
        checksum ^= octet
    whole = header + struct.pack("<II", 0x3F400020, size) + code + bytes([checksum])
    return whole + hashlib.sha256(whole).digest()


def uf2(family: int, version: str = "v1.26.1", pages: int = 600) -> bytes:
    """Return a file of UF2 blocks with so many pages of 256 octets."""
    content = (b"\xeb\xf2" + random.Random(4).randbytes(700) + b"MicroPython " + version.encode() + b" on ").ljust(
        pages * 256, b"c"
    )
    blocks = []
    for number in range(pages):
        header = struct.pack(
            "<IIIIIIII", 0x0A324655, 0x9E5D5157, 0x2000, 0x10000000 + number * 256, 256, number, pages, family
        )
        page = content[number * 256 : (number + 1) * 256]
        blocks.append((header + page).ljust(508, b"\0") + struct.pack("<I", 0x0AB16F30))
    return b"".join(blocks)
