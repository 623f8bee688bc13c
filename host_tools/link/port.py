"""The only file that opens a serial port: what its lines do to a board, and what went wrong in words.

DTR and RTS, on purpose: both asserted while a port is open, never RTS alone. RTS without DTR resets an ESP32 or
ESP8266, be it behind a bridge chip (CP210x, CH340, FTDI) or its own USB-serial-JTAG (C3, C6, S3), and DTR without RTS
at a reset starts its boot loader; both together do neither. Boards with USB of their own (RP2040, SAMD, STM32, S2) send
nothing until they see DTR. Not served: boards that wire RTS straight to reset, which need both lines low.
"""

import contextlib
import errno
import os
import stat
import tempfile
import time
from pathlib import Path

import serial
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from sipmote.errors import ToolError

_BAUD = 115200  # bit/s: what every MicroPython image with a UART console speaks; USB consoles ignore it
_READ_S = 2.0  # the longest single read
WRITE_S = 5.0  # a board that takes nothing for so long hangs
_RETRY_S = 0.2
_RESET_S = 0.1
RESTART = b"\r\x03\x03\r\x02\x04"  # interrupt, friendly REPL, soft reset: boot.py and main.py run


def usb_ports() -> list[ListPortInfo]:
    """Return the ports that have a USB device behind them, in order of their names; a board is one of these."""
    return sorted(port for port in list_ports.comports() if port.vid is not None)


def virtual_ports() -> list[str]:
    """Return the ports of the virtual boards of ours that run on this machine, as each has noted them in its folder."""
    ports = []
    for folder in sorted(Path(tempfile.gettempdir()).glob("sipmote-board-*")):
        with contextlib.suppress(OSError, ValueError):  # one that ends just now
            if _is_ours_alone(folder):
                pid, port = (folder / "port").read_text().split()
                os.kill(int(pid), 0)
                ports.append(port)
    return ports


def _is_ours_alone(folder: Path) -> bool:
    """Is it a folder that nobody but us can have written to? Others may name one like ours in the shared place."""
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022


def is_virtual(device: str) -> bool:
    """Is it the port of a virtual board, or a link to one?"""
    return os.path.realpath(device) in virtual_ports()


def find_port() -> str:
    """Return the port of a board when there is just one; ToolError otherwise. A real board goes before virtual ones."""
    ports = [port.device for port in usb_ports()] or virtual_ports()
    if len(ports) == 1:
        return ports[0]
    if not ports:
        raise ToolError("no board found: plug one in, or name its port with --port")
    raise ToolError(f"more than one serial port: name one with --port ({', '.join(ports)})")


def open_port(device: str, read_s: float = _READ_S) -> serial.Serial:
    """Open a port for us alone without resetting what is behind it; ToolError says what to do when that fails.

    read_s: how long a read may wait for its first octet; changing it later would set up the line anew.
    """
    try:
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
    except (OSError, ValueError) as error:
        raise ToolError(_why_not_open(device, error)) from None
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


def _why_not_open(device: str, error: OSError | ValueError) -> str:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.ENOENT or not os.path.exists(device):
        there = ", ".join(port.device for port in usb_ports()) or "none; is the cable a data cable?"
        return f"no port {device} (ports there are: {there})"
    if number == errno.EACCES:
        return f"no permission to open {device}: {_permission_remedy(device)}"
    if number in (errno.EWOULDBLOCK, errno.EBUSY):
        return f"{device} is in use: end the other program that has it open (monitor, mpremote, an IDE)"
    if not stat.S_ISCHR(os.stat(device).st_mode):
        return f"{device} is not a serial port"
    return f"{device} can't be opened: {error}; unplug the board and plug it in again"


def _permission_remedy(device: str) -> str:
    try:
        import grp

        group = grp.getgrgid(os.stat(device).st_gid).gr_name
    except (ImportError, KeyError, OSError):
        return "close the program that has it open, or run as a user who may use serial ports"
    return f"join the group {group} (sudo usermod -aG {group} $USER, then log in again)"
