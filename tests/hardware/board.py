"""The acceptance of a real board: `make hardware PORT=... [WIFI=ssid[:password]] [HOST=address]`.

PORT: its serial port. WIFI: the network it is to join; without it only what needs no network is tried, unless the board
has sockets of its own (the virtual one). HOST: this machine's address as the board sees it. RESET, if given: a command
that resets the board, for a port without the lines that do it; BOOT: one that resets it into its boot loader; KILLS:
how often test_field.py has it reset; SLOW: seconds that one step may take; FIRMWARE: a file of MicroPython that
test_host_tools.py is to write. The board is left as found, but for its firmware.
"""

import base64
import contextlib
import datetime
import os
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from sipmote.board.config import encode_config
from sipmote.link.port import RESTART, close_port, open_port, wait_for_port
from tests.tools import Tool

PORT = os.environ.get("PORT", "")
WIFI = os.environ.get("WIFI", "")
HOST = os.environ.get("HOST", "") or "127.0.0.1"
RESET = shlex.split(os.environ.get("RESET", ""))
BOOT = shlex.split(os.environ.get("BOOT", ""))
NETWORKS = [WIFI.split(":", 1) if ":" in WIFI else [WIFI, ""]] if WIFI else []
SLOW_S = int(os.environ.get("SLOW") or 900)  # a call of mpremote, a start, an alert's way, on a board that is slow
LONG_S = 2 * SLOW_S  # and a hundred files, on flash that takes seconds for each
_AGAIN_S = 1  # until a board that doesn't answer yet is asked again
_RESET_S = 60  # that RESET or BOOT may take
_PULSE_S = 0.1  # that a reset button is pressed for
_deployed: list[str] = []  # ports of boards that have our packages, once there are any
_BUSY = (
    "could not exec command",  # the answer to an earlier question came late
    "could not enter raw repl",
    "failed to access",
    "no MicroPython prompt",
    "stopped answering",
    "timeout waiting for",
)
_CLEAN = "import os\nfor name in %r:\n try:\n  os.remove(name)\n except OSError:\n  pass\n"
_HEAD = "import os\nfrom binascii import a2b_base64\n"
_MAKE = "for path in %r:\n try:\n  os.mkdir(path)\n except OSError:\n  pass\n"
_READ = """
from binascii import b2a_base64
for path in %r:
    with open(path, "rb") as f:
        while True:
            data = f.read(1023)
            if not data:
                break
            print(b2a_base64(data).decode(), end="")
    print(":")
"""
_PIECE = 2048  # octets of a file that one script writes
_AT_ONCE = 16  # scripts, or files, of one call of mpremote
_LEFT = ("/outbox", "/outbox.new", "/began", "/restarts", "/main.py")  # by another test; what was found comes back

on_a_board = [
    pytest.mark.skipif(not PORT, reason="no board: make hardware PORT=..."),
    pytest.mark.timeout(4 * LONG_S),
]


def patiently(command: list[str], seconds: float = SLOW_S) -> str:
    """Run a command on the board until it is done; a board that still starts, or is busy, is asked again.

    So is one whose answer got lost: mpremote waits for that for ever. Returns what was printed.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, timeout=seconds / 2)
            told = done.stdout + done.stderr
        except subprocess.TimeoutExpired:
            told = f"{command}: timeout waiting for its end"
        else:
            if done.returncode == 0:
                return done.stdout
        assert time.monotonic() < deadline and any(words in told for words in _BUSY), told
        time.sleep(_AGAIN_S)


def mpremote(*arguments: str, seconds: float = SLOW_S) -> str:
    """Run the real mpremote on the board; returns what it printed."""
    return patiently(["mpremote", "connect", PORT, *arguments], seconds)


def put(files: dict[str, bytes]) -> None:
    """Write these files, into folders that are made; mpremote's own copying gives up on a flash silent for 10 s.

    A piece has its place in the file, so that it may be written again.
    """
    folders = sorted({str(folder) for path in files for folder in PurePosixPath(path).parents[:-1]})
    scripts = [_MAKE % (folders,)]
    for path, data in files.items():
        for at in range(0, len(data) or 1, _PIECE):
            piece = base64.b64encode(data[at : at + _PIECE])
            mode = "r+b" if at else "wb"
            scripts.append(f"with open({path!r}, {mode!r}) as f: f.seek({at}); f.write(a2b_base64({piece!r}))")
    for at in range(0, len(scripts), _AT_ONCE):
        script_words = [word for script in scripts[at : at + _AT_ONCE] for word in ("exec", _HEAD + script, "+")]
        mpremote(*script_words[:-1], seconds=LONG_S)


def read(paths: list[str]) -> dict[str, bytes]:
    """Return path -> what that file on the board holds."""
    found = {}
    for at in range(0, len(paths), _AT_ONCE):
        some = paths[at : at + _AT_ONCE]
        *files, _ = mpremote("exec", _READ % (some,), seconds=LONG_S).split(":")
        found |= {path: b"".join(map(base64.b64decode, text.split())) for path, text in zip(some, files, strict=True)}
    return found


def until(what: Callable[[], Any], why: str | Callable[[], str]) -> Any:
    """Poll until what() is true, as long as a slow board may take; returns it. why: what it means if it never is."""
    deadline = time.monotonic() + SLOW_S
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < deadline, f"{why() if callable(why) else why}, in {SLOW_S} s"
        time.sleep(0.05)


def here() -> str:
    """Return where programs on this machine listen for the board: at HOST, or at what is mapped to it."""
    with socket.socket() as sock:
        try:
            sock.bind((HOST, 0))
        except OSError:  # no address of ours: a network between the board and us leads from there to our loopback
            return "127.0.0.1"
    return HOST


def set_clock(to: datetime.datetime) -> None:
    """Set the board's clock."""
    mpremote("exec", f"from machine import RTC; RTC().datetime({(*to.timetuple()[:3], 0, *to.timetuple()[3:6], 0)})")


def start() -> None:
    """Let the board start anew and run its program, as far as it has one."""
    mpremote("resume", "exec", "pass")  # a board that still starts hears no Ctrl-C
    with Tool("monitor", "--port", PORT, "--reset") as monitor:
        monitor.wait_for(SLOW_S, event="console", text="MPY: soft reboot")


def clean() -> None:
    """Find the board, however long it starts, and take away what another test's program has left there."""
    mpremote("resume", "exec", _CLEAN % (_LEFT,))


def press(command: list[str]) -> None:
    """Have RESET or BOOT done to the board, if given; without them the port's lines do it."""
    if command:
        subprocess.run(command, check=True, timeout=_RESET_S)


def configuration(folder: Path, **settings: Any) -> Path:
    """Return a file of a board's configuration with these settings."""
    path = folder / "mote.json"
    path.write_bytes(encode_config({"bind": "0.0.0.0:0", "wifi": NETWORKS, **settings}))
    return path


def deploy(folder: Path, program: Path, *arguments: str, **settings: Any) -> None:
    """Put a program with these arguments and settings on the board.

    `sipmote deploy` puts all of it there once. For other programs and settings alone there is less to ask.
    """
    clean()
    config = configuration(folder, **settings)
    if _deployed and not arguments:
        put({"/mote.json": config.read_bytes(), "/main.py": program.read_bytes()})
        return
    command = ["sipmote", "deploy", str(program), "--port", PORT, "--config", str(config), "--no-start"]
    patiently([*command, "--no-clock", *arguments], LONG_S)
    _deployed.append(PORT)


@contextmanager
def running(folder: Path, program: Path, *arguments: str, **settings: Any) -> Iterator[Tool]:
    """Deploy a program and start it; gives its monitor, from its first record on."""
    deploy(folder, program, *arguments, **settings)
    with Tool("monitor", "--port", PORT, "--reset") as monitor:
        monitor.wait_for(SLOW_S, event="log", name="boot")
        yield monitor


class Console(threading.Thread):
    """The board's serial port, for one who presses its reset button, too. octets: what has come."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.octets = b""
        self._is_over = False

    def start(self) -> None:
        """Open the port, begin to listen, and let the program begin anew; the board is at its prompt."""
        self._port = open_port(PORT, 0.1)
        super().start()
        self._port.write(RESTART)

    def press_reset(self) -> None:
        """Reset the board at once, whatever it does, by RESET or the port's lines; a port without them does nothing."""
        if RESET:
            press(RESET)
            return
        with contextlib.suppress(OSError):
            self._port.dtr = False  # else an ESP32 starts its boot loader
            self._port.rts = True
            time.sleep(_PULSE_S)
            self._port.dtr = True
            self._port.rts = True

    def run(self) -> None:
        """Read until the end, and go on when the port, of a board with USB of its own, has come back."""
        while not self._is_over:
            try:
                self.octets += self._port.read(1) + self._port.read(self._port.in_waiting)
            except OSError:
                close_port(self._port)
                self._port = wait_for_port(PORT, SLOW_S, 0.1) or self._port

    def end(self) -> None:
        """Let go of the port."""
        self._is_over = True
        if self.ident:
            self.join()
            close_port(self._port)
