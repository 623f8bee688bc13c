"""CPU time of one MESSAGE at the inbox, each stored in sqlite, beside an older commit: both in turns in the same run.

What else the machine does moves both, so their ratio tells more than either. A round sends the same octets to each.
"""

import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from sipmote.errors import ToolError
from sipmote.virtual.vm import cache_dir
from tests.bench.parse_once import REQUEST
from tests.interop.peers import free_port, wait_until

OLD = "e955587"
_NOW = ("-m", "sipmote")
_THEN = ("-m", "host_tools")  # what it was called then
ROUNDS = 24
_WARM = 2  # rounds before those
MESSAGES = 2000  # in each
_OPEN = 100  # without an answer at once: as many as a socket's buffer surely takes
_BOARDS = 100  # that send them
_PATIENCE_S = 5


def cpu_ns() -> list[tuple[float, float]]:
    """Return (ns of user and system time a message now, at the older commit) for each round.

    Raises ToolError when the older commit can't be had, or an inbox doesn't answer.
    """
    costs = []
    with _inbox(_NOW, Path.cwd()) as now, _inbox(_THEN, _older()) as then:
        for number in range(_WARM + ROUNDS):
            requests = _requests(number)
            turns = (now, then) if number % 2 else (then, now)
            cost = {pid: _cost(pid, port, requests) for pid, port in turns}
            costs.append((cost[now[0]], cost[then[0]]))
    return costs[_WARM:]


def medians(costs: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """Return the medians of cpu_ns(): now, then, and of the ratio of both in a round."""
    return (
        median(now for now, _ in costs),
        median(then for _, then in costs),
        median(now / then for now, then in costs),
    )


def _older() -> Path:
    """Return a folder with the files of the older commit."""
    folder = cache_dir() / OLD
    if not folder.exists():
        archive = subprocess.run(["git", "archive", OLD], capture_output=True)
        if archive.returncode:
            raise ToolError(f"needs a git clone that has commit {OLD}")
        unpacked = folder.with_suffix(".new")
        shutil.rmtree(unpacked, ignore_errors=True)
        unpacked.mkdir(parents=True)
        subprocess.run(["tar", "-x", "-C", unpacked], input=archive.stdout, check=True)
        unpacked.rename(folder)
    return folder


@contextmanager
def _inbox(program: tuple[str, str], tree: Path) -> Iterator[tuple[int, int]]:
    """Run an inbox that keeps its messages in sqlite; gives its pid and port."""
    port = free_port()
    with tempfile.TemporaryDirectory(dir=".cache") as folder:
        command = [sys.executable, *program, "inbox", "--json", "--db", f"{Path(folder).resolve()}/inbox.db"]
        inbox = subprocess.Popen(
            [*command, "--bind", f"udp:127.0.0.1:{port}"],
            cwd=tree,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until(lambda: f":{port:04X} " in Path("/proc/net/udp").read_text())
            yield inbox.pid, port
        finally:
            inbox.terminate()
            inbox.wait()


def _requests(number: int) -> list[bytes]:
    """Return the messages of a round: 450 octets, each of its own transaction, from boards in turns."""
    requests = []
    for place in range(MESSAGES):
        call_id = f"{number * MESSAGES + place:016x}".encode()
        request = REQUEST.replace(b"7f3a9c21d4e85b60", call_id).replace(b"5f1d7c3a9b2e4d60", call_id[::-1])
        requests.append(re.sub(rb"pump7", b"pump%d" % (place % _BOARDS), request))
    return requests


def _cost(pid: int, port: int, requests: list[bytes]) -> float:
    """Send messages as fast as they are answered; returns ns of the inbox's CPU time for each."""
    begun = _spent_ns(pid)
    answered = sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        sock.settimeout(_PATIENCE_S)
        while answered < len(requests):
            while sent < len(requests) and sent - answered < _OPEN:
                sock.send(requests[sent])
                sent += 1
            try:
                answer = sock.recv(65535)
            except OSError as error:
                raise ToolError(f"an inbox answered {answered} of {sent} messages") from error
            if not answer.startswith(b"SIP/2.0 200 "):
                raise ToolError("an inbox answered " + answer[:40].decode(errors="replace").partition("\r")[0])
            answered += 1
    return (_spent_ns(pid) - begun) / len(requests)


def _spent_ns(pid: int) -> int:
    """Return the CPU time of a process, all its threads and the kernel's work for it, once it rests."""
    clock = ~pid << 3 | 2  # what clock_getcpuclockid(3) returns on Linux
    spent = -1
    while spent != (spent := time.clock_gettime_ns(clock)):
        time.sleep(0.02)
    return spent
