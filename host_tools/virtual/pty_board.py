"""A MicroPython VM that looks like a board behind a serial port.

This process owns two pseudo-terminals and carries bytes between them: the port that people and tools open, and the
VM's own terminal. The VM is replaced at every reset; the port stays. The shim in boards/virtual is the VM's half.
What is written while nobody has the port open is lost, as on a wire, and so is what nobody reads.
"""

import contextlib
import fcntl
import os
import pty
import select
import shutil
import signal
import stat
import tempfile
import termios
import time
import tty
import zlib
from collections.abc import Iterator
from pathlib import Path

from sipmote.errors import ToolError
from sipmote.files import rooms
from sipmote.virtual.vm import vm_command

_SHIM = rooms() / "boards" / "virtual"
_RESETS = {
    66: ("2", "0"),
    68: ("4", "0"),
    69: ("5", "0"),
    70: ("5", "1"),
}  # exit code: next reset_cause(), whether raw REPL follows
_UNEXPECTED = ("3", "0")  # the VM crashed: what a watchdog would make of it
_MACHINERY = 9216  # octets of heap that _SHIM keeps in a 32-bit VM, and no program on a board pays
_CHUNK = 4096
_UNREAD_MAX = 65536  # input the VM hasn't taken; more is lost, as when a UART overflows, so that Ctrl-C gets through
_UNPLUGGED_POLL_MS = 20
_STALL_S = 1.0  # a reader who takes nothing for so long holds up the board no more
_SAME_KEY_S = 0.05  # a VM that gets a second SIGINT before it has seen the first ends at once
_2000_01_01 = 946684800


@contextlib.contextmanager
def virtual_board(
    flash: Path | None, heap: int, bits: int | None, *, clock: bool, network: bool, epoch: int, romfs: int = 0
) -> Iterator["VirtualBoard"]:
    """Make a board and switch it on; it ends with the context. Raises ToolError.

    flash: the folder that is its flash, kept; None for a fresh one. heap: octets, about what a program finds. bits: of
    the VM, None for any. clock: does it know the date? epoch: the year that its time.time() counts from. romfs: octets
    of a ROMFS partition, which is a file beside the flash; 0: the firmware has none.
    """
    with contextlib.ExitStack() as cleanup:
        work = Path(tempfile.mkdtemp(prefix="sipmote-board-"))
        cleanup.callback(shutil.rmtree, work, ignore_errors=True)
        flash = flash or work / "flash"
        try:
            flash.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ToolError(f"{flash} can't be the board's flash: {error.strerror}") from error
        (work / "clock").write_text(str(0 if clock else _2000_01_01 - int(time.time())))
        environment = {
            "BOARD_FLASH": str(flash.resolve()),
            "BOARD_CLOCK": str(work / "clock"),
            "BOARD_EPOCH": str(_2000_01_01 if epoch == 2000 else 0),
            "BOARD_NETWORK": "1" if network else "0",
            "BOARD_ID": f"{zlib.crc32(bytes(flash.resolve())):08x}",
            "TZ": "UTC",
        }
        if romfs:
            environment["BOARD_ROMFS"] = str(_partition(flash.resolve(), romfs))
        command = [*vm_command(bits), "-X", f"heapsize={heap + _MACHINERY}", "-c", "import virtual_board"]
        board = VirtualBoard(command, environment, flash)
        cleanup.callback(board.close)
        board.switch_on()
        with (work / "port").open("w") as note:  # for `sipmote ports`; whoever finds it locked knows that we live
            fcntl.flock(note, fcntl.LOCK_EX)
            note.write(board.port)
            note.flush()
            yield board


def _partition(flash: Path, octets: int) -> Path:
    """Return the file that is the ROMFS partition beside this flash, erased when it is new."""
    path = flash.with_name(flash.name + ".romfs")
    if not path.exists() or path.stat().st_size != octets:
        path.write_bytes(b"\xff" * octets)
    return path


@contextlib.contextmanager
def linked(link: Path | None, port: str) -> Iterator[None]:
    """Have a symbolic link point to port, in place of an older link; None: no link. Raises ToolError."""
    if link is not None:
        if link.exists() and not link.is_symlink():
            raise ToolError(f"{link} exists and is no symbolic link")
        link.unlink(missing_ok=True)
        link.symlink_to(port)
    try:
        yield
    finally:
        if link is not None:
            link.unlink(missing_ok=True)


def stdin_pipe() -> int | None:
    """Return standard input's descriptor when a program holds its other end: when that closes, so does the board."""
    try:
        kind = os.fstat(0).st_mode
    except OSError:
        return None
    if not stat.S_ISFIFO(kind) and not stat.S_ISSOCK(kind):
        return None
    return None if select.select([0], [], [], 0)[0] else 0


class VirtualBoard:
    """The port, and the VM of the moment behind it."""

    def __init__(self, command: list[str], environment: dict[str, str], flash: Path) -> None:
        """command: runs the VM with the shim; environment: what the shim asks for, the same at every start."""
        self.flash = flash
        self._command = command
        self._environment = environment
        self._pid = 0
        self._console = -1
        self._interrupted_at = 0.0  # seconds; 0: long ago
        self._interrupt_waits = False
        self._up = False
        self._first_words = b""
        self._port, slave = pty.openpty()
        self.port = os.ttyname(slave)
        tty.setraw(slave)
        os.close(slave)  # from now on POLLHUP says that nobody has the port open
        os.set_blocking(self._port, False)

    def switch_on(self) -> None:
        """Start the first VM and wait until the board is in charge of itself. Raises ToolError when it can't be."""
        self._boot("1", "0")
        while not self._up:
            select.select([self._console], [], [])
            output = _read(self._console)
            if output is None:
                self._restart()
            else:
                self._hear(output)

    def _boot(self, reset_cause: str, raw_repl: str) -> None:
        """Start a VM on a terminal of its own, whose end is also the VM's end."""
        environment = {**self._environment, "BOARD_RESET_CAUSE": reset_cause, "BOARD_RAW_REPL": raw_repl}
        self._up = False
        self._first_words = b""
        self._pid, self._console = pty.fork()
        if self._pid == 0:
            try:
                os.chdir(_SHIM)
                _make_terminal_raw(0)
                signal.signal(signal.SIGHUP, signal.SIG_DFL)  # how it learns that this process is gone
                os.execve(self._command[0], self._command, environment)
            finally:
                os._exit(127)
        os.set_blocking(self._console, False)

    def close(self) -> None:
        """End the VM and give up the port."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            self._reap()
        os.close(self._port)

    def serve(self, stdin: int | None) -> None:
        """Carry bytes and restart the VM when it ends; returns when stdin, if watched, is closed by its writer."""
        to_vm = b""
        outlet = _Outlet(self._port)
        while True:
            poller = select.poll()
            unplugged = self._unplugged()
            if unplugged:
                outlet.waiting = b""
                to_vm += self._take_interrupts(_read(self._port) or b"")  # its last words
            else:
                poller.register(self._port, select.POLLIN | (select.POLLOUT if outlet.waiting else 0))
            sends = self._up and to_vm  # before that the VM's terminal throws away what it is sent
            reads = outlet.takes_more()
            poller.register(self._console, (select.POLLIN if reads else 0) | (select.POLLOUT if sends else 0))
            if stdin is not None:
                poller.register(stdin, select.POLLIN)
            ready = dict(poller.poll(_UNPLUGGED_POLL_MS if unplugged else None if reads else _STALL_S * 1000))
            if stdin in ready and not _read(0):
                return
            if self._port in ready:
                to_vm += self._take_interrupts(_read(self._port) or b"")
            if self._console in ready and reads:
                output = _read(self._console)
                if output is None:
                    outlet.put(self._restart())
                    to_vm = b""
                else:
                    outlet.put(self._hear(output))
            to_vm = to_vm[:_UNREAD_MAX]
            if self._up:
                to_vm = _write(self._console, to_vm)
            outlet.write()

    def _unplugged(self) -> bool:
        poller = select.poll()
        poller.register(self._port, 0)
        return any(event & select.POLLHUP for _, event in poller.poll(0))

    def _hear(self, output: bytes) -> bytes:
        """Return what the board has to say; nothing before the shim's 0x00, which says that it is in charge."""
        self._interrupted_at = 0.0  # a VM that speaks has taken the last Ctrl-C
        if self._up:
            return output
        self._first_words += output
        _, up, output = self._first_words.partition(b"\x00")
        if up:
            self._up = True
            if self._interrupt_waits:
                os.kill(self._pid, signal.SIGINT)
                self._interrupt_waits = False
        return output

    def _take_interrupts(self, data: bytes) -> bytes:
        """Make each Ctrl-C a signal, even when the VM reads nothing; returns the rest."""
        if b"\x03" in data:
            now = time.monotonic()
            if not self._up:
                self._interrupt_waits = True
            elif now - self._interrupted_at > _SAME_KEY_S:
                os.kill(self._pid, signal.SIGINT)
                self._interrupted_at = now
        return data.replace(b"\x03", b"")

    def _restart(self) -> bytes:
        """Replace the VM that has ended; returns what the board says of it.

        Raises ToolError when it ended before the shim was in charge.
        """
        code = self._reap()
        if not self._up:
            lines = self._first_words.decode(errors="replace").split()
            said = " ".join(lines[-6:]) or f"exit code {code}"
            raise ToolError(f"the VM ended at its start: {said} (is --heap too small?)")
        cause, raw_repl = _RESETS.get(code, _UNEXPECTED)
        self._boot(cause, raw_repl)
        return b"MPY: soft reboot\r\n" if cause == "5" else b""  # not said by the old VM, which may miss a Ctrl-C now

    def _reap(self) -> int:
        os.close(self._console)
        code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        self._pid = 0
        return code


class _Outlet:
    """What is to leave by the port. A slow reader slows the board down; one who has stopped costs it its words alone.

    waiting: what was not taken yet.
    """

    def __init__(self, port: int) -> None:
        self.waiting = b""
        self._port = port
        self._taken_at = 0.0

    def takes_more(self) -> bool:
        """Is the VM to go on? Else it waits for the reader."""
        return not self.waiting or time.monotonic() - self._taken_at > _STALL_S

    def put(self, data: bytes) -> None:
        """Let data leave; it is lost when something waits for a reader who has stopped."""
        if not self.waiting:
            self.waiting = data
            self._taken_at = time.monotonic()

    def write(self) -> None:
        """Write what can be written now."""
        left = _write(self._port, self.waiting)
        if len(left) < len(self.waiting):
            self._taken_at = time.monotonic()
        self.waiting = left


def _make_terminal_raw(fd: int) -> None:
    """No echo, no line editing, no signals; a newline goes out as CR LF."""
    tty.setraw(fd)
    mode = termios.tcgetattr(fd)
    mode[1] |= termios.OPOST | termios.ONLCR
    termios.tcsetattr(fd, termios.TCSANOW, mode)


def _read(fd: int) -> bytes | None:
    """Return what can be read now; None when the other end is closed."""
    try:
        return os.read(fd, _CHUNK) or None
    except BlockingIOError:
        return b""
    except OSError:
        return None


def _write(fd: int, data: bytes) -> bytes:
    """Write what can be written now; returns the rest."""
    try:
        return data[os.write(fd, data) :] if data else data
    except OSError:
        return data
