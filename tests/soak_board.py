"""`python -m tests.soak_board [KILLS]`: a virtual board that is killed again and again while it raises alerts.

Its desk loses answers, asks for a password and says 503 now and then. Each kill is kill -9 of the VM, a power cut but
for what the system has in its cache. What the file system makes of a cut, nights of outage, memory over 10,000 alerts
and 1,000 alerts in 64 KB come first: whole, of what tests/mote/test_field.py and test_outbox.py try a part.
"""

import contextlib
import os
import random
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.dns_server import closed_port
from tests.host_tools.peers import answer, header, sipmote
from tests.simulated.on_host import simulated
from tests.tools import Tool
from tests.vm import board

PROGRAM = """
import os
from binascii import hexlify
from mote import Mote

mote = Mote()
start = hexlify(os.urandom(4)).decode()
accepted = open("/accepted", "ab")
n = 0


@mote.every(0.02)
def measure():
    global n
    n += 1
    text = "%s-%d" % (start, n)
    if not "quiet" in os.listdir("/") and mote.alert(text).accepted:
        accepted.write(text + "\\n")
        accepted.flush()


mote.run()
"""
_MANY = """
from mote import Mote

mote = Mote()
n = 0


@mote.every(0.001)
def measure():
    global n
    if n < %d:
        n += 1
        mote.alert("alert number %%d of the boiler" %% n)
    elif n == %d:
        n += 1
        open("/raised", "w").close()


mote.run()
"""
DRAIN_S = 120.0  # for what is left at the end
_CHALLENGE = 'WWW-Authenticate: Digest realm="desk", nonce="%d", qop="auth"'


class Figures(NamedTuple):
    """What became of alerts that the board had accepted."""

    kills: int
    accepted: int
    lost: int  # never came to the desk
    doubled: int  # came as what the desk can't know for the same: under two Call-IDs, or from two senders
    repeats: int  # came again, as a twin that the desk can know

    @property
    def is_good(self) -> bool:
        """Was every promise kept?"""
        return not (self.lost or self.doubled)


class Desk(threading.Thread):
    """Takes alerts, and keeps of each text who sent it under which Call-ID."""

    def __init__(self, port: int = 0, is_kind: bool = False) -> None:
        """is_kind: does it answer everything with 200?"""
        super().__init__(daemon=True)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", port))
        self._is_kind = is_kind
        self.sock.settimeout(0.2)
        self.port = self.sock.getsockname()[1]
        self.got: dict[str, set[tuple[str, str]]] = {}
        self.last = b""
        self.repeats = 0
        self.ended = False

    def run(self) -> None:
        """Answer until the end."""
        while not self.ended:
            with contextlib.suppress(OSError):
                request, source = self.sock.recvfrom(65535)
                reply = self._take(request)
                if self._is_kind or random.random() >= 0.1:  # else it is lost: the next copy gets one
                    self.sock.sendto(reply, source)

    def _take(self, request: bytes) -> bytes:
        self.last = request
        if not self._is_kind and random.random() < 0.02:
            return answer(request, "503 Later")
        if not self._is_kind and b"\r\nAuthorization:" not in request and random.random() < 0.2:
            return answer(request, "401 Who").replace(
                b"\r\n\r\n", b"\r\n" + (_CHALLENGE % time.time()).encode() + b"\r\n"
            )
        known = self.got.setdefault(request.partition(b"\r\n\r\n")[2].decode(), set())
        who = header(request, "Call-ID"), header(request, "From").partition(";")[0]
        self.repeats += who in known
        known.add(who)
        return answer(request, "200 OK")

    def end(self) -> None:
        """Answer no more."""
        self.ended = True
        self.join()
        self.sock.close()


def soak(kills: int, bits: int = 32) -> Figures:
    """Kill a board as often as that, let it end its work, and count."""
    desk = Desk()
    desk.start()
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(_Closing(desk)):
        flash, program = Path(folder) / "flash", Path(folder) / "program.py"
        flash.mkdir()
        program.write_text(PROGRAM)
        with board("--dir", str(flash), "--heap", f"{4 * bits}k", bits=bits) as running:
            settings = ("--set", "aor=sip:boiler@127.0.0.1", "--set", f"to=sip:desk@127.0.0.1:{desk.port}")
            environment = {**os.environ, "SIPMOTE_PASSWORD": "wonder"}
            command = ("deploy", str(program), "--port", running.port, *settings, "--user", "boiler")
            code, out, err = sipmote(*command, env=environment)
            assert code == 0, out + err
            for _ in range(kills):
                seen = len(accepted(flash))
                deadline = time.monotonic() + 20
                while len(accepted(flash)) == seen and time.monotonic() < deadline:
                    time.sleep(0.01)
                time.sleep(random.uniform(0.0, 0.5))
                os.kill(vm_of(running.process.pid), signal.SIGKILL)
            (flash / "quiet").touch()
            deadline = time.monotonic() + DRAIN_S
            while missing(flash, desk) and time.monotonic() < deadline:
                time.sleep(0.05)
            texts, lost = accepted(flash), missing(flash, desk)
    doubled = sum(len(known) > 1 for known in desk.got.values())
    return Figures(kills, len(texts), len(lost), doubled, desk.repeats)


def pile_up(alerts: int, seconds: float) -> list[str]:
    """Raise so many alerts on a board with 64 KB of heap while nobody answers; return what comes when somebody does.

    He comes when the first has been given up, and with it more of the code is loaded.
    """
    port = closed_port()
    with tempfile.TemporaryDirectory() as folder:
        flash, program = Path(folder) / "flash", Path(folder) / "program.py"
        flash.mkdir()
        program.write_text(_MANY % (alerts, alerts))
        with board("--dir", str(flash), "--heap", "64k") as running:
            settings = ("--set", "aor=sip:boiler@127.0.0.1", "--set", f"to=sip:desk@127.0.0.1:{port}")
            code, out, err = sipmote("deploy", str(program), "--port", running.port, *settings)
            assert code == 0, out + err
            with Tool("monitor", "--port", running.port, "--json") as monitor:
                monitor.wait_for(
                    seconds, event="log", name="outcome", fields=lambda fields: fields["name"] == "timeout"
                )
            assert (flash / "raised").exists()
            desk = Desk(port, is_kind=True)
            desk.start()
            with contextlib.closing(_Closing(desk)):
                _await(lambda: len(desk.got) >= alerts and not (flash / "outbox").exists(), seconds)
    assert all(len(known) == 1 for known in desk.got.values())
    return list(desk.got)


def many(alerts: int) -> list[str]:
    """Return the texts of pile_up()."""
    return [f"alert number {n} of the boiler" for n in range(1, alerts + 1)]


def field() -> list[str]:
    """Try whole what a simulated board goes through; return what is wrong, and print the figures."""
    faults = []
    for bits in (32, 64):
        for name, *arguments in (
            ("power_cuts.power_cuts", 1),
            ("night.night", 14 * 24, 3600, True),
            ("losses.losses", True),
        ):
            found = simulated(name, *arguments, bits=bits, seconds=900)
            faults += found.pop("faults")
            print(bits, name, found)
        found = simulated("memory.memory", 10000, 100, bits=bits, heap="2m", seconds=900)
        free = found.pop("free")
        print(bits, "memory", found, "free", free[0], free[-1], min(free))
        if free[-1] < free[0] - 1024 or found["came"] != 10000:
            faults.append(f"memory: {free[0]} octets free after 100 alerts, {free[-1]} after 10,000")
    return faults


def _await(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)


class _Closing:
    def __init__(self, desk: Desk) -> None:
        self.close = desk.end


def vm_of(host: int) -> int:
    """Return the pid of the VM that a board runs now."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError):
            return int(Path(f"/proc/{host}/task/{host}/children").read_text())
    raise AssertionError("no VM runs")


def accepted(flash: Path) -> list[str]:
    """Return the texts that the board has said to have accepted; of the last line it may have written a part."""
    with contextlib.suppress(OSError):
        return (flash / "accepted").read_text().split("\n")[:-1]
    return []


def missing(flash: Path, desk: Desk) -> list[str]:
    return [text for text in accepted(flash) if text not in desk.got]


if __name__ == "__main__":
    wrong = field()
    print("\n".join(wrong) or "simulated: nothing is wrong")
    arrived = pile_up(1000, 200)
    print(f"64 KB of heap: {len(arrived)} of 1,000 arrived")
    figures = soak(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
    print(figures)
    sys.exit(0 if figures.is_good and figures.accepted and arrived == many(1000) and not wrong else 1)
