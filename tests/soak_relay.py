"""`python -m tests.soak_relay [KILLS]`: a relay under load that is killed again and again, and what its target got.

Senders repeat what is not answered. The target loses every tenth of its first answers, and says 503 now and then. Most
kills are kill -9, each fifth is SIGTERM.
"""

import random
import signal
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

from tests.host_tools.peers import answer, header, message
from tests.interop.peers import free_port
from tests.restarted import Restarted
from tests.soak_senders import Senders

_DRAIN_S = 90.0  # for what is left at the end
_USERS = 50


class Figures(NamedTuple):
    """What became of messages that were answered 202."""

    kills: int
    accepted: int
    lost: int  # never came to the target
    renamed: int  # came under two Call-IDs or from two senders
    repeats: int  # came again, as a twin that the target can know

    @property
    def is_good(self) -> bool:
        """Was every promise kept?"""
        return not (self.lost or self.renamed)


class _Target(threading.Thread):
    """Takes messages, and keeps of each text who sent it under which Call-ID."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.settimeout(0.2)
        self.got: dict[bytes, set[tuple[str, str]]] = {}
        self.repeats = 0
        self.ended = False
        self._answers: dict[str, bytes | None] = {}  # by branch

    def run(self) -> None:
        while not self.ended:
            try:
                request, source = self.sock.recvfrom(65535)
            except OSError:
                continue
            branch = header(request, "v").partition("branch=")[2].partition(";")[0]
            if branch not in self._answers:
                self._answers[branch] = self._take(request)
                if random.random() < 0.1:
                    continue  # this answer is lost: the next copy gets it
            reply = self._answers[branch]
            if reply:
                self.sock.sendto(reply, source)

    def _take(self, request: bytes) -> bytes:
        if random.random() < 0.02:
            return answer(request, "503 Later")
        known = self.got.setdefault(request.partition(b"\r\n\r\n")[2], set())
        who = header(request, "i"), header(request, "f").partition(";")[0]
        self.repeats += who in known
        known.add(who)
        return answer(request, "200 OK")


def _request(call_id: str, count: int) -> bytes:
    """Return a message to one of the users, made anew each time."""
    octets = message(call_id, f"text of {call_id}".encode(), branch=f"{count}", tag=f"{count}")
    return octets.replace(b"MESSAGE sip:desk@", b"MESSAGE sip:u%d@" % (sum(call_id.encode()) % _USERS), 1)


def _relay(folder: Path, port: int, target: int) -> Restarted:
    """Return `sipmote inbox --relay-to` at one port with one file."""
    options = ["--bind", f"udp:127.0.0.1:{port}", "--db", str(folder / "db"), "--relay-to", f"sip:127.0.0.1:{target}"]
    return Restarted(folder / "lines", "inbox", *options)


def soak(kills: int) -> Figures:
    """Kill a relay under load as often as that, let it end its work, and count."""
    target = _Target()
    target.start()
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        relay, senders = _relay(Path(folder), port, target.sock.getsockname()[1]), Senders(port, 202, _request)
        try:
            for number in range(kills):
                relay.start(senders.turn)
                until = time.monotonic() + random.uniform(0.02, 0.5)
                while time.monotonic() < until:
                    senders.turn()
                relay.end(signal.SIGTERM if number % 5 == 4 else signal.SIGKILL)
            relay.start(senders.turn)
            deadline = time.monotonic() + _DRAIN_S
            while _missing(senders, target) and time.monotonic() < deadline:
                relay.hasten()
                for _ in range(100):
                    senders.turn(more=False)
            relay.end(signal.SIGTERM)
        finally:
            target.ended = True
            target.join()
            target.sock.close()
            senders.close()
    renamed = sum(len(known) > 1 for known in target.got.values())
    return Figures(kills, len(senders.answered), len(_missing(senders, target)), renamed, target.repeats)


def _missing(senders: Senders, target: _Target) -> list[str]:
    return [one for one in senders.answered if f"text of {one}".encode() not in target.got]


if __name__ == "__main__":
    figures = soak(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
    print(figures)
    sys.exit(0 if figures.is_good and figures.accepted else 1)
