"""`make bench` / `python -m tests.bench [PART ..] [--json]`: prints what things cost, part by part."""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sipmote.agent.user_agent import UserAgent
from sipmote.errors import ToolError
from tests.bench.heap import file_costs, markdown, profiles
from tests.bench.load import FLOOR, INBOX, UASES, carried, lacking, peers_python
from tests.bench.peer import Peer
from tests.bench.sealed import command
from tests.bench.vm import CALLGRIND, KEPT, Board, Code, missing_tools

_OURS = {"ours": "ours", "portable": "ours, by the portable reader", "splitting": "splitting at lines and colons"}
_PARSERS = ("sipmessage", "aiosipua", "sippy")
_PROTECT = ("sign", "encrypt", "sign+encrypt", "shared")
_ESP32_HEAP = 147456  # octets
_PROGRAMS = (["alert"], ["stage", "send"], ["stage", "send+receive"], ["stage", "log"])
_PARSE_ONCE = "tests/bench/parse_once.py"
_MQTT = Path("../shared/bench/mqtt/run.py")


class Table:
    """Prints figures as they come, each part under the command that measures it again."""

    def __init__(self, form: str) -> None:
        """form: "text", "json" (one object a line), or "markdown": the tables of a part that has some."""
        self.form = form
        self._command = ""

    def part(self, name: str) -> None:
        self._command = f"python -m tests.bench {name}"
        if self.form == "text":
            print(f"\n$ {self._command}")

    def row(self, what: str, value: int | float | None, unit: str, how: str, **more: object) -> None:
        """Print a figure; how: how it was measured, or what is missing where there is None. more: for JSON alone."""
        if self.form == "json":
            row = {"what": what, "value": value, "unit": unit, "how": how, **more, "command": self._command}
            print(json.dumps(row), flush=True)
        elif self.form == "text":
            shown = "not measured" if value is None else format(value, ",")
            print(f"{shown:>12} {unit:12} {what}" + (f"  [{how}]" if how else ""), flush=True)

    def note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def wire(table: Table, _: Code) -> None:
    """Octets beside the body."""
    body = b"Boiler at 85 C"
    board = UserAgent(b"sip:boiler@example.org", b"192.0.2.7:5060", os.urandom)
    desk = UserAgent(b"sip:desk@example.org", b"192.0.2.9:5060", os.urandom)
    flow = (b"UDP", b"192.0.2.7", 5060)
    how = "counted in what the core sends"
    for compact in (False, True):
        events = board.send(b"%020d" % compact, b"sip:desk%d@192.0.2.9" % compact, body, 0, compact=compact)
        data = events[0].data  # type: ignore[attr-defined]
        names = "compact" if compact else "full"
        table.row(f"one alert on the wire beside its text, {names} names", len(data) - len(body), "octets", how)
        received = desk.receive(data, flow, 0)[0]
        answer = desk.respond(received, 200, 0)[0]  # type: ignore[arg-type]
        table.row(f"its 200, {names} names asked", len(answer.data), "octets", how)  # type: ignore[attr-defined]
    from tests.bench.sealed import around

    for protect, ours, theirs in around():
        table.row(f"around 100 octets of text in message/cpim, {protect}", ours, "octets", "without certificates")
        table.row(f"the same by openssl cms, {protect}", theirs, "octets", "-nocerts -keyid -aes-128-gcm")


def heap(table: Table, code: Code) -> None:
    """What a board's memory pays: for one alert over UDP and for more, in all and file by file."""
    measured = profiles(code)
    costs = file_costs(code, measured)
    alone = measured[0].kept
    for one in measured:
        what = one.profile.what
        for place, octets in one.smallest:
            table.row(f"{what}: smallest heap, {place.name}", octets, "octets", place.how)
        size = sum(code.sizes[name] for name in one.opened)
        table.row(f"{what}: .mpy files of its modules", size, "octets", "mpy-cross -O3", loads=one.opened)
        if one.kept is not alone:
            share = sum(octets for name, octets in one.kept.items() if name not in alone)
            table.row(f"{what}: heap kept by the modules that it alone needs", share, "octets", KEPT)
    total = sum(octets for name, octets in alone.items() if name in code.sizes)
    table.row("heap kept by all that an alert loads", total, "octets", KEPT)
    table.row("all of agent/ and mote/: .mpy files", sum(code.sizes.values()), "octets", "mpy-cross -O3")
    for file in costs:
        places = ", ".join(f"{place} {octets:,}" for place, octets in file.kept.items() if place != code.mpy.name)
        row = {"kept": file.kept, "loaded_by": file.loaded_by, "needed_for": file.needed_for}
        table.row(f"heap kept by {file.name}", file.kept.get(code.mpy.name), "octets", places, **row)
    if table.form == "markdown":
        print(markdown(code, measured, costs))


def work(table: Table, code: Code) -> None:
    """What one alert and its 200 allocate and compute, in all and stage by stage."""
    missing = missing_tools()
    with Peer() as peer, Peer(password=b"wonder", reuse=False) as strict:
        board = code.board().configure(peer.port)
        asked = code.board().configure(strict.port, password="wonder")
        for unit, how, cost in (
            ("octets", "allocated from .mpy files, collector off: 60 alerts less 10", Board.allocated),
            ("instructions", "callgrind, x86, 32-bit VM, from .mpy files: 120 alerts less 20", Board.instructions),
        ):
            if unit == "instructions" and missing:
                table.row("one alert and its 200", None, unit, f"needs Debian's {missing}")
                continue
            whole, send, both, log = (cost(board, *program) for program in _PROGRAMS)
            table.row("one alert and its 200", whole, unit, how)
            table.row("of it: send, in the core", send, unit, how)
            if None not in (whole, send, both, log):
                table.row("of it: receive, in the core", both - send, unit, how)  # type: ignore[operator]
                table.row("of it: the outcome's log record", log, unit, how)
                table.row("of it: shell, asyncio, socket", whole - both - log, unit, how)  # type: ignore[operator]
            table.row("one alert, a SHA-256 challenge and its 200", cost(asked, "alert"), unit, how)
            if unit == "instructions":
                for protect in _PROTECT:
                    sealed = code.board().configure(peer.port, protect=protect)
                    count = sealed.instructions("alert", low=3, high=11, heap=_ESP32_HEAP)
                    how = "callgrind, x86, 32-bit VM, from .mpy files: 11 alerts less 3, with the heap of an ESP32"
                    table.row(f"one alert and its 200, protect={protect}", count, unit, how)
                with Peer(b"status", seal=command) as desk:
                    asked = code.board().configure(desk.port, require="signed+encrypted")
                    for heap, where in ((1 << 20, "1 MB of heap"), (_ESP32_HEAP, "the heap of an ESP32")):
                        count = asked.instructions("commands", low=1, high=4, heap=heap)
                        how = f"callgrind, x86, 32-bit VM, from .mpy files: 4 commands less 1, with {where}"
                        table.row("a command that is signed and encrypted, opened and answered", count, unit, how)
        frames = re.findall("\x1e[^\x1f]*\x1f", board.run("stage", "log", "1") or "")
    table.row("one log record on the serial line", len(frames[0]) if frames else None, "octets", "printed by the VM")


def mqtt(table: Table, code: Code) -> None:
    """What MQTT clients pay on the same VM, by ../shared/bench with $MPLIB and $MQTTAS, checkouts of both."""
    lacking = [name for name in ("MPLIB", "MQTTAS") if not os.environ.get(name)]
    lacking += [] if _MQTT.exists() else [str(_MQTT)]
    needed = {"mosquitto": "mosquitto", "valgrind": "valgrind", "objdump": "binutils"}
    if missing_tools(needed):
        lacking.append(f"what Debian has in {missing_tools(needed)}")
    for client in ("umqtt.simple", "mqtt_as"):
        said = "" if lacking else _mqtt_run(code, client)
        for what, unit, pattern in (
            (".mpy files", "octets", r"\.mpy -O2 (\d+) B"),
            ("smallest heap: connect, one publish at QoS 1", "octets", r"modules from \.mpy +(\d+) B"),
            ("one publish at QoS 1", "octets", r"allocated per publish: \[.*?(\d+)(?:\.\d+)?'\]"),
            ("one publish at QoS 1", "instructions", r"instructions per publish: (\d+)"),
            ("one publish at QoS 0, back to back", "instructions", r"QoS-0 publish, back to back: (\d+)"),
        ):
            found = re.search(pattern, said)
            how = f"needs {', '.join(lacking)}" if lacking else f"{_MQTT} on the same VM"
            if found or lacking:
                table.row(f"{client}: {what}", int(found[1]) if found else None, unit, how)


def _mqtt_run(code: Code, client: str) -> str:
    counting = code.counting[len(CALLGRIND) :]
    vms = {"UPY": shlex.join(code.vm), "UPY_CG": shlex.join(counting)}
    command = [sys.executable, str(_MQTT), client]
    return subprocess.run(command, env={**os.environ, **vms}, capture_output=True, text=True).stdout


def parsers(table: Table, _: Code) -> None:
    """What CPython pays to read a message, beside what others pay."""
    for name in ("ours", "portable", "splitting", *_PARSERS):
        what = f"parse a MESSAGE and read six fields: {_OURS.get(name, name)}"
        if missing_tools():
            table.row(what, None, "instructions", f"needs Debian's {missing_tools()}")
            continue
        counted = []
        for rounds in ("20", "220"):
            done = subprocess.run(
                [*CALLGRIND, peers_python() if name in _PARSERS else sys.executable, _PARSE_ONCE, name, rounds],
                capture_output=True,
                text=True,
                env={**os.environ, "PYTHONPATH": ".", "PYTHONHASHSEED": "0"},
            )
            if done.returncode == 0:
                counted += [int(number) for number in re.findall(r"Collected : (\d+)", done.stderr)[-1:]]
        value = (counted[1] - counted[0]) // 200 if len(counted) == 2 else None
        how = "callgrind, CPython: 220 messages of 450 octets less 20"
        said = [line for line in done.stderr.splitlines() if not line.startswith("==")]
        table.row(what, value, "instructions", how if value else " ".join(said[-1:]))


def load(table: Table, _: Code) -> None:
    """What the inbox carries, beside what others do."""
    done = {}
    for who in UASES:
        what = f"transactions, none failed or sent again: {who}"
        if lacking():
            table.row(what, None, "a second", f"needs {lacking()}")
            continue
        done[who] = one = carried(who)
        how = f"SIPp on loopback, load average {os.getloadavg()[0]:.1f}"
        table.row(what, one.most, "a second", (f"{one.offered:,} offered, " if one.offered else "") + how)
        table.row(f"CPU time of a transaction: {who}", one.cpu_ns, "ns", how)
    if done and done[INBOX].most and done[FLOOR].most:
        share = 100 * done[INBOX].most // done[FLOOR].most  # type: ignore[operator]
        table.row("the inbox carries, of the stateless UAS", share, "%", "of the rows above")


def inbox(table: Table, _: Code) -> None:
    """What the inbox computes for a message, beside what it did at an older commit."""
    from tests.bench.inbox_cpu import MESSAGES, OLD, ROUNDS, cpu_ns, medians

    what = f"CPU time of a MESSAGE at the inbox, as a ratio to commit {OLD}"
    costs = cpu_ns()
    now, then, ratio = medians(costs)
    how = f"user and system time, sqlite on, {MESSAGES} messages to each in turns, median of {ROUNDS} rounds, "
    how += f"load average {os.getloadavg()[0]:.1f}"
    low, high = (sorted(now / then for now, then in costs)[len(costs) * share // 4] for share in (1, 3))
    table.row(what, round(ratio, 3), "", f"{how}; half of them between {low:.2f} and {high:.2f}")
    table.row("CPU time of a MESSAGE at the inbox", round(now), "ns", how)
    table.row(f"CPU time of a MESSAGE at the inbox, commit {OLD}", round(then), "ns", how)


def store(table: Table, _: Code) -> None:
    """What a message costs as the store grows."""
    from tests.bench.store import costs

    for rows, ns, octets in costs():
        table.row(f"keep one more message beside {rows:,}", ns, "ns", "CPU time, commits of 100")
        table.row(f"the file with {rows:,} and some thousand more", octets, "octets", "each message")


def smime(table: Table, _: Code) -> None:
    """What CPython pays to protect a message and to open it, beside what others do."""
    from tests.bench.smime_cpu import costs

    if missing_tools({"openssl": "openssl"}):
        table.row("protect a message and open it", None, "us", "needs Debian's openssl")
        return
    ours: dict[tuple[str, str], float] = {}
    load = f"load average {os.getloadavg()[0]:.1f}"
    lines = ["| 100 octets of text | whose | us of CPU time | as a ratio to ours |", "|---" * 4 + "|"]
    for protect, what, whose, us in costs():
        one = ours.setdefault((protect, what), us)  # ours come first
        how = f"CPU time, quickest of 12 rounds in turns with the others, {load}; {us / one:.1f} of ours"
        table.row(f"{what} a message, {protect}: {whose}", round(us), "us", how)
        lines.append(f"| {what}, {protect} | {whose} | {us:,.0f} | {us / one:.1f} |")
    if table.form == "markdown":
        print("\n".join(lines))


def amplification(table: Table, _: Code) -> None:
    """What a forged source of a datagram would get."""
    from tests.bench.amplification import WAITED_S, octets

    how = f"a message of {{}} octets over UDP to inbox --imdn that asks for a notification; no answer for {WAITED_S} s"
    for what, came, left in octets():
        table.row(f"octets out per octet in, an unverified source: {what}", round(left / came, 2), "", how.format(came))


def strangers(table: Table, _: Code) -> None:
    """What a stranger can cost an inbox at most."""
    from tests.bench.strangers import resident, worst

    for one in worst():
        table.row(f"worst datagram of {one.octets:,} octets", round(one.ms, 2), "ms", f"CPU time; {one.what}")
        table.row("of it, an octet", round(one.ns_an_octet), "ns", "CPU time")
    for what, kib in resident():
        table.row(f"memory {what}", kib, "KiB", "most that was resident")


def flash(table: Table, _: Code) -> None:
    """What an alert writes to flash."""
    from tests.bench.flash import written

    names = {"at_once": "an alert that is taken at once", "behind": "an alert behind others that wait"}
    for name, octets, erased in written():
        table.row(names[name], octets, "octets", f"written by littlefs, its END included; {erased} blocks erased")


def monitor(table: Table, _: Code) -> None:
    """What the monitor decodes, and a day of records through it."""
    from tests.bench.monitor import DAY, decoded, replayed, sizes, stream

    octets = stream()
    for what, size in sizes(octets):
        table.row(f"a log record {what}", round(size), "octets", "mean of a stream of outcomes and measurements")
    for what, rate in decoded(octets):
        table.row(f"log records {what}", round(rate), "a second", "CPU time, quickest of 3")
    day = replayed(octets)
    how = f"{day.sent:,} records through a pseudo-terminal to --json, load average {os.getloadavg()[0]:.1f}"
    table.row("24 hours of records at 115,200 baud, replayed", round(day.seconds), "s", how)
    table.row("of it, CPU time of the monitor", round(day.cpu_s), "s", f"of 86,400 s; {DAY:,} octets")
    table.row("records told", day.told, "", f"{day.lost} lost, damaged or not shown")
    table.row("memory after the first hour", day.rss[0], "KiB", "resident")
    table.row("memory after the last hour", day.rss[-1], "KiB", f"resident; most of all hours: {max(day.rss):,}")


def bridge(table: Table, _: Code) -> None:
    """How many alerts a second get through a bridge, against the line's rate."""
    from tests.bench.bridge import ALERTS, rates

    for one in rates():
        line = f"{10 * one.octets_s:,} baud" if one.octets_s else "a line without a limit"
        how = (
            f"{ALERTS} alerts from the outbox of a virtual board, one at a time, load average {os.getloadavg()[0]:.1f}"
        )
        table.row(f"alerts through a bridge, {line}", round(one.alerts_s, 1), "a second", how)
        if one.octets_s:
            table.row("of it: octets from the board", round(one.up), "an alert", "its log record included")
            table.row("of it: octets to the board", round(one.down), "an alert", "its answer, in pieces")
            share = round(100 * one.alerts_s * (one.up + one.down) / one.octets_s)
            table.row("of the line's rate, one direction at a time", share, "%", "of the rows above")


def desk(table: Table, _: Code) -> None:
    """What a desk carries of a fleet of boards."""
    from tests.bench.desk import MESSAGES, OWNERS, SECONDS, STORES, carried, idle, large

    first = None
    for store, make in STORES.items():
        for count in (1, 3):
            what = f"alerts, board core to API: {store}, {count} inbox{'es' if count > 1 else ''}"
            try:
                with make() as place:
                    one = carried(place, count)
            except ToolError as error:
                table.row(what, None, "a second", str(error))
                continue
            first = first or one.rate
            ratio = f"; {one.rate / first:.2f} of the first row" if one.rate and first else ""
            how = f"all shown in time, {SECONDS} s, load average {os.getloadavg()[0]:.1f}; {one.wrong} lost or doubled"
            table.row(what, one.rate and round(one.rate), "a second", how + ratio)
            table.row("of it: raised to shown, median", round(1000 * one.shown_s[0]), "ms", "at that rate")
            table.row("of it: raised to shown, 95th of a hundred", round(1000 * one.shown_s[1]), "ms", "at that rate")
    for store, make in STORES.items():
        how = f"{OWNERS:,} boards, {MESSAGES:,} messages, {store}"
        try:
            for what, seconds in large(make):
                table.row(what, round(1000 * seconds, 1), "ms", f"{how}, load average {os.getloadavg()[0]:.1f}")
        except ToolError as error:
            table.row(f"a desk with {how}", None, "ms", str(error))
    for boards, octets, answered in idle():
        how = f"resident memory, {answered:,} heartbeats answered"
        table.row(f"memory of the inbox for each of {boards:,} idle boards", round(octets), "octets", how)


_PARTS = {
    "wire": wire,
    "heap": heap,
    "work": work,
    "mqtt": mqtt,
    "parsers": parsers,
    "inbox-cpu": inbox,
    "load": load,
    "store": store,
    "smime": smime,
    "flash": flash,
    "bridge": bridge,
    "amplification": amplification,
    "strangers": strangers,
    "monitor": monitor,
    "desk": desk,
}


def main() -> int:
    """Measure the parts that are named, or everything."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("part", nargs="*", help=", ".join(_PARTS))
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--json", dest="form", action="store_const", const="json", help="one JSON object a line")
    forms.add_argument(
        "--markdown",
        dest="form",
        action="store_const",
        const="markdown",
        help="the tables that heap and smime have, for READMEs",
    )
    arguments = parser.parse_args()
    for name in arguments.part:
        if name not in _PARTS:
            parser.error(f"no part {name}: there are {', '.join(_PARTS)}")
    table = Table(arguments.form or "text")
    with tempfile.TemporaryDirectory() as folder:
        try:
            code = Code(Path(folder))
        except ToolError as error:
            table.note(str(error))
            return 1
        for name in arguments.part or _PARTS:
            table.part(name)
            began = time.monotonic()
            try:
                _PARTS[name](table, code)
            except ToolError as error:
                table.row(name, None, "", str(error))
            table.row(f"{name}: measuring it", round(time.monotonic() - began), "s", "wall clock")
    return 0


if __name__ == "__main__":
    sys.exit(main())
