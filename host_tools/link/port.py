"""The only file that opens a serial port: what its lines do to a board, what went wrong in words, and the raw REPL.

DTR and RTS, on purpose: both asserted while a port is open, never RTS alone. RTS without DTR resets an ESP32 or
ESP8266, be it behind a bridge chip (CP210x, CH340, FTDI) or its own USB-serial-JTAG (C3, C6, S3), and DTR without RTS
at a reset starts its boot loader; both together do neither. Boards with USB of their own (RP2040, SAMD, STM32, S2) send
nothing until they see DTR. Not served: boards that wire RTS straight to reset, which need both lines low.
"""

import contextlib
import errno
import io
import math
import os
import stat
import struct
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import serial
from mpremote.transport import TransportError, TransportExecError  # type: ignore[import-untyped]
from mpremote.transport_serial import SerialTransport  # type: ignore[import-untyped]
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from sipmote.errors import ToolError

_BAUD = 115200  # bit/s: what every MicroPython image with a UART console speaks; USB consoles ignore it
_READ_S = 2.0  # the longest single read
_WRITE_S = 5.0  # a board that takes nothing for so long hangs
_ENTER_S = (2, 5)  # waiting for the raw REPL: a program may be slow to end
_RESET_S = 20  # a soft reset, boot.py included
_QUIET_S = 60  # the longest silence of a script: a slow flash is being tidied up
_RETRY_S = 0.2
RESTART = b"\r\x03\x03\r\x02\x04"  # interrupt, friendly REPL, soft reset: boot.py and main.py run


def usb_ports() -> list[ListPortInfo]:
    """Return the ports that have a USB device behind them, in order of their names; a board is one of these."""
    return sorted(port for port in list_ports.comports() if port.vid is not None)


def virtual_ports() -> list[str]:
    """Return the ports of the virtual boards that run on this machine, as each has noted them in its folder."""
    ports = []
    for note in sorted(Path(tempfile.gettempdir()).glob("sipmote-board-*/port")):
        with contextlib.suppress(OSError, ValueError):  # another user's, or one that ends just now
            pid, port = note.read_text().split()
            os.kill(int(pid), 0)
            ports.append(port)
    return ports


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
            device, baudrate=_BAUD, timeout=read_s, write_timeout=_WRITE_S, exclusive=True, do_not_open=True
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


class BoardFull(ToolError):
    """A script did not fit into what the board's program leaves of the heap."""


class _Transport(SerialTransport):  # type: ignore[misc]
    """mpremote's raw REPL on a port that is open already; its own __init__ would open one its own way.

    The one place that leans on mpremote's insides, which promise nothing: see the range in pyproject.toml and
    tests/host_tools/test_serial_port.py.
    """

    def __init__(self, port: serial.Serial) -> None:
        self.serial = port
        self.device_name = port.port
        self.in_raw_repl = False
        self.use_raw_paste = True
        self.mounted = False

    def read_until(
        self,
        min_num_bytes: int,
        ending: bytes,
        timeout: float = 10,
        data_consumer: None = None,
        timeout_overall: float = math.inf,
    ) -> bytes:
        """As mpremote's own, but it never sleeps, and a board that prints without end can't hold it."""
        data = bytearray()
        now = time.monotonic()
        end_at, quiet_at = now + timeout_overall, now + timeout
        while not data.endswith(ending) and now < min(end_at, quiet_at):
            octet = self.serial.read(1)
            data += octet
            now = time.monotonic()
            if octet:
                quiet_at = now + timeout
        return bytes(data)


class Board:
    """A board stopped in its raw REPL, to run scripts on. restart() gives it back."""

    def __init__(self, port: serial.Serial) -> None:
        self._port = port
        self._transport = _Transport(port)

    def stop(self) -> None:
        """Interrupt what runs and enter the raw REPL; nothing is reset."""
        for seconds in _ENTER_S:
            with self._spoken(), contextlib.suppress(TransportError):
                self._transport.enter_raw_repl(soft_reset=False, timeout_overall=seconds)
                return
        raise ToolError(
            f"no MicroPython prompt on {self._port.port}: press the board's reset button and try again; "
            "if that does not help, MicroPython is not on it"
        )

    def reset(self) -> None:
        """Soft-reset and stay in the raw REPL: boot.py runs, main.py does not, the heap is empty."""
        with self._spoken():
            self._transport.enter_raw_repl(soft_reset=True, timeout_overall=_RESET_S)

    def run(self, script: str) -> str:
        """Run a script and return what it printed; ToolError (BoardFull) with the last line of its traceback."""
        try:
            with self._spoken():
                output, traceback = self._transport.exec_raw(script, timeout=_QUIET_S)
                if traceback:
                    raise TransportExecError(output, traceback.decode("utf-8", "replace"))
                return bytes(output).decode("utf-8", "replace")
        except TransportExecError as error:
            lines = str(error.error_output).strip().splitlines() or ["no traceback"]
            kind = BoardFull if lines[-1].startswith("MemoryError") else ToolError
            raise kind(f"the board on {self._port.port} reports {lines[-1]}") from None

    def restart(self) -> None:
        """Leave the raw REPL and soft-reset: boot.py and main.py run."""
        with self._spoken():
            self._port.write(RESTART)
            if not self._transport.read_until(1, b"soft reboot", timeout_overall=_WRITE_S).endswith(b"soft reboot"):
                raise ToolError(f"the board on {self._port.port} did not restart: press its reset button")

    def abandon(self) -> None:
        """Ask for a restart and wait for nothing: the board, or the port, may be gone."""
        with contextlib.suppress(OSError):
            self._port.write(RESTART)

    def leave(self) -> None:
        """Leave the raw REPL and start nothing."""
        with self._spoken():
            self._transport.exit_raw_repl()

    @contextlib.contextmanager
    def _spoken(self) -> Iterator[None]:
        """Turn what mpremote and pyserial raise into words, and keep what mpremote prints from our stdout."""
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                yield
        except TransportExecError:
            raise
        except (TransportError, struct.error, UnicodeDecodeError):
            raise ToolError(
                f"the board on {self._port.port} stopped answering: try again; press its reset button if that fails too"
            ) from None
        except OSError:
            raise ToolError(f"{self._port.port} has gone or takes nothing: check the cable and try again") from None
