"""Senders that repeat what is not answered, as boards do: what the soaks have in common."""

import contextlib
import random
import socket
import time
from collections.abc import Callable

from tests.host_tools.peers import header

_OPEN = 20  # messages without an answer at once
_AGAIN_S = 0.1  # until one of those is sent again
_PAUSE_S = 0.001  # when nothing more has come


class Senders:
    """Some boards behind one socket."""

    def __init__(self, port: int, status: int, request: Callable[[str, int], bytes]) -> None:
        """port: where to send. status: of the answer that is waited for.

        request: makes one of its Call-ID and its number among all.
        """
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.connect(("127.0.0.1", port))
        self._sock.setblocking(False)
        self._taken = b"SIP/2.0 %d " % status
        self._request = request
        self._due: dict[str, float] = {}  # Call-ID -> when it is sent next
        self._count = 0
        self.answered: set[str] = set()

    def turn(self, *, more: bool = True) -> None:
        """Send what is due, and read what has come; more: with new ones."""
        now = time.monotonic()
        while more and len(self._due) < _OPEN:
            self._due[f"m{len(self.answered) + len(self._due)}-{random.getrandbits(32):x}"] = now
        for call_id in [call_id for call_id, at in self._due.items() if at <= now]:
            self._count += 1
            self._due[call_id] = now + _AGAIN_S
            with contextlib.suppress(OSError):  # nobody listens at the moment
                self._sock.send(self._request(call_id, self._count))
        try:
            while True:
                response = self._sock.recv(65535)
                if response.startswith(self._taken):
                    call_id = header(response, "Call-ID")
                    self._due.pop(call_id, None)
                    self.answered.add(call_id)
        except OSError:  # no more, or nobody listens
            time.sleep(_PAUSE_S)

    def close(self) -> None:
        """Send no more."""
        self._sock.close()
