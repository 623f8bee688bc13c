"""The profiles in boards/: what kinds of board there are and how each shows itself."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

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
    flash_offset: int | None = None  # where its firmware image goes; None: it isn't flashed over its serial port
    heap: int | None = None  # octets free after boot, about


def profiles() -> list[Profile]:
    """Return all profiles, in order of their keys."""
    return [_read(path) for path in sorted(_FOLDER.glob("*.toml"))]


def profiles_behind(usb_id: str) -> list[Profile]:
    """Return the profiles that a USB device may be; a bridge chip is on boards of many kinds."""
    return [profile for profile in profiles() if usb_id in profile.usb]


def _read(path: Path) -> Profile:
    fields = tomllib.loads(path.read_text())
    return Profile(key=path.stem, **{**fields, "usb": tuple(fields.get("usb", ()))})
