"""A pseudo-terminal whose other end a test's thread serves: what simulated boards have in common."""

import contextlib
import os
import select
import threading
import tty
from collections.abc import Callable
from typing import Self


class ScriptedPort:
    """Served until its cable is pulled. port: the path that tools open."""

    def __init__(self, serve: Callable[[], object]) -> None:
        """serve: runs in a thread from now on, until it returns or read() raises EOFError."""
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self._stop_read, self._stop_write = os.pipe()
        self._thread = threading.Thread(target=self._run, args=(serve,))
        self._thread.start()

    def _run(self, serve: Callable[[], object]) -> None:
        with contextlib.suppress(EOFError):
            serve()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.pull_cable()
        for end in (self._slave, self._stop_read, self._stop_write):
            os.close(end)

    def pull_cable(self) -> None:
        """End the terminal: whoever has it open sees the port go. Nobody gets its number before the context ends."""
        if self._master >= 0:
            os.write(self._stop_write, b"x")
            self._thread.join()
            os.close(self._master)
            self._master = -1

    def write(self, data: bytes) -> None:
        """Have this arrive at whoever has the port open."""
        os.write(self._master, data)

    def read(self, most: int) -> bytes:
        """Wait for what is sent to the port. Raises EOFError when the cable is pulled."""
        if self._stop_read in select.select([self._master, self._stop_read], [], [])[0]:
            raise EOFError
        return os.read(self._master, most)
