"""Running `sipmote` beside a test and reading its JSON lines, and a virtual board on a folder."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from host_tools.errors import ToolError
from host_tools.vm import vm_command

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 20


class Tool:
    """`sipmote ARGUMENTS` as a process of its own; its stdin is a pipe, which ends a virtual board when we end."""

    def __init__(self, *arguments: str) -> None:
        self.events: list[dict[str, Any]] = []
        self._rest = b""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "host_tools", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def wait_for(self, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the next event that fits."""
        for event in self._read():
            self.events.append(event)
            if fits(event):
                return event
        raise AssertionError(f"no such event among {self.events}")

    def wait_for_event(self, name: str) -> dict[str, Any]:
        return self.wait_for(lambda event: event["event"] == name)

    def end(self, how: int = signal.SIGINT) -> int:
        """Send a signal, unless it has ended by itself; return the exit code."""
        self._process.send_signal(how)
        return self.exit_code()

    def exit_code(self) -> int:
        out, self.stderr = self._process.communicate(timeout=DEADLINE_S)
        self.events += [json.loads(line) for line in (self._rest + out).splitlines()]
        return self._process.returncode

    def _read(self) -> Iterator[dict[str, Any]]:
        assert self._process.stdout is not None
        deadline = time.monotonic() + DEADLINE_S
        output = self._process.stdout.fileno()
        while True:
            while b"\n" in self._rest:
                line, self._rest = self._rest.split(b"\n", 1)
                yield json.loads(line)
            if not select.select([output], [], [], max(0, deadline - time.monotonic()))[0]:
                return
            data = os.read(output, 4096)
            if not data:
                return
            self._rest += data


@contextlib.contextmanager
def tool(*arguments: str) -> Iterator[Tool]:
    process = Tool(*arguments)
    try:
        yield process
    finally:
        if process._process.returncode is None:
            process.end(signal.SIGKILL)


@contextlib.contextmanager
def virtual_board(flash: Path) -> Iterator[str]:
    """A virtual board with this folder as its flash; gives its port. Skips where no VM can be had, except in CI."""
    try:
        vm_command()
    except ToolError as error:
        if "CI" in os.environ:
            raise
        pytest.skip(str(error))
    with tool("board", "start", "virtual", "--dir", str(flash), "--heap", "64k", "--json") as board:
        yield board.wait_for_event("ready")["port"]
