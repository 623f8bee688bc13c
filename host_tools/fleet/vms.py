"""Real boards in a fleet: virtual boards, each a MicroPython VM that runs our mote with a program that raises alerts.

Their way leads through a socket of ours, which passes on nothing while nobody is to be reached. What becomes of each
alert the program writes into a file on the board's flash.
"""

import asyncio
import contextlib
import json
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from sipmote.board.compile import compile_packages
from sipmote.errors import ToolError
from sipmote.fleet.boards import Fleet
from sipmote.fleet.report import Alert
from sipmote.sip.places import place
from sipmote.sip.udp import bound_socket, numeric

_PATIENCE_S = 90.0  # until all have started
_LOOK_S = 0.25  # between two looks at what they have written
_MAX_DATAGRAM = 65535
_PROGRAM = """
import asyncio
import os
import time
from mote import Mote

mote = Mote()
moments = open("/moments")
begin = due = None
number = 0


def now():
    return time.time_ns() // 1000000


def note(*words):
    with open("/outcomes", "a") as file:
        file.write(" ".join([str(word) for word in words]) + "\\n")


def next_due():
    line = moments.readline()
    return begin + int(line) if line else None


async def follow(number, alert):
    outcome = await alert
    note("ended", number, now(), outcome)


@mote.every(0.05)
def look():
    global begin, due, number
    if begin is None and "begin" in os.listdir("/"):
        with open("/begin") as file:
            begin = int(file.read())
        due = next_due()
    while due is not None and due <= now():
        number += 1
        raised = now()
        alert = mote.alert(%r %% number, expires=%d)
        note("raised", number, raised)
        asyncio.create_task(follow(number, alert))
        due = next_due()


note("ready")
mote.run()
"""

_SHORTEST_S = 10  # between two heartbeats of a real board


class Relay:
    """Carries the datagrams of one board to the first hop and back, while it is light."""

    def __init__(self, fleet: Fleet) -> None:
        """Raises OSError."""
        self._fleet = fleet
        way = fleet.way
        family, self._hop = numeric(way.flow[1].decode(), way.flow[2])
        self._board: Any = None  # its address, once it has sent something
        self._seen = b""
        self._front, self._back = (bound_socket(family, socket.SOCK_DGRAM, (way.bind, 0)) for _ in range(2))
        fleet.loop.add_reader(self._front, self._from_board)
        fleet.loop.add_reader(self._back, self._from_hop)
        self.uri = f"sip:{place(way.bind, self._front.getsockname()[1])}"

    def _from_board(self) -> None:
        with contextlib.suppress(OSError):
            data, self._board = self._front.recvfrom(_MAX_DATAGRAM)
            if data.startswith(b"MESSAGE "):
                tally = self._fleet.tally
                tally.repeated += data == self._seen
                tally.sent += data != self._seen
                self._seen = data
            if not self._fleet.is_dark():
                self._back.sendto(data, self._hop)

    def _from_hop(self) -> None:
        with contextlib.suppress(OSError):
            data, source = self._back.recvfrom(_MAX_DATAGRAM)
            if self._board is not None and source == self._hop and not self._fleet.is_dark():
                self._front.sendto(data, self._board)

    def close(self) -> None:
        """Carry nothing more."""
        for sock in (self._front, self._back):
            self._fleet.loop.remove_reader(sock)
            sock.close()


class RealBoard:
    """One virtual board, and its account as far as we have read it."""

    def __init__(self, fleet: Fleet, number: int, flash: Path, packages: dict[str, bytes]) -> None:
        """Make its flash and start it. Raises OSError."""
        self._fleet = fleet
        self._number = number
        self._flash = flash
        self._read = 0  # octets
        self._alerts: dict[int, Alert] = {}
        self._relay = Relay(fleet)
        self.is_ready = False
        program = _PROGRAM % (fleet.way.text(number, 0).replace("alert 0", "alert %d"), fleet.way.expires_s)
        moments = "".join(f"{int(at_s * 1000)}\n" for at_s in fleet.profile.alerts(number))
        texts = {"/main.py": program, "/moments": moments, "/mote.json": json.dumps(self._config())}
        for path, data in {**packages, **{path: text.encode() for path, text in texts.items()}}.items():
            file = flash / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        command = [sys.executable, "-m", "sipmote", "board", "start", "virtual", "--dir", str(flash)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)

    def _config(self) -> dict[str, Any]:
        way = self._fleet.way
        config: dict[str, Any] = {"aor": way.aor(self._number).decode(), "to": way.target.decode()}
        config |= {"proxy": self._relay.uri, "bind": "127.0.0.1:0"}  # a port of its own
        if way.per_minute is not None:
            config["per_minute"] = way.per_minute
        if self._fleet.profile.heartbeat_s is not None:
            config["heartbeat"] = max(_SHORTEST_S, int(self._fleet.profile.heartbeat_s))
        for _, user, password in way.credentials:
            config |= {"user": user.decode(), "password": password.decode()}
        return config

    def begin(self, unix_ms: int) -> None:
        """Let its program know when all begin."""
        (self._flash / "begin.new").write_text(str(unix_ms))
        (self._flash / "begin.new").rename(self._flash / "begin")

    def look(self) -> None:
        """Read what the program has written since. Raises ToolError when the board has ended."""
        with contextlib.suppress(FileNotFoundError), (self._flash / "outcomes").open("rb") as file:
            file.seek(self._read)
            whole = file.read().rpartition(b"\n")[0]
            self._read += len(whole) + (1 if whole else 0)
            for line in whole.decode().splitlines():
                self._take(line.split())
        if self._process.poll() is not None:
            raise ToolError(f"board {self._number}, a virtual one, has ended: try sipmote board start virtual")

    def _take(self, words: list[str]) -> None:
        tally, way = self._fleet.tally, self._fleet.way
        if words[0] == "ready":
            self.is_ready = True
            return
        number, at = int(words[1]), int(words[2]) / 1000
        if words[0] == "raised":
            text = way.text(self._number, number)
            self._alerts[number] = Alert(self._number, number, text, at, int(at) + float(way.expires_s))
            tally.begin(self._alerts[number])
        else:
            tally.end(self._alerts.pop(number), words[3], at)

    def close(self) -> None:
        """Switch it off."""
        self._process.terminate()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._relay.close()


class RealBoards:
    """The real boards of a fleet, numbered from 0."""

    def __init__(self, fleet: Fleet, count: int) -> None:
        self._fleet = fleet
        self._count = count
        self._boards: list[RealBoard] = []
        self._folder = Path(tempfile.mkdtemp(prefix="sipmote-fleet-"))

    async def open(self) -> None:
        """Start them; returns when the program of each runs. Raises ToolError when one doesn't."""
        packages = compile_packages()
        for number in range(self._count):
            self._boards.append(RealBoard(self._fleet, number, self._folder / f"board{number}", packages))
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _PATIENCE_S
        while not all(board.is_ready for board in self._boards):
            if loop.time() > deadline:
                raise ToolError(f"not all of {self._count} virtual boards start in {_PATIENCE_S:g} s: take fewer")
            await asyncio.sleep(_LOOK_S)
            self.look()

    def begin(self, unix: float) -> None:
        """Let time count from that moment on."""
        for board in self._boards:
            board.begin(int(unix * 1000))

    def look(self) -> None:
        """Read what they have written."""
        for board in self._boards:
            board.look()

    def close(self) -> None:
        """Switch them off."""
        for board in self._boards:
            board.close()
        shutil.rmtree(self._folder, ignore_errors=True)
