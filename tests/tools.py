"""Runs `sipmote` commands as processes and reads their JSON lines, each wait with a deadline."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

Line = dict[str, Any]


class Tool:
    """One `sipmote ... --json` process. What it prints is kept in `lines`, its stderr in `complaints`."""

    def __init__(
        self,
        *arguments: str,
        watch: Callable[[Line], None] | None = None,
        program: Sequence[str] = (sys.executable, "-m", "sipmote"),
    ) -> None:
        """watch: called with each line as it comes, in a thread of this tool's. program: the sipmote to run."""
        self.lines: list[Line] = []
        self._watch = watch
        self._has_ended = False
        self._changed = threading.Condition()
        self._process = subprocess.Popen(
            [*program, *arguments, "--json"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self.complaints: list[str] = []
        self._readers = [threading.Thread(target=self._read), threading.Thread(target=self._read_complaints)]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> "Tool":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def type(self, line: str) -> None:
        """Write a line to its standard input, as a person would."""
        assert self._process.stdin
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def wait_for(self, seconds: float = 20, **wanted: Any) -> Line:
        """Return the first line that has these values; fails with all that was printed when none comes, or will.

        wanted: a key's value, or a function that says whether a value will do.
        """
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                for line in self.lines:
                    if all(
                        key in line and (value(line[key]) if callable(value) else line[key] == value)
                        for key, value in wanted.items()
                    ):
                        return line
                left = deadline - time.monotonic()
                if self._has_ended or left <= 0:
                    why = "before its end" if self._has_ended else f"in {seconds} s"
                    if self._has_ended:
                        self._readers[1].join()  # why it has
                    raise AssertionError(f"no line with {wanted} {why}:\n{self.transcript()}")
                self._changed.wait(left)

    def wait(self, seconds: float = 60) -> int:
        """Wait for its end; returns the exit code."""
        code = self._process.wait(seconds)
        for reader in self._readers:
            reader.join()
        return code

    def interrupt(self) -> int:
        """Press Ctrl-C; returns the exit code."""
        self._process.send_signal(signal.SIGINT)
        return self.wait()

    def stop(self) -> None:
        """End it, politely at first."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self.wait(5)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert stream
            stream.close()

    def transcript(self) -> str:
        """Return all that it printed so far."""
        return "\n".join([json.dumps(line) for line in self.lines] + self.complaints)

    def _read(self) -> None:
        assert self._process.stdout
        for text in self._process.stdout:
            line = json.loads(text)
            with self._changed:
                self.lines.append(line)
                self._changed.notify_all()
            if self._watch:
                self._watch(line)
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()

    def _read_complaints(self) -> None:
        assert self._process.stderr
        for text in self._process.stderr:
            self.complaints.append(text.rstrip())
