"""What all peers have in common: programs of others, on free ports of loopback, each stopped by its own pid."""

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

DEADLINE_S = 20
_POLITE_S = 3  # that a program has to end by itself
_given: set[int] = set()  # by free_port()


def program(name: str, package: str) -> str:
    """Return the path of a program; where it is missing the test is skipped, or fails when CI is set."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if not path:
        assert not os.environ.get("CI"), f"install {package}"
        pytest.skip(f"no {name} here (Debian: {package})")
    return path


def free_port(host: str = "127.0.0.1") -> int:
    """Return an even port that nobody has at the moment, neither for UDP nor for TCP, nor the next one for TCP.

    Some peers take the next one for TLS. Out of the range that systems give to clients: none of them comes between.
    Never the same twice: who was given it may not have opened it yet.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    while True:
        port = random.randrange(20000, 32000, 2)
        if port in _given:
            continue
        with (
            socket.socket(family) as tcp,
            socket.socket(family) as tls,
            socket.socket(family, socket.SOCK_DGRAM) as udp,
        ):
            try:
                tcp.bind((host, port))
                tls.bind((host, port + 1))
                udp.bind((host, port))
            except OSError:
                continue
            _given.add(port)
            return port


@contextmanager
def running(command: Sequence[str], log: Path, **more: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program with its output in a file; it is ended on leaving, with all that it has started.

    In a session of its own, whose processes can be ended the hard way: Kamailio's sometimes wait for each other.
    """
    with log.open("ab") as file:
        how: Any = {"stdin": subprocess.DEVNULL, "stdout": file, "stderr": file, "start_new_session": True}
        process = subprocess.Popen(command, **{**how, **more})
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_POLITE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def is_listening(port: int, transport: str = "tcp") -> bool:
    """Has somebody a port of this machine's by now?"""
    return f":{port:04X} " in Path(f"/proc/net/{transport}").read_text()


def wait_until(what: Callable[[], Any], why: Callable[[], str] = lambda: "it never happened") -> Any:
    """Poll until what() is true and return it; fails with why() when that takes too long."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < deadline, why()
        time.sleep(0.05)
