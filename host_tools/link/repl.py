"""Running scripts on a board in its raw REPL, by mpremote's own transport."""

import contextlib
import math
import struct
import time
from collections.abc import Callable, Iterator

import serial
from mpremote import transport_serial  # type: ignore[import-untyped]
from mpremote.transport import TransportError, TransportExecError  # type: ignore[import-untyped]
from mpremote.transport_serial import SerialTransport  # type: ignore[import-untyped]

from sipmote.console import complain
from sipmote.errors import ToolError
from sipmote.link.port import RESTART, WRITE_S, close_port, is_pseudo, pulse_reset, wait_for_port

_ENTER_S = (2, 4)  # waiting for the raw REPL after one Ctrl-C: a program may be slow to end
_PRESS_S = 0.03  # from one Ctrl-C to the next, for a program that catches them or a board that starts again and again
_PRESSES_S = 4  # for so long at first
_BUTTON_S = 30  # and for so long while a person finds the board's button
_BOOT_S = 5  # a soft reset, boot.py included, which is interrupted then
_QUIET_S = 60  # the longest silence of a script
_PATIENCE = 4  # times that, for all that it says
_BANNER = b"raw REPL; CTRL-B to exit\r\n"
_RESTARTED = (b"rst:0x", b"\r\n>>> ", b"\x1e")  # of an ESP's ROM, the prompt, a log record: no script says these

# A watchdog that the program has left running is put off, or fed by every script where it can't wait for ten minutes.
_CALM = """
import sys
def dogs():
 from machine import WDT
 for m in [sys.modules[n] for n in sys.modules]+[__import__('__main__')]:
  for n in dir(m):
   if type(getattr(m,n,None)) is WDT:
    return WDT
try:
 WDT=dogs()
except ImportError:
 WDT=None
for ms in (600000,16777,8388,5000) if WDT else ():
 try:
  dog=WDT(timeout=ms)
  print(ms)
  break
 except ValueError:
  pass
"""
_PUT_OFF = "from machine import WDT\ndog=WDT(timeout=%d)\n"
_CALM_MS = 600_000

transport_serial.print = lambda *words: None  # what it says of a failure would be in the middle of our own words


class BoardLost(ToolError):
    """The board doesn't answer any more, or has started anew."""


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
        runs_script = timeout_overall == math.inf
        if runs_script:  # a board that has started anew may print without end
            timeout_overall = timeout if timeout < _QUIET_S else _PATIENCE * timeout  # less is for its answer to a key
        end_at, quiet_at = now + timeout_overall, now + timeout
        while not data.endswith(ending) and now < min(end_at, quiet_at):
            octet = self.serial.read(1)
            data += octet
            if runs_script and data.endswith(_RESTARTED):  # else it is to stop what it runs
                raise TransportError("the board has started anew")
            now = time.monotonic()
            if octet:
                quiet_at = now + timeout
        return bytes(data)


class Board:
    """A board stopped in its raw REPL, to run scripts on. restart() gives it back.

    boot_is_slow: a reset had to interrupt boot.py. is_given_back: restart() was the last thing done to it.
    """

    def __init__(self, port: serial.Serial) -> None:
        self._port = port
        self._transport = _Transport(port)
        self._dog_ms = 0
        self.boot_is_slow = False
        self.is_given_back = False

    @property
    def port(self) -> serial.Serial:
        """The port of the moment: one that went away and came back is another."""
        return self._port

    def stop(self, tell: Callable[[str], None] = complain) -> None:
        """Interrupt what runs and enter the raw REPL; nothing is reset unless it won't be interrupted.

        tell: called with what a person can do meanwhile. Raises ToolError.
        """
        self.is_given_back = False
        self._interrupt(tell)
        try:
            self._calm()
        except BoardLost:  # it was about to start anew, as who had the port before has told it
            self._interrupt(tell)
            self._calm()

    def _interrupt(self, tell: Callable[[str], None]) -> None:
        if not (self._is_interrupted() or self._is_pressed(_PRESSES_S)):
            with contextlib.suppress(OSError):
                pulse_reset(self._port)
            if not self._is_pressed(_PRESSES_S):
                tell(
                    f"the program on {self._port.port} (main.py or boot.py) doesn't let Ctrl-C through: press the "
                    f"board's reset button (RST, EN) now; I go on interrupting for {_BUTTON_S} s"
                )
                if not self._is_pressed(_BUTTON_S):
                    raise ToolError(
                        f"no MicroPython prompt on {self._port.port}: press the board's reset button and try again. "
                        "If that does not help, main.py on it catches Ctrl-C as soon as it starts, or there is no "
                        "MicroPython on it: flash it (with its file system erased)"
                    )

    def reset(self) -> None:
        """Soft-reset and stay in the raw REPL: boot.py runs, main.py does not, the heap is empty."""
        with self._spoken():
            try:
                self._transport.enter_raw_repl(soft_reset=True, timeout_overall=_BOOT_S)
            except TransportError:
                self.boot_is_slow = True
                if not self._is_pressed(_PRESSES_S):
                    raise ToolError(
                        f"boot.py on {self._port.port} can't be interrupted: press the board's reset button and try "
                        "again; if that fails too, mpremote resume fs rm :boot.py"
                    ) from None
        if self._dog_ms:
            self.run(_PUT_OFF % self._dog_ms)

    def close(self) -> None:
        """Close the port."""
        close_port(self._port)

    def _is_interrupted(self) -> bool:
        """Press Ctrl-C as a person would; True in the raw REPL."""
        for seconds in _ENTER_S:
            try:
                self._transport.enter_raw_repl(soft_reset=False, timeout_overall=seconds)
                return True
            except TransportError:
                pass
            except OSError:
                self._reopen(_PRESSES_S)
        return False

    def _is_pressed(self, seconds: float) -> bool:
        """Press Ctrl-C again and again, also over restarts; True in the raw REPL."""
        end_at = time.monotonic() + seconds
        heard, presses = b"", 0
        while time.monotonic() < end_at:
            try:
                self._port.write(b"\x03\r\x01" if presses % 8 == 7 else b"\x03")
                presses += 1
                time.sleep(_PRESS_S)
                heard = (heard + self._port.read(self._port.in_waiting))[-1024:]
                if _BANNER in heard:
                    self._drain()
                    self._transport.enter_raw_repl(soft_reset=False, timeout_overall=_ENTER_S[0])
                    return True
            except TransportError:
                heard = b""
            except OSError:
                self._reopen(end_at - time.monotonic())
        return False

    def _drain(self) -> None:
        """Read what still comes until nothing does."""
        time.sleep(4 * _PRESS_S)
        while self._port.read(self._port.in_waiting):
            time.sleep(4 * _PRESS_S)

    def _reopen(self, seconds: float) -> None:
        """The port has gone, as that of a chip with its own USB does when it starts: wait for it. Raises ToolError."""
        device = str(self._port.port)
        close_port(self._port)
        port = None if is_pseudo(device) else wait_for_port(device, seconds)
        if port is None:
            raise ToolError(f"{device} has gone or takes nothing: check the cable and try again")
        self._port = port
        self._transport = _Transport(port)

    def _calm(self) -> None:
        """See that no watchdog ends what we do."""
        self._dog_ms = 0
        try:
            said = self.run(_CALM).split()
        except BoardFull:
            return
        if said and said[-1].isdigit():
            self._dog_ms = int(said[-1])

    def run(self, script: str, quiet_s: float = _QUIET_S) -> str:
        """Run a script and return what it printed; ToolError (BoardFull) with the last line of its traceback.

        quiet_s: how long it may be silent.
        """
        if 0 < self._dog_ms < _CALM_MS:
            script = "dog.feed()\n" + script
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
        self.is_given_back = True

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
        """Turn what mpremote and pyserial raise into words."""
        try:
            yield
        except TransportExecError:
            raise
        except (TransportError, struct.error, UnicodeDecodeError):
            raise BoardLost(
                f"the board on {self._port.port} stopped answering: try again; press its reset button if that fails too"
            ) from None
        except OSError:
            raise ToolError(f"{self._port.port} has gone or takes nothing: check the cable and try again") from None
