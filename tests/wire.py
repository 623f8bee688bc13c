"""A serial line between a virtual board's port and a port of its own: as fast as it should be, and as noisy."""

import contextlib
import os
import pty
import random
import threading
import time
import tty

_TICK_S = 0.002


class Wire:
    """Carries octets both ways until it is closed; `port` is its end for a host.

    most_unread: the most octets that were on their way to the board, or unread by it, at once: all since its last word.
    """

    def __init__(self, board: str, octets_s: float | None = None, noise: float = 0.0, seed: int = 1) -> None:
        """octets_s: its rate in each direction, None for any. noise: the part of octets that arrive changed."""
        self._board = os.open(board, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self._host, slave = pty.openpty()
        self.port = os.ttyname(slave)
        tty.setraw(slave)
        os.close(slave)
        os.set_blocking(self._host, False)
        self._octets_s = octets_s
        self.noise = noise
        self._dice = random.Random(seed)
        self.most_unread = 0
        self.octets = {"from board": 0, "to board": 0}
        self._ended = False
        self._thread = threading.Thread(target=self._carry)
        self._thread.start()

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._thread.join()
        os.close(self._board)
        os.close(self._host)

    def _carry(self) -> None:
        up, down = b"", b""
        unread, last = 0, time.monotonic()
        while not self._ended:
            time.sleep(_TICK_S)
            now = time.monotonic()
            room = 65536 if self._octets_s is None else int((now - last) * self._octets_s)
            if not room:
                continue
            last = now
            up += _read(self._board)
            down += _read(self._host)
            sent, up = up[:room], up[room:]
            if sent:
                unread = 0
            self._write(self._host, sent, "from board")
            sent, down = down[:room], down[room:]
            unread += len(sent)
            self.most_unread = max(self.most_unread, unread)
            self._write(self._board, sent, "to board")

    def _write(self, fd: int, data: bytes, way: str) -> None:
        self.octets[way] += len(data)
        if self.noise:
            data = bytes(
                [octet ^ 1 << self._dice.randrange(8) if self._dice.random() < self.noise else octet for octet in data]
            ).replace(b"\x03", b"\x02")  # which would end the board's program
        with contextlib.suppress(OSError):  # nobody has the port open
            os.write(fd, data)


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 4096)
    except OSError:
        return b""
