"""Running scripts on a board in its raw REPL, by mpremote's own transport."""

import contextlib
import io
import math
import struct
import time
from collections.abc import Iterator

import serial
from mpremote.transport import TransportError, TransportExecError  # type: ignore[import-untyped]
from mpremote.transport_serial import SerialTransport  # type: ignore[import-untyped]

from sipmote.errors import ToolError
from sipmote.link.port import RESTART, WRITE_S

_ENTER_S = (2, 4, 8)  # waiting for the raw REPL: a program may be slow to end, and a key be lost while a board starts
_RESET_S = 20  # a soft reset, boot.py included
_QUIET_S = 60  # the longest silence of a script


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

    def run(self, script: str, quiet_s: float = _QUIET_S) -> str:
        """Run a script and return what it printed; ToolError (BoardFull) with the last line of its traceback.

        quiet_s: how long it may be silent.
        """
        try:
            with self._spoken():
                output, traceback = self._transport.exec_raw(script, timeout=quiet_s)
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
            if not self._transport.read_until(1, b"soft reboot", timeout_overall=WRITE_S).endswith(b"soft reboot"):
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
