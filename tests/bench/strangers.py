"""What strangers cost an inbox: CPU time of the worst datagrams, and memory under floods that aim at it.

Each is done to `sipmote inbox --json --db FILE`, by UDP and TLS on loopback.
"""

import contextlib
import itertools
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sipmote.errors import ToolError
from tests.bench.parse_once import REQUEST
from tests.hostile import datagrams
from tests.interop.peers import free_port, wait_until

SIZES = (1000, 8000, 64_000)  # octets of a hostile datagram
_AGAIN = (30, 5)  # how many of the dearest are sent again, and how often; the quickest counts: neighbours only add
SENDERS = 500_000
LONG = (80_000, 6000)  # requests, octets of the Call-ID of each
HANDSHAKES = 1300
_OPEN = 20  # requests without an answer at once: as many long ones as a socket takes
_PATIENCE_S = 5


class Worst(NamedTuple):
    """The datagram that took most CPU time of those of a size."""

    octets: int
    ms: float
    what: str
    ns_an_octet: float


def worst() -> Iterator[Worst]:
    """Give the worst datagram of each size."""
    for size in SIZES:
        with _inbox() as (pid, port), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", port))
            numbers = itertools.count()
            tried = [(what, data) for what, data in datagrams(size) if len(data) < 65_000]
            first = [_cost_ns(pid, sock, _renamed(data, next(numbers))) for _, data in tried]
            costs = []
            for cost, (what, data) in sorted(zip(first, tried, strict=True), reverse=True)[: _AGAIN[0]]:
                again = [_cost_ns(pid, sock, _renamed(data, next(numbers))) for _ in range(_AGAIN[1])]
                costs.append((min(cost, *again), what, len(data)))
        ns, what, octets = max(costs)
        yield Worst(octets, ns / 1e6, what, ns / octets)


def resident() -> Iterator[tuple[str, int]]:
    """Give (what was done to a fresh inbox, KiB that it then took at most)."""
    with _inbox() as (pid, _):
        yield "an inbox at rest", _peak_kib(pid)
    with _inbox() as (pid, port):
        _flood(port, SENDERS, 0)
        yield f"after {SENDERS:,} distinct senders", _peak_kib(pid)
    with _inbox() as (pid, port):
        _flood(port, *LONG)
        yield f"after {LONG[0]:,} requests with Call-IDs of {LONG[1]:,} octets", _peak_kib(pid)
    with _inbox(tls=True) as (pid, port):
        _stall(port)
        yield f"during {HANDSHAKES:,} TLS handshakes that stall", _peak_kib(pid)


@contextlib.contextmanager
def _inbox(tls: bool = False) -> Iterator[tuple[int, int]]:
    """Run an inbox; gives its pid and port."""
    port = free_port()
    with tempfile.TemporaryDirectory(dir=".cache") as folder:
        command = [sys.executable, "-m", "sipmote", "inbox", "--json", "--db", f"{folder}/inbox.db"]
        command += ["--bind", f"udp:127.0.0.1:{port}"]
        if tls:
            command += ["--bind", f"tls:127.0.0.1:{port}", "--tls-cert", _certificate(folder)]
        inbox = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: f":{port:04X} " in Path("/proc/net/udp").read_text())
            yield inbox.pid, port
        finally:
            inbox.terminate()
            inbox.wait()


def _certificate(folder: str) -> str:
    """Write a certificate with its key; returns the file."""
    path = f"{folder}/server.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2"]
    try:
        subprocess.run([*made, "-keyout", path, "-out", f"{path}.crt"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        raise ToolError("needs openssl") from None
    with open(path, "a") as file:
        file.write(Path(f"{path}.crt").read_text())
    return path


def _renamed(data: bytes, number: int) -> bytes:
    """Return a datagram as another transaction and another message, where it is one."""
    data = data.replace(b"z9hG4bK776sgdkse", b"z9hG4bK%09d" % number, 1)
    return data.replace(b"asd88asd77a@", b"%011d@" % number, 1)


def _cost_ns(pid: int, sock: socket.socket, data: bytes) -> int:
    """Send a datagram; returns the ns of CPU time until the inbox rests, its answer and its commit included."""
    begun = _spent_ns(pid)
    sock.send(data)
    time.sleep(0.005)
    return _spent_ns(pid) - begun


def _spent_ns(pid: int) -> int:
    """Return the CPU time of a process once it rests."""
    clock = ~pid << 3 | 2  # what clock_getcpuclockid(3) returns on Linux
    spent = -1
    while spent != (spent := time.clock_gettime_ns(clock)):
        time.sleep(0.01)
    return spent


def _flood(port: int, count: int, octets: int) -> None:
    """Send messages as fast as they are answered, each from a sender of its own, with a Call-ID so much longer."""
    answered = sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        sock.settimeout(_PATIENCE_S)
        while answered < count:
            while sent < count and sent - answered < _OPEN:
                call_id = b"%016x" % sent
                request = REQUEST.replace(b"7f3a9c21d4e85b60", call_id)
                request = request.replace(b"5f1d7c3a9b2e4d60", call_id[::-1] + b"x" * octets)
                sock.send(re.sub(rb"pump7", b"pump%d" % sent, request))
                sent += 1
            try:
                sock.recv(65535)
            except OSError as error:
                raise ToolError(f"an inbox answered {answered} of {sent} messages") from error
            answered += 1


def _stall(port: int) -> None:
    """Open streams that begin no handshake, and see that the last one's turn has come."""
    with contextlib.ExitStack() as stack:
        for _ in range(HANDSHAKES):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            sock.send(b"\x16\x03\x01\x02\x00\x01")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(_PATIENCE_S)
            sock.connect(("127.0.0.1", port))
            sock.send(REQUEST)
            try:
                sock.recv(65535)
            except OSError as error:
                raise ToolError("an inbox doesn't answer") from error


def _peak_kib(pid: int) -> int:
    """Return the most memory that a process has had at once."""
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")[2].split()[0])
