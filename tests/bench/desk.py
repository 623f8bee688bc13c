"""What a desk carries: alerts a second from a board's core to its API, with a large store, and memory by idle boards.

Boards are those of `sipmote fleet`, in processes of their own on the same machine: they and the desk share its cores.
"""

import contextlib
import json
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import psycopg
import pytest

from sipmote.errors import ToolError
from tests.interop.peers import free_port, wait_until
from tests.sip_peer import Peer

RATES = (100, 400, 1000, 2000, 3000, 4000, 5000, 6000)  # alerts a second that are offered
SECONDS = 5  # of each
TRIES = 2  # at a rate: what else the machine does may spoil one
BOARDS = 300  # that raise them
LATE_S = 1.0  # a desk that shows one of twenty later than that doesn't carry the rate
MESSAGES, OWNERS = 1_000_000, 1000
IDLE = (1000, 10_000)
STORM = 200  # alerts a second beside those that a browser is asked about
_BEAT_S = 20  # period of the heartbeats of idle boards
_TRIES = 15
_PATIENCE_S = 60.0
_MESSAGES = f"""
WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {MESSAGES})
INSERT INTO message (call_id, cseq, sender, recipient, content_type, body, date, received, expired, stale, transport,
        source, twin, nth, valid_until)
    SELECT 'call' || n, 1, 'sip:old' || n % {OWNERS} || '@192.0.2.1', 'sip:desk@192.0.2.9', 'text/plain',
        CAST('pump ' || n || ' at ' || n % 90 || ' C' AS BLOB), 1700000000 + n, 1700000000.5 + n, 0, 0, 'udp',
        '192.0.2.1:5060', n, 0, 1700000600 + n FROM number
"""
_OWNERS = """
INSERT INTO board (aor, heard, heard_by, source, transport, proof, messages, last)
    SELECT sender, max(received), 'message', '192.0.2.1:5060', 'udp', 'none', count(*), max(id) FROM message
        GROUP BY sender
"""


class Inbox(NamedTuple):
    """An inbox that runs: its process id, its UDP port and its page."""

    pid: int
    port: int
    url: str

    def get(self, path: str) -> bytes:
        """Return what is at a path of the page."""
        with urllib.request.urlopen(self.url + path, timeout=_PATIENCE_S) as answer:
            return bytes(answer.read())

    def resident(self) -> int:
        """Return the octets of its memory that are resident."""
        found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text(), re.MULTILINE)
        assert found
        return 1024 * int(found[1])

    def is_up(self) -> bool:
        """Does its page answer?"""
        with contextlib.suppress(OSError):
            return bool(self.get("/api/session"))
        return False


@contextlib.contextmanager
def inboxes(store: str, count: int) -> Iterator[list[Inbox]]:
    """Run so many inboxes on one store. Raises ToolError where one doesn't start."""
    with contextlib.ExitStack() as ended:
        found = []
        for number in range(count):
            port, page = free_port(), free_port()
            command = [sys.executable, "-m", "sipmote", "inbox", "--json", "--db", store]
            command += ["--bind", f"udp:127.0.0.1:{port}", "--http", f"127.0.0.1:{page}"]
            command += ["--name", f"inbox{number}"] if store.startswith("postgresql:") else []
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
            )
            ended.callback(process.wait)
            ended.callback(process.terminate)
            one = Inbox(process.pid, port, f"http://127.0.0.1:{page}")
            wait_until(lambda one=one, process=process: process.poll() is not None or one.is_up())
            if process.poll() is not None:
                raise ToolError(f"an inbox has ended: {process.communicate()[1].strip()}")
            found.append(one)
        yield found


@contextlib.contextmanager
def sqlite() -> Iterator[str]:
    """A fresh store in a file."""
    with tempfile.TemporaryDirectory(dir=".cache") as folder:
        yield str(Path(folder).resolve() / "inbox.db")


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """A fresh store in a PostgreSQL server of ours. Raises ToolError where there is none."""
    try:
        from tests.interop.postgresql import Cluster
    except ImportError:
        raise ToolError("needs tests/interop/postgresql.py") from None
    with tempfile.TemporaryDirectory() as folder:
        try:
            cluster = Cluster(Path(folder))
        except pytest.skip.Exception as error:
            raise ToolError(str(error)) from None
        try:
            yield cluster.url(cluster.database())
        finally:
            cluster.stop()


STORES = {"sqlite": sqlite, "PostgreSQL": postgresql}


def fleets(desks: Sequence[Inbox], rate: float, seconds: float, *more: str, boards: int = BOARDS) -> list[Any]:
    """Run a fleet at each desk, all at once; returns what they report. rate, boards: of all together."""
    running = []
    for desk in desks:
        command = [sys.executable, "-m", "sipmote", "fleet", "--json", "--to", f"sip:desk@127.0.0.1:{desk.port}"]
        command += ["--boards", str(boards // len(desks)), "--rate", str(rate / len(desks))]
        command += ["--duration", str(seconds), "--drain", "20", "--desk", desk.url, *more]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    return [json.loads(process.communicate()[0].splitlines()[-1]) for process in running]


class Carried(NamedTuple):
    """rate: alerts a second that were all shown, none of them late or sent twice, None where not even the least was.

    shown_s: from raised to shown at that rate, median and the 95th of a hundred, of the worst fleet. wrong: what was
    lost or doubled at any rate.
    """

    rate: float | None
    shown_s: tuple[float, float]
    wrong: int


def carried(store: str, count: int) -> Carried:
    """Offer rising rates to so many inboxes on a store, until they don't carry one. Raises ToolError."""
    best = Carried(None, (0.0, 0.0), 0)
    with inboxes(store, count) as desks:
        failed = 0
        for rate in [rate for rate in RATES for _ in range(TRIES)]:
            if best.rate is not None and best.rate >= 0.9 * rate:
                continue  # carried at the first try
            reports = fleets(desks, rate, SECONDS)
            wrong = best.wrong + sum(report["lost"] + report["doubled"] for report in reports)
            p95 = max(report["shown_s"]["p95"] for report in reports)
            is_whole = all(report["delivered"] == report["raised"] == report["shown"] for report in reports)
            if wrong or not is_whole or p95 > LATE_S or any(report["retransmissions"] for report in reports):
                best, failed = best._replace(wrong=wrong), failed + 1
            else:
                offered = sum(report["raised"] for report in reports) / SECONDS
                best = Carried(offered, (max(report["shown_s"]["p50"] for report in reports), p95), wrong)
                failed = 0
            if failed == TRIES:
                break
    return best


def _fill(store: str) -> None:
    """Put boards and messages into a store, as if they had come and been shown."""
    db: Any = sqlite3.connect(store) if not store.startswith("postgresql:") else psycopg.connect(store)
    blob = "BLOB" if not store.startswith("postgresql:") else "BYTEA"
    with contextlib.closing(db), db:
        db.execute(_MESSAGES.replace("BLOB", blob))
        db.execute(_OWNERS)
        db.execute(f"UPDATE progress SET shown = {MESSAGES}")  # else all of them would be shown now


def large(make: Callable[[], AbstractContextManager[str]]) -> Iterator[tuple[str, float]]:
    """Give (what, seconds) of a desk with many boards and messages: what its page asks for, and an update's way.

    make: one of STORES. Raises ToolError.
    """
    with make() as store:
        with inboxes(store, 1):
            pass  # makes the tables
        _fill(store)
        with inboxes(store, 1) as (desk,):
            for what, path in (
                ("the page itself", "/"),
                ("its list of boards", "/api/boards"),
                ("the newest 50 messages", "/api/messages?limit=50"),
                ("50 messages of a board", f"/api/messages?limit=50&board=sip:old{OWNERS // 2}%40192.0.2.1"),
                ("a text that is in the oldest message alone, once", "/api/messages?limit=50&text=pump%201%20at"),
                ("the charts of a board", f"/api/boards/sip%3Aold{OWNERS // 2}%40192.0.2.1/series?hours=24"),
            ):
                tries = 1 if "&text=" in path else _TRIES
                yield what, median(_timed(desk, path) for _ in range(tries))
            yield from in_browser(desk)
            (report,) = fleets([desk], 10, SECONDS)
            yield "an alert until the events have it, median", report["shown_s"]["p50"]
            yield "an alert until the events have it, the 95th of a hundred", report["shown_s"]["p95"]


def in_browser(desk: Inbox) -> Iterator[tuple[str, float]]:
    """Give (what, seconds) of the page in a headless Chromium, from a click or an alert to what a person sees."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return
    chromium = shutil.which("chromium")
    if chromium is None:
        return
    with sync_playwright() as playwright, Peer(b"sip:boiler@127.0.0.1") as boiler:
        page = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"]).new_page()

        def until_shown(what: str) -> float:
            begun = time.perf_counter()
            boiler.ask(desk.port, b"text/plain", what.encode())
            page.get_by_text(what).first.wait_for(timeout=1000 * _PATIENCE_S)
            return time.perf_counter() - begun

        begun = time.perf_counter()
        page.goto(desk.url)
        page.locator(".board").first.wait_for()
        yield "the page in a browser, from its address to its boards", time.perf_counter() - begun
        boiler.ask(desk.port, b"text/plain", b"here")
        page.goto(f"{desk.url}/#/boards/sip%3Aboiler%40127.0.0.1")  # on the list of all, a storm soon has others
        until_shown("the first")
        yield "an alert until a browser shows it, median", median(until_shown(f"alert {n}.") for n in range(_TRIES))
        with ThreadPoolExecutor(1) as pool:
            under_way = pool.submit(fleets, [desk], STORM, 2 * SECONDS)
            time.sleep(2)  # it starts; what is measured is no time of ours
            shown = [until_shown(f"amidst {n}.") for n in range(_TRIES)]
            (report,) = under_way.result()
        assert report["lost"] == report["doubled"] == 0, report
        yield f"the same while {STORM} others come each second, median", median(shown)
        yield f"the same while {STORM} others come each second, the slowest of {_TRIES}", max(shown)


def _timed(desk: Inbox, path: str) -> float:
    """Return the seconds that a path takes, of a list with the further requests that a search asks for."""
    begun = time.perf_counter()
    found = desk.get(path)
    while path.startswith("/api/messages") and not (page := json.loads(found))["complete"]:
        found = desk.get(f"{path}&before={page['next']}")
    return time.perf_counter() - begun


def idle() -> Iterator[tuple[int, float, int]]:
    """Give (boards, octets of the inbox for each, heartbeats that were answered): boards that send nothing else."""
    for boards in IDLE:
        with sqlite() as store, inboxes(store, 1) as (desk,):
            fleets([desk], 10, 1, boards=10)  # what any load brings in
            before = desk.resident()
            more = ("--heartbeat", str(_BEAT_S))
            (report,) = fleets([desk], 0.2, 2 * _BEAT_S, *more, boards=boards)
            yield boards, (desk.resident() - before) / boards, report["heartbeats"]["answered"]
