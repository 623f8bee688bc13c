"""A command that a soak kills and starts again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.host_tools.peers import PATIENCE


class Restarted:
    """`sipmote ... --json`, the same at each start. lines: the file in which is what it has said."""

    def __init__(self, lines: Path, *arguments: str, **environment: str) -> None:
        self.lines = lines
        self._command = [sys.executable, "-m", "sipmote", *arguments, "--json"]
        self._environment = {**os.environ, **environment}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, meanwhile: Callable[[], object]) -> None:
        """Start it; returns when it is ready."""
        begun = self.lines.stat().st_size if self.lines.exists() else 0
        with self.lines.open("ab") as lines:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=lines, stderr=lines, env=self._environment
            )
        deadline = time.monotonic() + PATIENCE
        while b'"ready"' not in self.lines.read_bytes()[begun:]:
            assert time.monotonic() < deadline, self.lines.read_bytes()[begun:]
            meanwhile()

    def hasten(self) -> None:
        """Have what waits passed on now."""
        self._signal(signal.SIGUSR1)

    def end(self, number: int) -> None:
        """Send it a signal and wait for its end."""
        self._signal(number).wait(PATIENCE)

    def _signal(self, number: int) -> "subprocess.Popen[bytes]":
        assert self._process
        self._process.send_signal(number)
        return self._process
