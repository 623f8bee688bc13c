"""The only file that opens a serial port: which there are, and what a port's lines do to a board.

DTR and RTS, on purpose: both asserted while a port is open, never RTS alone. RTS without DTR resets an ESP32 or
ESP8266, be it behind a bridge chip (CP210x, CH340, FTDI) or its own USB-serial-JTAG (C3, C6, S3), and DTR without RTS
at a reset starts its boot loader; both together do neither. Boards with USB of their own (RP2040, SAMD, STM32, S2) send
nothing until they see DTR. Not served: boards that wire RTS straight to reset, which need both lines low.
"""

import contextlib
import os
import stat
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import serial
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from sipmote.console import complain
from sipmote.errors import ToolError
from sipmote.link.refusals import is_probed, none_there, why_not_open

_BAUD = 115200  # bit/s: what every MicroPython image with a UART console speaks; USB consoles ignore it
_READ_S = 2.0  # the longest single read
WRITE_S = 5.0  # a board that takes nothing for so long hangs
_RETRY_S = 0.2
_LOOKS = 3
_PROBING_S = 20.0  # ModemManager gives up within so long after plugging in
_RESET_S = 0.1
RESTART = b"\r\x03\x03\r\x02\x04"  # interrupt, friendly REPL, soft reset: boot.py and main.py run


@dataclass(frozen=True)
class Port:
    """A port that a board may be behind. usb: vendor and product as lsusb writes them; None for a virtual board.

    socket: where it is plugged in, e.g. "1-1.2"; it tells apart what has no serial number.
    """

    device: str
    description: str
    usb: str | None = None
    serial_number: str | None = None
    socket: str | None = None

    @property
    def identity(self) -> tuple[str, ...] | None:
        """What stays when the port comes back under another name; None where nothing does."""
        if self.usb is None or not (self.serial_number or self.socket):
            return None
        return (self.usb, self.serial_number) if self.serial_number else (self.usb, "", self.socket or "")


def ports() -> list[Port]:
    """Return the ports that a board may be behind: those with a USB device, then those of virtual boards."""
    found = [
        Port(
            port.device,
            " ".join(part for part in (port.manufacturer, port.product) if part) or port.description,
            f"{port.vid:04x}:{port.pid:04x}",
            port.serial_number,
            port.location,
        )
        for port in usb_ports()
    ]
    return found + [Port(device, "virtual board") for device in virtual_ports()]


def usb_ports() -> list[ListPortInfo]:
    """Return the ports that have a USB device behind them, in order of their names; a board is one of these."""
    for _ in range(_LOOKS):
        with contextlib.suppress(OSError):  # one went just when it was looked at
            return sorted(port for port in list_ports.comports() if port.vid is not None)
    return []


def real_path(device: str) -> str:
    """Return where a link leads to; itself if it goes just now."""
    try:
        return os.path.realpath(device)
    except OSError:
        return device


def virtual_ports() -> list[str]:
    """Return the ports of the virtual boards of ours that run on this machine, as each has noted them in its folder."""
    found = []
    for folder in sorted(Path(tempfile.gettempdir()).glob("sipmote-board-*")):
        with contextlib.suppress(OSError, ValueError):  # one that ends just now
            if _is_ours_alone(folder):
                port = (folder / "port").read_text()
                if port and _is_locked(folder / "port"):
                    found.append(port)
    return found


def _is_locked(path: Path) -> bool:
    """Has somebody locked a file, who must be alive therefore?"""
    import fcntl  # there are no virtual boards on Windows

    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _is_ours_alone(folder: Path) -> bool:
    """Is it a folder that nobody but us can have written to? Others may name one like ours in the shared place."""
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022


def is_virtual(device: str) -> bool:
    """Is it the port of a virtual board, or a link to one?"""
    return real_path(named_port(device)) in virtual_ports()


def is_pseudo(device: str) -> bool:
    """Is it a terminal's number, as virtual boards have them? Once that has gone it may be another terminal's."""
    return device.startswith("/dev/pts/")


def find_port(instead: str = "") -> str:
    """Return the port of a board when there is just one; ToolError otherwise. A real board goes before virtual ones.

    instead: what else a person can do where there are several, beside naming one with --port.
    """
    there = ports()
    found = [port.device for port in there if port.usb is not None] or [port.device for port in there]
    if len(found) == 1:
        return found[0]
    if not found:
        raise ToolError(f"no board found: {none_there()}, or name its port with --port")
    raise ToolError(f"more than one serial port: name one with --port{instead} ({', '.join(found)})")


def named_port(name: str) -> str:
    """Return the device that a name means: a path or a link, a USB serial number, or a device without its "/dev/".

    What means nothing is returned as it is. Raises ToolError for a serial number that several have.
    """
    if sys.platform == "darwin" and name.startswith("/dev/tty."):  # waits for a modem's carrier
        name = "/dev/cu." + name[len("/dev/tty.") :]
    if "://" in name or os.path.exists(name):
        return name
    there = ports()
    short = [port.device for port in there if name in (port.device, port.device.removeprefix("/dev/"))]
    found = short or [p.device for p in there if p.serial_number and p.serial_number.casefold() == name.casefold()]
    if len(found) > 1:
        raise ToolError(f"several boards have the serial number {name}: name a port with --port ({', '.join(found)})")
    return found[0] if found else name


def open_port(name: str, read_s: float = _READ_S) -> serial.Serial:
    """Open a port for us alone without resetting what is behind it; ToolError says what to do when that fails.

    name: as named_port() takes it. read_s: how long a read may wait for its first octet; changing it later would set up
    the line anew. A port that ModemManager has is waited for, 20 s at most.
    """
    device = named_port(name)
    give_up_at = None
    while True:
        try:
            return _open(device, read_s)
        except (OSError, ValueError) as error:
            if not is_probed(device, error) or (give_up_at is not None and time.monotonic() > give_up_at):
                raise ToolError(why_not_open(device, error, [port.device for port in ports()])) from None
        if give_up_at is None:
            give_up_at = time.monotonic() + _PROBING_S
            complain(f"ModemManager looks at {device} now: waiting until it is done, {_PROBING_S:.0f} s at most")
        time.sleep(_RETRY_S)


def _open(device: str, read_s: float) -> serial.Serial:
    port = serial.serial_for_url(
        device, baudrate=_BAUD, timeout=read_s, write_timeout=WRITE_S, exclusive=True, do_not_open=True
    )
    if os.name == "nt":  # the driver would raise one line before the other
        port.dtr = port.rts = False
        port.open()
        port.dtr = True
        port.rts = True
    else:  # the system raises both at once as it opens; pyserial leaves them so
        port.dtr = port.rts = True
        port.open()
    return port


def close_port(port: serial.Serial) -> None:
    """Close a port, RTS first; a port that has gone is closed as well."""
    with contextlib.suppress(OSError):  # a pseudo-terminal has no such lines
        port.rts = False
        port.dtr = False
    with contextlib.suppress(OSError):
        port.close()


def pulse_reset(port: serial.Serial) -> None:
    """Reset what is behind the port, where RTS does that (see above); OSError where there are no such lines."""
    port.dtr = False
    time.sleep(_RESET_S)
    port.rts = False  # it starts
    time.sleep(_RESET_S)
    port.dtr = True  # before RTS, as ever
    port.rts = True


def wait_for_port(device: str, seconds: float, read_s: float = _READ_S) -> serial.Serial | None:
    """Open a port that went away as soon as it is back; None when it was not within so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return open_port(device, read_s)
        except ToolError:
            if time.monotonic() > deadline:
                return None
            time.sleep(_RETRY_S)
