"""What all peers have in common: programs of others, on free ports of loopback, each stopped by its own pid."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

DEADLINE_S = 20
DOMAIN = "interop.test"  # never looked up


def program(name: str, package: str) -> str:
    """Return the path of a program; where it is missing the test is skipped, or fails when CI is set."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if not path:
        assert not os.environ.get("CI"), f"install {package}"
        pytest.skip(f"no {name} here (Debian: {package})")
    return path


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that nobody has at the moment, neither for UDP nor for TCP."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    while True:
        with socket.socket(family) as tcp, socket.socket(family, socket.SOCK_DGRAM) as udp:
            tcp.bind((host, 0))
            port: int = tcp.getsockname()[1]
            try:
                udp.bind((host, port))
            except OSError:
                continue
            return port


@contextmanager
def running(command: Sequence[str], log: Path, **more: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program with its output in a file; it is ended on leaving, the hard way if it won't go."""
    with log.open("ab") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, **more)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until(what: Callable[[], Any], why: Callable[[], str] = lambda: "it never happened") -> Any:
    """Poll until what() is true and return it; fails with why() when that takes too long."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < deadline, why()
        time.sleep(0.05)
