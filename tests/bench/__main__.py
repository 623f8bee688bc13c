"""`make bench` / `python -m tests.bench [PART ..] [--json]`: prints what things cost, part by part."""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sipmote.agent.user_agent import UserAgent
from sipmote.errors import ToolError
from tests.bench.load import FLOOR, INBOX, UASES, carried, lacking, peers_python
from tests.bench.peer import Peer
from tests.bench.store import costs
from tests.bench.vm import CALLGRIND, Flash, missing_tools

_PARSERS = ("sipmessage", "aiosipua", "sippy")
_PROGRAMS = (["alert"], ["stage", "send"], ["stage", "send+receive"], ["stage", "log"])
_MQTT = Path("../shared/bench/mqtt/run.py")


class Table:
    """Prints figures as they come, each part under the command that measures it again."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._command = ""

    def part(self, name: str) -> None:
        self._command = f"python -m tests.bench {name}"
        if not self._as_json:
            print(f"\n$ {self._command}")

    def row(self, what: str, value: int | None, unit: str, how: str = "") -> None:
        if self._as_json:
            row = {"what": what, "value": value, "unit": unit, "how": how, "command": self._command}
            print(json.dumps(row), flush=True)
            return
        shown = "not measured" if value is None else format(value, ",")
        print(f"{shown:>12} {unit:12} {what}" + (f"  [{how}]" if how else ""), flush=True)

    def note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def wire(table: Table, _: Flash) -> None:
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


def heap(table: Table, flash: Flash) -> None:
    """What a board's memory pays: for one alert over UDP, and for more, each as its share and in all."""
    tcp = ";transport=tcp"
    with Peer() as peer, Peer(b"status") as asking, Peer(password=b"wonder") as strict:
        cases: tuple[tuple[str, Peer, str, dict[str, Any]], ...] = (
            ("one alert over UDP", peer, "", {}),
            ("one alert over TCP", peer, tcp, {}),
            ("one alert, registered", peer, "", {"register": 600}),
            ("one alert, digest", strict, "", {"password": "wonder"}),
            ("one alert, registered, digest, TCP", strict, tcp, {"register": 600, "password": "wonder"}),
            ("one alert that asks for a notification", peer, "", {"notify": 1}),
            ("alerts and a command answered", asking, "", {}),
        )
        alone: dict[str, int] = {}
        for what, desk, parameters, settings in cases:
            flash.configure(desk.port, parameters, **settings)
            program = ["command"] if desk is asking else ["alert", "1"]
            kept = _kept(flash, *program)
            alone = alone or kept
            size = sum(flash.sizes.get(name) or flash.sizes.get(name + ".__init__", 0) for name in kept)
            table.row(f"{what}: .mpy files of its modules", size, "octets", "mpy-cross -O2")
            if kept is not alone:
                share = sum(octets for name, octets in kept.items() if name not in alone)
                table.row(f"{what}: heap kept by the modules that it alone needs", share, "octets")
            table.row(f"{what}: smallest heap", flash.smallest_heap(*program), "octets", "-X heapsize, steps of 512")
    table.row("all of agent/ and mote/: .mpy files", sum(flash.sizes.values()), "octets", "mpy-cross -O2")
    for name, octets in alone.items():
        table.row(f"heap kept by {name}", octets, "octets", "without what it loads, after gc.collect()")
    table.row("heap kept by all that an alert loads", sum(alone.values()), "octets")


def _kept(flash: Flash, *program: str) -> dict[str, int]:
    """Return each module that a program has loaded when it ends, and the heap that it keeps."""
    found = re.findall(r"^kept (\S+) (-?\d+)", flash.run(*program, start="modules") or "", re.MULTILINE)
    return {name: int(octets) for name, octets in found}


def work(table: Table, flash: Flash) -> None:
    """What one alert and its 200 allocate and compute, in all and stage by stage."""
    counted: list[tuple[str, str, Callable[..., int | None]]] = [("octets", "collector off", flash.allocated)]
    if missing_tools():
        table.note(f"instructions are not counted: install {missing_tools()}")
    else:
        counted.append(("instructions", "callgrind, x86, 32-bit VM", flash.instructions))
    with Peer() as peer, Peer(password=b"wonder", reuse=False) as strict:
        for unit, how, cost in counted:
            flash.configure(peer.port)
            whole, send, both, log = (cost(*program) for program in _PROGRAMS)
            table.row("one alert and its 200", whole, unit, how)
            table.row("of it: send, in the core", send, unit)
            if None not in (whole, send, both, log):
                table.row("of it: receive, in the core", both - send, unit)  # type: ignore[operator]
                table.row("of it: the outcome's log record", log, unit)
                table.row("of it: shell, asyncio, socket", whole - both - log, unit)  # type: ignore[operator]
        if not missing_tools():
            flash.configure(strict.port, password="wonder")
            table.row("one alert, a challenge and its 200", flash.instructions("alert"), "instructions")
    frames = re.findall("\x1e[^\x1f]*\x1f", flash.run("stage", "log", "1") or "")
    table.row("one log record on the serial line", len(frames[0]) if frames else None, "octets")


def mqtt(table: Table, flash: Flash) -> None:
    """What MQTT clients pay on the same VM, by ../shared/bench with $MPLIB and $MQTTAS, checkouts of both."""
    lacking = [name for name in ("MPLIB", "MQTTAS") if not os.environ.get(name)]
    lacking += [] if _MQTT.exists() else [str(_MQTT)]
    needed = {"mosquitto": "mosquitto", "valgrind": "valgrind", "objdump": "binutils"}
    if missing_tools(needed):
        lacking.append(f"what Debian has in {missing_tools(needed)}")
    if lacking:
        table.note("MQTT clients are not measured for want of " + ", ".join(lacking))
    for client in ("umqtt.simple", "mqtt_as"):
        said = "" if lacking else _mqtt_run(flash, client)
        for what, unit, pattern in (
            (".mpy files", "octets", r"\.mpy -O2 (\d+) B"),
            ("smallest heap: connect, one publish at QoS 1", "octets", r"modules from \.mpy +(\d+) B"),
            ("one publish at QoS 1", "octets", r"allocated per publish: \[.*?(\d+)(?:\.\d+)?'\]"),
            ("one publish at QoS 1", "instructions", r"instructions per publish: (\d+)"),
            ("one publish at QoS 0, back to back", "instructions", r"QoS-0 publish, back to back: (\d+)"),
        ):
            found = re.search(pattern, said)
            if found or lacking:
                table.row(f"{client}: {what}", int(found[1]) if found else None, unit)


def _mqtt_run(flash: Flash, client: str) -> str:
    counting = flash.counting()[len(CALLGRIND) :]
    vms = {"UPY": shlex.join(flash.vm), "UPY_CG": shlex.join(counting)}
    command = [sys.executable, str(_MQTT), client]
    return subprocess.run(command, env={**os.environ, **vms}, capture_output=True, text=True).stdout


def parsers(table: Table, _: Flash) -> None:
    """What CPython pays to read a message, beside what others pay."""
    if missing_tools():
        table.note(f"instructions are not counted: install {missing_tools()}")
        return
    python = peers_python()
    for name in ("ours", "splitting", *_PARSERS):
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
        table.row(f"parse a MESSAGE and read six fields: {name}", value, "instructions", "callgrind, CPython")


def load(table: Table, _: Flash) -> None:
    """What the inbox carries, beside what others do."""
    if lacking():
        table.note(f"what UASes carry is not measured for want of {lacking()}")
        return
    done = {}
    for who in UASES:
        done[who] = one = carried(who)
        how = f"load average {os.getloadavg()[0]:.1f}"
        offered = f"{one.offered:,} offered, " if one.offered else ""
        table.row(f"transactions, none failed or sent again: {who}", one.most, "a second", offered + how)
        table.row(f"CPU time of a transaction: {who}", one.cpu_ns, "ns", how)
    inbox, floor = done[INBOX], done[FLOOR]
    share = 100 * inbox.most // floor.most if inbox.most and floor.most else None
    table.row("the inbox carries, of the stateless UAS", share, "%")


def store(table: Table, _: Flash) -> None:
    """What a message costs as the store grows."""
    for rows, ns, octets in costs():
        table.row(f"keep one more message beside {rows:,}", ns, "ns", "CPU time, commits of 100")
        table.row(f"the file with {rows:,} and some thousand more", octets, "octets", "each message")


_PARTS = {
    "wire": wire,
    "heap": heap,
    "work": work,
    "mqtt": mqtt,
    "parsers": parsers,
    "load": load,
    "store": store,
}


def main() -> int:
    """Measure the parts that are named, or everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="*", help=", ".join(_PARTS))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    for name in arguments.part:
        if name not in _PARTS:
            parser.error(f"no part {name}: there are {', '.join(_PARTS)}")
    table = Table(arguments.json)
    with tempfile.TemporaryDirectory() as folder:
        try:
            flash = Flash(Path(folder))
        except ToolError as error:
            table.note(str(error))
            return 1
        for name in arguments.part or _PARTS:
            table.part(name)
            _PARTS[name](table, flash)
    return 0


if __name__ == "__main__":
    sys.exit(main())
