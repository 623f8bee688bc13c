"""`python -m tests.soak_fleet [KILLS]`: a day of a fleet, a blackout and its storm, and an inbox killed under a fleet.

The day and the blackout run in virtual time: boards and inbox are the real ones, in one process over real sockets, and
only waiting is left out. Nothing else is compressed: 24 hours have all their messages. The kills take real time.
"""

import asyncio
import contextlib
import random
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

from sipmote.console import Output
from sipmote.fleet.boards import Fleet, Way
from sipmote.fleet.profile import Profile
from sipmote.fleet.report import Tally
from sipmote.inbox.app import Inbox
from sipmote.inbox.heartbeat import HEARTBEAT
from sipmote.inbox.options import Options
from sipmote.inbox.screen import Screen
from sipmote.inbox.store import Store
from sipmote.printer import Printer
from sipmote.sip.arguments import bind
from sipmote.sip.tls import load_tls
from tests import virtual_time
from tests.interop.peers import free_port
from tests.restarted import Restarted

_DRAIN_S = 300.0
_TURN_S = 0.05


class Found(NamedTuple):
    """What a run came to. tally: the boards' account and the inbox's. busiest: most alerts of a board in a minute."""

    tally: Tally
    busiest: int


def way(port: int, **more: Any) -> Way:
    """Return the way to an inbox at this port."""
    facts: dict[str, Any] = {
        "run": "soak",
        "target": b"sip:desk@127.0.0.1:%d" % port,
        "flow": (b"UDP", b"127.0.0.1", port),
        "bind": "127.0.0.1",
        "credentials": (),
        "expires_s": 600,
    }
    return Way(**{**facts, **more})


def judge(database: Path, tally: Tally) -> Found:
    """Compare the boards' account with what is in the file of an inbox."""
    tally.is_watched = True
    times: dict[str, list[float]] = {}
    with contextlib.closing(sqlite3.connect(database)) as db:
        rows = db.execute(
            "SELECT id, CAST(body AS TEXT), sender, received, expired, valid_until FROM message ORDER BY id"
        )
        for row, body, sender, received, expired, until in rows:
            said = {"id": row, "body": body, "duplicate": False, "expired": bool(expired)}
            tally.show({**said, "received_at": received, "valid_until": until}, None)
            times.setdefault(sender, []).append(received)
    busiest = max((_most_in_a_minute(each) for each in times.values()), default=0)
    return Found(tally, busiest)


def _most_in_a_minute(times: list[float]) -> int:
    return max(sum(1 for other in times[at:] if other < begin + 60) for at, begin in enumerate(times))


@contextlib.asynccontextmanager
async def _inbox(database: Path) -> AsyncIterator[int]:
    """An inbox in this loop; gives its port."""
    port = free_port()
    with open("/dev/null", "w") as nowhere, contextlib.redirect_stdout(nowhere):
        printer = Printer()
        screen = Screen(Output(True, printer))
        store = Store(str(database), screen.warning)
        options = Options(
            aor=None,
            proxy=None,
            binds=[bind(f"udp:127.0.0.1:{port}")],
            accept=(b"text/plain", HEARTBEAT),
            credentials=(),
            tls=load_tls(None, None, None, None, False, False),
            dns=None,
            registers=False,
            wires=(),
            zones={},
        )
        inbox = Inbox(options, store, screen, printer, lambda: None)
        await inbox.open()
        try:
            yield port
        finally:
            await inbox.close()
            store.close()
            printer.close()


async def _drained(fleet: Fleet) -> None:
    """Wait until all alerts are raised and have an outcome, or time is over."""
    profile = fleet.profile
    while fleet.at_s() < profile.duration_s or (fleet.tally.waiting and fleet.at_s() < profile.duration_s + _DRAIN_S):
        await asyncio.sleep(_TURN_S if profile.duration_s < 60 else 1)


def simulated(profile: Profile, **more: Any) -> Found:
    """Run a fleet against an inbox in virtual time. more: see Way."""

    async def main(database: Path) -> Found:
        tally = Tally()
        async with _inbox(database) as port:
            fleet = Fleet(way(port, **more), profile, tally)
            try:
                fleet.open()
                fleet.begin()
                await _drained(fleet)
            finally:
                fleet.close()
        return judge(database, tally)

    with tempfile.TemporaryDirectory() as folder:
        return virtual_time.run(main(Path(folder) / "inbox.db"))


def killed(kills: int, boards: int = 40, rate: float = 100.0) -> Found:
    """Kill an inbox as often as that under a fleet, and start it again at the same port with the same file."""

    async def main(folder: Path) -> Found:
        port = free_port()
        database = folder / "inbox.db"
        options = ["--bind", f"udp:127.0.0.1:{port}", "--db", str(database)]
        inbox = Restarted(folder / "lines", "inbox", *options)
        await asyncio.to_thread(inbox.start, lambda: time.sleep(0.01))
        tally = Tally()
        fleet = Fleet(way(port), Profile("steady", boards, rate, kills * 1.5), tally)
        fleet.open()
        fleet.begin()
        for _ in range(kills):
            await asyncio.sleep(random.uniform(0.1, 0.5))
            await asyncio.to_thread(inbox.end, signal.SIGKILL)
            await asyncio.to_thread(inbox.start, lambda: time.sleep(0.01))
        await _drained(fleet)
        fleet.close()
        await asyncio.to_thread(inbox.end, signal.SIGTERM)
        return judge(database, tally)

    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(main(Path(folder)))


def faults(found: Found, per_minute: int | None = None) -> list[str]:
    """Return which promises a run has not kept."""
    line = found.tally.line()
    wrong = [f"{line[name]} {name}" for name in ("lost", "doubled", "expired_shown_as_valid", "failed") if line[name]]
    if per_minute is not None and found.busiest > 2 * per_minute:  # a minute's worth at once, then that rate
        wrong.append(f"{found.busiest} alerts of a board in a minute")
    return wrong + ([f"{line['waiting']} without an outcome"] if line["waiting"] else [])


def main(kills: int) -> int:
    """Run it all; returns how much was wrong."""
    wrong = []
    hour, day = 3600.0, 86400.0
    for what, profile, more in (
        ("24 hours, 500 boards", Profile("steady", 500, 500 / hour, day, 300), {}),
        ("a storm each 10 minutes for 4 hours", Profile("storm", 500, 500 / 600, 4 * hour, 300), {}),
        ("a blackout of 2 hours", Profile("blackout", 500, 500 / 120, 6 * hour, 300), {"per_minute": 30}),
    ):
        begun = time.monotonic()
        found = simulated(profile, **more)
        sys.stdout.write(f"{what}, {time.monotonic() - begun:.0f} s: {found.tally.line()}\n")
        wrong += [f"{what}: {fault}" for fault in faults(found, more.get("per_minute"))]
    found = killed(kills)
    sys.stdout.write(f"{kills} kills: {found.tally.line()}\n")
    wrong += [f"{kills} kills: {fault}" for fault in faults(found)]
    sys.stdout.write("\n".join(wrong or ["nothing is wrong"]) + "\n")
    return len(wrong)


if __name__ == "__main__":
    sys.exit(bool(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)))
