"""R0-P5, R0-P20: the field: a desk that is away, resets in mid-write, Wi-Fi that goes, a clock of 2000, a replay.

With the default outbox. Each test stands alone, and waits as long as a slow board takes.
"""

import contextlib
import datetime
import os
import random
import re
import socket
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path

import pytest

from tests.hardware.board import HOST, SLOW_S, Console, deploy, here, on_a_board, running, until
from tests.host_tools.peers import answer, header, message
from tests.interop.peers import free_port
from tests.tools import Line, Tool

pytestmark = on_a_board

_RESETS = int(os.environ.get("KILLS", "5"))
_BEGIN = """
import gc

from mote import Mote

mote = Mote()


def tell_heap(when):
    gc.collect()
    print("heap %s: %d octets free" % (when, gc.mem_free()))

"""
_AWAY = """
@mote.every(1000000)
async def measure():
    alerts = [mote.alert("reading %d" % n) for n in range(10)]
    print("raised %d" % sum([alert.accepted for alert in alerts]))
    for alert in alerts:
        await alert
    tell_heap("after ten alerts")


mote.run()
"""
_RESET = """
import _thread, machine, os, sys, time
from binascii import hexlify

with open("/began", "ab") as file:
    file.write(b".")
starts = os.stat("/began")[6]
start = hexlify(os.urandom(4)).decode()
n = 0


def reset(ms):
    time.sleep_ms(ms)
    machine.reset()


def reset_in(ms):
    if sys.platform == "linux":  # threads of the virtual board's VM break each other's names, once in a thousand times
        time.sleep_ms(ms % 1000)
        machine.WDT(timeout=ms)
    else:
        _thread.start_new_thread(reset, (ms,))


@mote.every(0.05)
def measure():
    global n
    if starts <= RESETS:
        n += 1
        is_accepted = False  # by who has no memory left
        try:
            is_accepted = mote.alert("%s-%d" % (start, n)).accepted
        finally:
            print("%s %s-%d." % ("accepted" if is_accepted else "refused", start, n))
        if n == 1:
            reset_in(500 + int.from_bytes(os.urandom(2), "big") % 4000)


print("start %d." % starts)
mote.run()
"""
_WIFI = """
import network

wlan = network.WLAN(network.STA_IF)


@mote.every(1000000)
async def measure():
    await mote.alert("before")
    wlan.disconnect()
    await mote.alert("after disconnect()")
    wlan.active(False)
    await mote.alert("after active(False)")


mote.run()
"""
_CLOCK = """
import machine

machine.RTC().datetime((2000, 1, 1, 5, 0, 0, 0, 0))

import os

from mote import Mote

mote = Mote()


@mote.every(1000000)
async def measure():
    if "began" not in os.listdir("/"):
        open("/began", "w").close()
        mote.alert("of before the reset", expires=600)
        machine.reset()
    await mote.alert("behind it", expires=600)
    mote.alert("afterwards", expires=600)


mote.run()
"""
_COMMAND = """
count = 0


@mote.command("count")
def run(command):
    global count
    count += 1
    tell_heap("after a command")
    return "ran %d" % count


@mote.every(1000000)
def measure():
    mote.alert("ready")


mote.run()
"""


class Desk(threading.Thread):
    """Answers each request, and tells what time it is. got: the first of each, by body."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.got: dict[str, bytes] = {}
        self.answers: list[bytes] = []  # to what we have sent
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind((here(), 0))
        self._sock.settimeout(0.2)
        self.port: int = self._sock.getsockname()[1]
        self._board = ("", 0)
        self._is_over = False

    def run(self) -> None:
        while not self._is_over:
            with contextlib.suppress(TimeoutError):
                data, self._board = self._sock.recvfrom(65535)
                if data.startswith(b"SIP/2.0 "):
                    self.answers.append(data)
                    continue
                self.got.setdefault(data.partition(b"\r\n\r\n")[2].decode(), data)
                self._sock.sendto(answer(data, f"200 OK\r\nDate: {formatdate(usegmt=True)}"), self._board)

    def wait_for(self, body: str) -> bytes:
        """Return the first request with this body."""
        found: bytes = until(lambda: self.got.get(body), f"no {body!r} but {list(self.got)}")
        return found

    def ask(self, request: bytes) -> bytes:
        """Send a request until there is an answer, and return that."""
        known = len(self.answers)
        asked_at = 0.0

        def has_answer() -> bool:
            nonlocal asked_at
            if time.monotonic() > asked_at + 5:
                asked_at = time.monotonic()
                self._sock.sendto(request, self._board)
            return len(self.answers) > known

        until(has_answer, "the board answers nothing")
        return self.answers[known]

    def end(self) -> None:
        self._is_over = True
        self.join()
        self._sock.close()


@pytest.fixture
def console() -> Iterator[Console]:
    console = Console()
    yield console
    console.end()


@pytest.fixture
def desk(has_network: None) -> Iterator[Desk]:
    desk = Desk()
    desk.start()
    yield desk
    desk.end()


def wrote(folder: Path, text: str) -> Path:
    """Return a program's file."""
    program = folder / "field.py"
    program.write_text(text)
    return program


def at(port: int) -> dict[str, str]:
    """Return settings of a board whose desk has this port."""
    return {"aor": f"sip:boiler@{HOST}", "to": f"sip:desk@{HOST}:{port}"}


def show_heap(monitor: Tool, capsys: pytest.CaptureFixture[str]) -> None:
    """Print what is left for the user's program."""
    line = monitor.wait_for(SLOW_S, event="console", text=lambda text: text.startswith("heap "))
    with capsys.disabled():
        print("", line["text"], sep="\n")


def new(inbox: Tool) -> list[str]:
    """Return the texts that an inbox has got, without those that it knows for repetitions."""
    return [line["body"] for line in inbox.lines if line["event"] == "message" and not line["duplicate"]]


def inbox_at(port: int) -> Tool:
    return Tool("inbox", "--bind", f"udp:{here()}:{port}", "--db", ":memory:")


def test_alerts_wait_for_a_desk_that_is_away(
    has_network: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port(here())
    with running(tmp_path, wrote(tmp_path, _BEGIN + _AWAY), **at(port)) as monitor:
        monitor.wait_for(SLOW_S, event="console", text="raised 10")
        with inbox_at(port) as inbox:
            inbox.wait_for(SLOW_S, event="message", body="reading 9")
            assert new(inbox) == [f"reading {n}" for n in range(10)]
            show_heap(monitor, capsys)


def starts(console: Console) -> int:
    """Return how often the program has begun."""
    return max(map(int, re.findall(rb"start (\d+)\.", console.octets)), default=0)


def accepted(console: Console, arrived: list[str]) -> set[str]:
    """Return what the board has accepted: what it says so of, what has arrived, and what was raised before those.

    But for what it says that it has no room for.
    """
    told = [text.decode() for text in re.findall(rb"accepted (\w+-\d+)\.", console.octets)]
    last: dict[str, int] = {}
    for text in told + arrived:
        start, _, number = text.partition("-")
        last[start] = max(last.get(start, 0), int(number))
    raised = {f"{start}-{n}" for start in last for n in range(1, last[start] + 1)}
    return raised - {text.decode() for text in re.findall(rb"refused (\w+-\d+)\.", console.octets)}


def late(console: Console, inbox: Tool) -> list[str]:
    """Return what was accepted and has not arrived."""
    texts = new(inbox)
    return sorted(accepted(console, texts) - set(texts))


def reset_amid_alerts(console: Console, begun: int) -> None:
    """Press reset some time after this start's next alert, if the program doesn't reset the board itself before."""
    seen = len(accepted(console, []))
    until(
        lambda: len(accepted(console, [])) > seen or starts(console) > begun or begun > _RESETS,
        f"no alert: {console.octets[-1000:]!r}",
    )
    if begun <= _RESETS:
        time.sleep(random.uniform(0, 2))
        console.press_reset()


def test_what_is_accepted_arrives_over_resets_in_mid_write(
    console: Console, has_network: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """R0-P5: amid its program, and by the port's lines where it has any; the desk is away at first"""
    port = free_port(here())
    deploy(tmp_path, wrote(tmp_path, _BEGIN + _RESET.replace("RESETS", str(_RESETS))), **at(port))
    with contextlib.ExitStack() as stack:
        inbox = None
        console.start()
        begun = 0
        while begun <= _RESETS:
            until(lambda begun=begun: starts(console) > begun, f"no start after {begun}: {console.octets[-1000:]!r}")
            begun = starts(console)
            if begun > _RESETS // 2 and inbox is None:
                inbox = stack.enter_context(inbox_at(port))
            reset_amid_alerts(console, begun)
        assert inbox
        until(lambda: not late(console, inbox), lambda: f"accepted, but not arrived: {late(console, inbox)}")
        texts = new(inbox)
    assert len(texts) == len(set(texts)), "an alert came as two"
    with capsys.disabled():
        print(f"\nresets: {begun - 1}, accepted: {len(accepted(console, texts))}, lost: 0, doubled: 0")


def downs_between_deliveries(lines: list[Line]) -> list[int]:
    """Return how often Wi-Fi was lost, by the log, after the first alert was delivered, and after the second."""
    told = [line["fields"].get("name", line["name"]) for line in lines if line["event"] == "log"]
    downs = [0]
    for name in told:
        if name == "delivered":
            downs.append(0)
        downs[-1] += name == "wifi_down"
    return downs[1:3]  # what was lost before is none of the program's doing


def test_alerts_arrive_once_wifi_is_back_and_the_log_says_why_they_did_not(
    has_network: None, firmware: list[str], tmp_path: Path
) -> None:
    if "network" not in firmware:
        pytest.skip("the board has no Wi-Fi")
    port = free_port(here())
    with inbox_at(port) as inbox, running(tmp_path, wrote(tmp_path, _BEGIN + _WIFI), **at(port)) as monitor:
        inbox.wait_for(SLOW_S, event="message", body="after active(False)")
        assert new(inbox) == ["before", "after disconnect()", "after active(False)"]
        downs = downs_between_deliveries(monitor.lines)
        assert len(downs) == 2 and all(downs), monitor.transcript()


def test_no_alert_is_dated_2000_by_a_clock_that_nobody_has_set(desk: Desk, kept_clock: None, tmp_path: Path) -> None:
    """R0-P20: of before the reset: no Date; of since then: what was learned with an answer meanwhile"""
    today = datetime.datetime.now(datetime.UTC)
    with running(tmp_path, wrote(tmp_path, _CLOCK), **at(desk.port)) as monitor:
        before, dates = desk.wait_for("of before the reset"), []
        for body in ("behind it", "afterwards"):
            dates.append(parsedate_to_datetime(header(desk.wait_for(body), "Date")))
        assert monitor.wait_for(event="log", name="boot")["clock"] == "none"
        monitor.wait_for(SLOW_S, event="log", name="outcome", clock="learned")
    assert b"\r\nDate:" not in before and 0 < int(header(before, "Expires")) <= 600
    assert all(abs(date - today) < datetime.timedelta(seconds=3 * SLOW_S) for date in dates), dates


def test_a_command_is_answered_and_its_octets_run_nothing_again(
    desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor does what their sender sends anew, in another dialog"""
    with running(tmp_path, wrote(tmp_path, _BEGIN + _COMMAND), **at(desk.port)) as monitor:
        desk.wait_for("ready")
        first, again, second = (
            message(f"{n}", b"count", (), f"{n}{tag}", tag, sender=f"sip:desk@{HOST}", uri=f"sip:boiler@{HOST}")
            for n, tag in ((1, "1"), (1, "2"), (2, "1"))
        )
        for request in (first, first, again, second):
            assert desk.ask(request).startswith(b"SIP/2.0 200 "), monitor.transcript()
            if request is first:
                desk.wait_for("ran 1")
        desk.wait_for("ran 2")
        show_heap(monitor, capsys)
        assert list(desk.got) == ["ready", "ran 1", "ran 2"]
