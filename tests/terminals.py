"""Terminals in which a test types what a README prints, on a network of their own where the system has such."""

import contextlib
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

_NETWORK = """
import fcntl, socket, struct
with socket.socket() as sock:  # set the loopback interface up
    fcntl.ioctl(sock, 0x8914, struct.pack("16sH", b"lo", 0x1 | 0x40))
print("up", flush=True)
input()
"""

_STEERING = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[()].|[=>])")


@contextlib.contextmanager
def own_network() -> Iterator[list[str]]:
    """Give a command's first words that run it where all ports are free; none where the system has no namespaces."""
    try:
        holder = subprocess.Popen(
            ["unshare", "--map-root-user", "--net", sys.executable, "-c", _NETWORK],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        yield []
        return
    with holder:
        assert holder.stdin and holder.stdout
        is_up = holder.stdout.readline() == b"up\n"
        join = ["nsenter", "--preserve-credentials", "--user", "--net", "--target", str(holder.pid)]
        yield join if is_up else []
        holder.stdin.close()


class Terminal:
    """A shell's line that runs in a terminal of its own."""

    def __init__(self, line: str, folder: Path, network: list[str], **environment: str) -> None:
        self.written = ""
        self.shown = ""  # what steers a terminal left out
        self._screen, theirs = pty.openpty()
        self._process = subprocess.Popen(
            [*network, "bash", "-c", line],
            cwd=folder,
            env={**os.environ, "COLUMNS": "300", "TERM": "dumb", **environment},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def type(self, text: str) -> None:
        """Type a line."""
        self.press(text + "\r")

    def press(self, keys: str) -> None:
        """Press keys."""
        os.write(self._screen, keys.encode())

    def resize(self, columns: int) -> None:
        """Make it so wide."""
        termios.tcsetwinsize(self._screen, (24, columns))

    def is_as_a_shell_wants_it(self) -> bool:
        """Does it show what is typed, and give it line by line?"""
        modes = termios.tcgetattr(self._screen)[3]
        return bool(modes & termios.ECHO and modes & termios.ICANON and modes & termios.ISIG)

    def wait_for(self, text: str, seconds: float = 30) -> None:
        """Wait until this text has been shown."""
        deadline = time.monotonic() + seconds
        while text not in self.shown:
            left = deadline - time.monotonic()
            assert left > 0 and self._read(left), f"no {text!r} in:\n{self.shown}"

    def wait(self, seconds: float = 60) -> int:
        """Wait for its end; returns the exit code."""
        deadline = time.monotonic() + seconds
        while self._screen >= 0 and self._read(deadline - time.monotonic()):
            assert time.monotonic() < deadline, f"no end of:\n{self.shown}"
        return self._process.wait(max(1, deadline - time.monotonic()))

    def _read(self, seconds: float) -> bool:
        """Take what is shown within so many seconds; False when there is nothing more to come."""
        if not select.select([self._screen], [], [], max(0, seconds))[0]:
            return True
        try:
            data = os.read(self._screen, 65536)
        except OSError:  # nobody has the other end open
            return False
        self.written += data.decode(errors="replace")
        self.shown = _STEERING.sub("", self.written)
        return bool(data)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def hang_up(self) -> None:
        """Close the window."""
        os.close(self._screen)
        self._screen = -1

    def close(self) -> None:
        """End it as closing a window does."""
        if self._screen >= 0:
            self.hang_up()
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
