"""MicroPython VMs and virtual boards for tests."""

import contextlib
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sipmote.errors import ToolError
from sipmote.virtual.vm import vm_command

ROOT = Path(__file__).parent.parent
DEADLINE_S = 60


def command(bits: int) -> list[str]:
    """Return the command of a VM; where none can be had the test is skipped, or fails when CI is set."""
    try:
        return vm_command(bits)
    except ToolError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


def run_program(program: str, argument: str, heap: str, bits: int = 32) -> "subprocess.CompletedProcess[str]":
    """Run a program that imports agent and mote on a VM, with one argument; it has to end well."""
    done = subprocess.run(
        [*command(bits), "-X", f"heapsize={heap}", "-c", program, argument],
        cwd=ROOT,
        env={**os.environ, "MICROPYPATH": ".:micropython:.frozen"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


class Board:
    """A `sipmote board` process with its port open to whoever comes."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sipmote", "board", "start", "virtual", "--json", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, "the board did not start"
        self.port: str = json.loads(line)["port"]
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        self.vm_pid = int(children.read_text()) if children.exists() else None

    def mpremote(self, *arguments: str, check: bool = True) -> str:
        """Run the real mpremote against the port; returns what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "mpremote", "connect", self.port, *arguments],
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done.stdout + done.stderr

    def end(self) -> int:
        """End the process as a service manager would; returns its exit code."""
        assert self.process.stdin and self.process.stdout
        self.process.terminate()
        code = self.process.wait(DEADLINE_S)
        self.process.stdin.close()
        self.process.stdout.close()
        return code


@contextlib.contextmanager
def board(*arguments: str, bits: int = 32) -> Iterator[Board]:
    """A virtual board; the VM is fetched first, or the test skipped."""
    command(bits)
    running = Board("--bits", str(bits), *arguments)
    try:
        yield running
    finally:
        running.end()


class Terminal:
    """A port opened as a person's terminal would, read with a deadline."""

    def __init__(self, port: str) -> None:
        self._fd = os.open(port, os.O_RDWR | os.O_NOCTTY)
        self._seen = b""

    def write(self, data: bytes) -> None:
        os.write(self._fd, data)

    def read_until(self, end: bytes) -> bytes:
        """Return everything up to and with end; what follows it is kept."""
        while end not in self._seen:
            assert select.select([self._fd], [], [], DEADLINE_S)[0], f"{end!r} did not come after {self._seen!r}"
            self._seen += os.read(self._fd, 4096)
        before, _, self._seen = self._seen.partition(end)
        return before + end

    def close(self) -> None:
        os.close(self._fd)


@contextlib.contextmanager
def terminal(port: str) -> Iterator[Terminal]:
    opened = Terminal(port)
    try:
        yield opened
    finally:
        opened.close()
