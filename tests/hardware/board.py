"""The acceptance of a real board: `make hardware PORT=... [WIFI=ssid[:password]] [HOST=address]`.

PORT: its serial port. WIFI: the network it is to join; without it only what needs no network is tried, unless the board
has sockets of its own (the virtual one). HOST: this machine's address as the board sees it. The board is left as found.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.tools import Tool

PORT = os.environ.get("PORT", "")
WIFI = os.environ.get("WIFI", "")
HOST = os.environ.get("HOST", "") or "127.0.0.1"
NETWORKS = [WIFI.split(":", 1) if ":" in WIFI else [WIFI, ""]] if WIFI else []
SLOW_S = 300  # what one call of mpremote may take on a board with slow flash

on_a_board = [
    pytest.mark.skipif(not PORT, reason="no board: make hardware PORT=..."),
    pytest.mark.timeout(900),
]


def mpremote(*arguments: str) -> str:
    """Run the real mpremote on the board; returns what it printed."""
    command = [sys.executable, "-m", "mpremote", "connect", PORT, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SLOW_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def here() -> str:
    """Return where programs on this machine listen for the board: at HOST, or at what is mapped to it."""
    with socket.socket() as sock:
        try:
            sock.bind((HOST, 0))
        except OSError:  # no address of ours: a network between the board and us leads from there to our loopback
            return "127.0.0.1"
    return HOST


def start() -> None:
    """Let the board start anew and run its program, as far as it has one."""
    with Tool("monitor", "--port", PORT, "--reset") as monitor:
        monitor.wait_for(event="console", text="MPY: soft reboot")


@contextmanager
def running(folder: Path, program: Path, *arguments: str, **settings: Any) -> Iterator[Tool]:
    """Deploy a program with these arguments and settings and start it; gives its monitor, from its first record on."""
    configuration = folder / "mote.json"
    configuration.write_text(json.dumps({"bind": "0.0.0.0:0", "wifi": NETWORKS, **settings}))
    deploy = ["deploy", str(program), "--port", PORT, "--config", str(configuration), "--no-start", *arguments]
    with Tool(*deploy, "--no-clock") as tool:
        assert tool.wait(SLOW_S) == 0, tool.transcript()
    with Tool("monitor", "--port", PORT, "--reset") as monitor:
        monitor.wait_for(SLOW_S, event="log", name="boot")
        yield monitor
