"""The profiles in boards/: what kinds of board there are and how each shows itself."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sipmote.files import rooms

_FOLDER = rooms() / "boards"


@dataclass(frozen=True)
class Profile:
    """One kind of board."""

    key: str  # the file's name, e.g. "esp32_generic"
    name: str
    chip: str
    usb: tuple[str, ...] = ()  # vendor:product, as lsusb writes them, of the device or of a bridge chip it often has
    baud: int = 115200  # bit/s of its console; a board with USB of its own ignores it
    firmware: str | None = None  # pattern of the stock image's file name at micropython.org, without its variants
    flash_offset: int | None = None  # where that image goes; None: it isn't flashed over its serial port
    filesystem: dict[str, int] | None = None  # octets: MicroPython's block, and what it programs at once; its place
    heap: int | None = None  # octets free after boot, about
    missing: tuple[str, ...] = ()  # what mote uses, or its examples do, and the stock firmware lacks
    led: str | None = None  # what Pin() takes for the LED, or where boards have one
    strapping: tuple[int, ...] = ()  # GPIOs that the chip reads when it starts
    notes: tuple[str, ...] = ()  # what else to know, a sentence each
    sources: dict[str, str] = field(default_factory=dict)  # key of this profile -> where its value is from


def profiles() -> list[Profile]:
    """Return all profiles, in order of their keys."""
    return [_read(path) for path in sorted(_FOLDER.glob("*.toml"))]


def profiles_behind(usb_id: str) -> list[Profile]:
    """Return the profiles that a USB device may be; a bridge chip is on boards of many kinds."""
    return [profile for profile in profiles() if usb_id in profile.usb]


def _read(path: Path) -> Profile:
    fields: dict[str, Any] = tomllib.loads(path.read_text())
    for key, value in fields.items():
        if isinstance(value, list):
            fields[key] = tuple(value)
    return Profile(path.stem, **fields)
