"""`make bench` / `python -m tests.bench [--json]`: prints what things cost, each line with how it was measured."""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from agent.user_agent import UserAgent
from tests.bench.peer import Peer
from tests.bench.vm import ALERT, CALLGRIND, Flash, missing_tools

_PEERS = ("sipmessage", "aiosipua", "sippy")
_VENV = Path(".cache/bench-venv")


class Table:
    """Prints figures as they come."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json

    def row(self, what: str, value: int | None, unit: str, how: str = "") -> None:
        if self._as_json:
            print(json.dumps({"what": what, "value": value, "unit": unit, "how": how}), flush=True)
        else:
            print(
                f"{'-' if value is None else format(value, ','):>12} {unit:13} {what}" + (f"  [{how}]" if how else "")
            )

    def note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def board(table: Table, flash: Flash) -> None:
    """What a board pays."""
    sizes = flash.sizes
    path = [*ALERT[1:-1], "mote.__init__", "mote.settings", "mote.log", "mote.shell", "mote.clock"]
    table.row("alert over UDP: .mpy files", sum(sizes[name] for name in path), "octets", "mpy-cross -O2")
    table.row("all of agent/ and mote/: .mpy files", sum(sizes.values()), "octets", "mpy-cross -O2")
    loaded = flash.run("modules", *ALERT) or ""
    kept = [(name, int(octets)) for name, octets in re.findall(r"^(\S+) (\d+)$", loaded, re.MULTILINE)]
    for name, octets in kept:
        shown = "mote with settings, log, shell, clock" if name == "mote.settings" else name
        table.row(f"heap kept by {shown}", octets, "octets", "32-bit VM, after gc.collect()")
    table.row("heap kept by all that an alert loads", sum(octets for _, octets in kept), "octets")
    how = "-X heapsize, steps of 512"
    with Peer() as peer:
        port = str(peer.port)
        table.row("smallest heap: one alert over UDP", flash.smallest_heap("alert", port, "1"), "octets", how)
        table.row("smallest heap: one alert over TCP", flash.smallest_heap("alert", port, "1", "tcp"), "octets", how)
    with Peer(password=b"wonder") as peer:
        arguments = (str(peer.port), "1", "tcp", "register=600", "password=wonder")
        table.row("smallest heap: registration, digest, TCP", flash.smallest_heap("alert", *arguments), "octets", how)
    with Peer(b"status") as peer:
        smallest = flash.smallest_heap("command", str(peer.port))
        table.row("smallest heap: alerts and a command answered", smallest, "octets", how)
    for stage in ("send", "send+receive", "log"):
        said = flash.run("stage", stage, "0")
        octets = int(re.findall(r"(\d+)\s*$", said)[0]) if said else None
        table.row(f"allocated by {stage}", octets, "octets", "collector off")


def instructions(table: Table, flash: Flash) -> None:
    """What a board computes."""
    if missing_tools():
        table.note(f"instructions are not counted: install {missing_tools()}")
        return
    how = "callgrind, 32-bit VM"
    for stage in ("send", "send+receive", "log"):
        table.row(f"instructions of {stage}", flash.instructions("stage", stage), "x86", how)
    with Peer() as peer:
        table.row("instructions of one alert and its 200", flash.instructions("alert", str(peer.port)), "x86", how)
    with Peer(password=b"wonder", reuse=False) as peer:
        counted = flash.instructions("alert", str(peer.port), "password=wonder")
        table.row("instructions of one alert, a challenge and its 200", counted, "x86", how)


def parsers(table: Table) -> None:
    """What CPython pays to read a message, beside what others pay."""
    if missing_tools():
        return
    python = str(_VENV / "bin" / "python")
    if not Path(python).exists():
        subprocess.run([sys.executable, "-m", "venv", _VENV], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *_PEERS], check=True)
    for name in ("ours", "splitting", *_PEERS):
        counted = []
        for rounds in ("20", "220"):
            done = subprocess.run(
                [*CALLGRIND, python, "tests/bench/parse_once.py", name, rounds],
                capture_output=True,
                text=True,
                env={**os.environ, "PYTHONPATH": ".", "PYTHONHASHSEED": "0"},
            )
            counted += [int(number) for number in re.findall(r"Collected : (\d+)", done.stderr)[-1:]]
        value = (counted[1] - counted[0]) // 200 if len(counted) == 2 else None
        table.row(f"parse a MESSAGE and read six fields: {name}", value, "x86", "callgrind, CPython")


def wire(table: Table) -> None:
    """Octets beside the body."""
    body = b"Boiler at 85 C"
    board = UserAgent(b"sip:boiler@example.org", b"192.0.2.7:5060", os.urandom)
    desk = UserAgent(b"sip:desk@example.org", b"192.0.2.9:5060", os.urandom)
    flow = (b"UDP", b"192.0.2.7", 5060)
    for compact in (False, True):
        events = board.send(b"%020d" % compact, b"sip:desk%d@192.0.2.9" % compact, body, 0, compact=compact)
        data = events[0].data  # type: ignore[attr-defined]
        names = "compact" if compact else "full"
        table.row(f"one alert on the wire beside its text, {names} names", len(data) - len(body), "octets")
        received = desk.receive(data, flow, 0)[0]
        answer = desk.respond(received, 200, 0)[0]  # type: ignore[arg-type]
        table.row(f"its 200, {names} names asked", len(answer.data), "octets")  # type: ignore[attr-defined]


def main() -> int:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    table = Table(parser.parse_args().json)
    with tempfile.TemporaryDirectory() as folder:
        flash = Flash(Path(folder))
        wire(table)
        board(table, flash)
        instructions(table, flash)
    parsers(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
