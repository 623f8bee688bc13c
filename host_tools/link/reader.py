"""A thread that opens one port and passes on what comes, so that nothing that hangs at one port holds up another."""

import contextlib
import threading
from collections.abc import Callable

import serial

from sipmote.errors import ToolError
from sipmote.link.port import RESTART, close_port, open_port

_WAIT_S = 1.0  # for the first octet of a read: how often a silent port wakes us
_CHUNK = 4096


class Opened:
    """The port is open."""


class Gone:
    """It has gone, or we were told to stop; nothing more comes."""


Heard = bytes | Opened | Gone | ToolError  # the last one: it could not be opened, and why


class Reader(threading.Thread):
    """Tells what it hears: Opened, octets as they come, Gone; or the error alone. port: the one that it has opened."""

    def __init__(self, device: str, restart: bool, tell: "Callable[[Reader, Heard], None]") -> None:
        """restart: the board first. tell: called in this thread."""
        super().__init__(daemon=True)
        self.device = device
        self._restart = restart
        self._tell = tell
        self.port: serial.Serial | None = None
        self._is_over = False

    def run(self) -> None:
        """Read until the port goes, or stop() is called."""
        try:
            port = self.port = open_port(self.device, _WAIT_S)
        except (ToolError, OSError) as error:  # the latter of a port that goes just when it is looked at
            self._tell(self, error if isinstance(error, ToolError) else ToolError(f"no port {self.device}"))
            return
        try:
            if self._restart:
                self._write_restart(port)
            self._tell(self, Opened())
            while not self._is_over:
                data = port.read(1)
                data += port.read(min(port.in_waiting, _CHUNK))
                if data:
                    self._tell(self, data)
        except ToolError as error:
            self._tell(self, error)
        except Exception:  # pyserial has OSError, TypeError, termios.error for a port that goes, by platform and kind
            pass
        finally:
            close_port(port)
            self._tell(self, Gone())

    def stop(self) -> None:
        """Let it end soon: at the latest after one read."""
        self._is_over = True
        with contextlib.suppress(AttributeError, OSError):  # no such thing for URLs
            if self.port is not None:
                self.port.cancel_read()

    def _write_restart(self, port: serial.Serial) -> None:
        try:
            port.write(RESTART)
        except OSError:
            raise ToolError(f"{self.device} takes nothing: press the board's reset button instead of --reset") from None
