"""R0-P5: alerts on flash, on the virtual board: each accepted one arrives, once, and says when it was raised."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from tests.dns_server import closed_port
from tests.host_tools.peers import header, sipmote, until
from tests.host_tools.virtual import fill
from tests.sip_peer import Peer
from tests.soak_board import Desk, many, pile_up, soak, vm_of
from tests.vm import Board, board


@pytest.mark.timeout(300)
@pytest.mark.parametrize("bits", [32, 64])
def test_what_a_board_has_accepted_arrives_over_kills(bits: int) -> None:
    """A small `make soak`: with lost answers, challenges and 503"""
    figures = soak(4, bits)
    assert figures.accepted and figures.is_good, figures


@contextlib.contextmanager
def desk_at(port: int) -> Iterator[Desk]:
    desk = Desk(port, is_kind=True)
    desk.start()
    try:
        yield desk
    finally:
        desk.end()


@contextlib.contextmanager
def running(
    folder: Path, program: str, port: int, heap: str = "96k", options: tuple[str, ...] = (), **settings: Any
) -> Iterator[tuple[Board, Path]]:
    """A board that runs a program, whose alerts go to a port; gives it and its flash."""
    flash = folder / "flash"
    known = {"aor": "sip:boiler@127.0.0.1", "to": f"sip:desk@127.0.0.1:{port}", "bind": "0.0.0.0:0"}
    fill(flash, "from mote import Mote\n\nmote = Mote()\n" + program + "\nmote.run()\n", {**known, **settings})
    with board("--dir", str(flash), "--heap", heap, *options) as started:
        yield started, flash


@pytest.mark.timeout(240)
def test_many_alerts_wait_in_a_small_heap_and_all_arrive() -> None:
    """300 of the 1,000 of `make soak` in 64 KB, over an outage; in their order, and the journal is gone then"""
    assert pile_up(300, 100) == many(300)


def test_the_highest_goes_first_and_the_newest_of_a_key_alone(tmp_path: Path) -> None:
    """Behind the one that is under way, which nothing changes any more"""
    program = """
@mote.every(1000000)
def measure():
    alerts = [mote.alert("first", key="boiler")]
    for n in range(3):
        alerts.append(mote.alert("reading %d" % n, key="boiler"))
    alerts.append(mote.alert("low"))
    alerts.append(mote.alert("high", priority=9))
    print([alert.outcome for alert in alerts], [alert.accepted for alert in alerts])
"""
    port = closed_port()
    with running(tmp_path, program, port) as (_, flash):
        until(lambda: (flash / "outbox").exists())
        with desk_at(port) as desk:
            until(lambda: len(desk.got) == 3 or "low" in desk.got)
            until(lambda: not (flash / "outbox").exists())
            assert list(desk.got) == ["high", "reading 2", "low"]


def test_the_newest_of_a_key_replaces_all_parts_of_a_long_text(tmp_path: Path) -> None:
    """R0-P5: also of one that was raised before a power cut; the first part was sent, and is whole"""
    program = """
import os

if "raised" not in os.listdir("/"):
    @mote.every(1000000)
    def measure():
        mote.alert("first")
        old = mote.alert("x" * 2000, key="boiler")
        mote.alert("second")
        mote.alert("y" * 2000, key="boiler")
        mote.alert("z" * 2000, key="tank", priority=9)
        with open("/raised", "w") as file:
            file.write(str(old.outcome))
else:
    @mote.every(1000000)
    def measure():
        mote.alert("new", key="boiler")
        mote.alert("full", key="tank")
"""
    port = closed_port()
    with running(tmp_path, program, port, budget="split") as (started, flash):
        until(lambda: (flash / "raised").exists() and (flash / "raised").read_text() == "replaced")
        os.kill(vm_of(started.process.pid), signal.SIGKILL)
        until(lambda: b"full" in (flash / "outbox").read_bytes())
        with desk_at(port) as desk:
            until(lambda: not (flash / "outbox").exists())
        begun, *rest = desk.got
        assert begun.startswith("(1/") and rest == ["first", "second", "new", "full"]


def test_what_waits_goes_to_whom_a_later_deploy_names(tmp_path: Path) -> None:
    """R0-P5: but for what may have been sent, what named its recipient, and long texts, which were fitted to theirs"""
    program = """
import os

if "raised" not in os.listdir("/"):
    @mote.every(1000000)
    def measure():
        for text in ("sent", "first", "second"):
            mote.alert(text)
        mote.alert("third", key="boiler")
        mote.alert("named", to="sip:named@127.0.0.1:%d")
        mote.alert("also named", to="sip:named@127.0.0.1:%d")
        mote.alert("x" * 200)
        open("/raised", "w").close()
else:
    @mote.every(1000000)
    def measure():
        mote.alert("fourth", key="boiler")
        open("/again", "w").close()
"""
    wrong, right, named = closed_port(), closed_port(), closed_port()
    with running(tmp_path, program % (named, named), wrong) as (started, flash):
        until(lambda: (flash / "raised").exists())
        code, out, err = sipmote(
            "deploy", str(flash / "main.py"), "--port", started.port, "--set", f"to=sip:desk@127.0.0.1:{right}"
        )
        assert code == 0, out + err
        until(lambda: (flash / "again").exists())
        with desk_at(right) as desk, desk_at(named) as other, desk_at(wrong) as former:
            until(lambda: not (flash / "outbox").exists())
        assert list(desk.got) == ["first", "second", "fourth"]
        assert list(other.got) == ["named", "also named"]
        assert list(former.got) == ["sent", "x" * 200]


def test_a_key_of_before_names_no_other_alert(tmp_path: Path) -> None:
    """R0-P5: one that begins in the journal where that of the key began before it was cleared"""
    program = """
import asyncio, os

@mote.every(1000000)
async def measure():
    mote.alert("aaaa")
    await mote.alert("bbbb", key="boiler")
    while "go" not in os.listdir("/"):
        await asyncio.sleep(0.05)
    mote.alert("cccc")
    mote.alert("dddd")
    mote.alert("eeee", key="boiler")
"""
    port = closed_port()
    with running(tmp_path, program, port) as (_, flash):
        journal = flash / "outbox"
        with desk_at(port) as desk:
            until(lambda: set(desk.got) == {"aaaa", "bbbb"} and not journal.exists())
        (flash / "go").touch()
        until(lambda: journal.exists() and b"eeee" in journal.read_bytes())
        with desk_at(port) as desk:
            until(lambda: not journal.exists())
        assert list(desk.got) == ["cccc", "dddd", "eeee"]


def test_an_alert_of_a_board_without_a_clock_has_no_date(tmp_path: Path) -> None:
    """R0-P20, R0-P5: rather than a wrong one; its Expires counts from when it comes"""
    program = """
@mote.every(1000000)
def measure():
    mote.alert("undated", expires=600)
"""
    port = closed_port()
    with desk_at(port) as desk, running(tmp_path, program, port, options=("--no-clock",)):
        until(lambda: "undated" in desk.got)
    assert b"\r\nDate:" not in desk.last and 590 < int(header(desk.last, "Expires")) <= 600


def test_validity_runs_on_over_a_power_cut_and_late_alerts_say_when_they_were_raised(tmp_path: Path) -> None:
    """R0-P5: what is over is never sent; Date + Expires is what it was"""
    program = """
import os

if "raised" not in os.listdir("/"):
    @mote.every(1000000)
    def measure():
        mote.alert("long", expires=600, priority=1)
        mote.alert("short", expires=2)
        open("/raised", "w").close()
"""
    port = closed_port()
    with running(tmp_path, program, port) as (started, flash):
        until(lambda: (flash / "raised").exists())
        raised = time.time()
        os.kill(vm_of(started.process.pid), signal.SIGKILL)
        until(lambda: time.time() > raised + 3)
        with desk_at(port) as desk:
            until(lambda: not (flash / "outbox").exists())
        assert list(desk.got) == ["long"] and header(desk.last, "Expires") == "600"
        date = parsedate_to_datetime(header(desk.last, "Date")).timestamp()
        assert abs(date - raised) < 3


def test_alerts_of_threads_and_scheduled_functions_leave_at_once(tmp_path: Path) -> None:
    """Accepted as soon as the loop has had its turn"""
    program = """
import _thread, micropython, time

alerts = []

def raise_one(text):
    alerts.append(mote.alert(text))

@mote.every(1000000)
async def measure():
    micropython.schedule(raise_one, "scheduled")
    _thread.start_new_thread(raise_one, ("of a thread",))
    while len(alerts) < 2:  # doing nothing: threads of this VM break each other's names
        time.sleep_ms(10)
    for alert in alerts:
        await alert
    with open("/outcomes", "w") as file:
        file.write(" ".join(["%s %s" % (alert.accepted, alert.outcome) for alert in alerts]))
"""
    port = closed_port()
    with desk_at(port) as desk, running(tmp_path, program, port) as (_, flash):
        until(lambda: (flash / "outcomes").exists() and (flash / "outcomes").read_text())
        assert (flash / "outcomes").read_text() == "True delivered True delivered"
        assert set(desk.got) == {"scheduled", "of a thread"}


def test_a_flash_that_takes_no_more_is_told_and_alerts_leave_all_the_same(tmp_path: Path) -> None:
    """R0-P13"""
    program = """
import os

os.mkdir("/outbox")

@mote.every(1000000)
def measure():
    mote.alert("hot")
"""
    port = closed_port()
    with desk_at(port) as desk, running(tmp_path, program, port):
        until(lambda: "hot" in desk.got)


def test_an_alert_to_several_stands_for_all_where_the_flash_is_broken(tmp_path: Path) -> None:
    """R0-P13: also one of another thread; the first that is reached counts, else the last"""
    program = """
import _thread, os, time

os.mkdir("/outbox")
alerts = []

def raise_all():
    for last in ("sip:two@127.0.0.1:%d", "sip:gone@127.0.0.1:%d"):
        alerts.append(mote.alert("hot", to=["sip:one@127.0.0.1:%d", last, "sip:gone@127.0.0.1:%d"]))

@mote.every(1000000)
async def measure():
    raise_all()
    _thread.start_new_thread(raise_all, ())
    while len(alerts) < 4:  # doing nothing, as above
        time.sleep_ms(10)
    told = []
    for alert in alerts:
        told.append(await alert)
    with open("/told", "w") as file:
        file.write(" ".join(told))
"""
    with Peer() as one, Peer() as two, Peer() as gone:
        ports = (two.port, gone.port, one.port, gone.port)
        with running(tmp_path, program % ports, closed_port(), heap="160k") as (_, flash):
            for _ in range(4):
                gone.answer(404)
            two.answer(200), two.answer(200)
            for _ in range(4):
                one.answer(404)
            until(lambda: (flash / "told").exists() and (flash / "told").read_text())
            assert (flash / "told").read_text() == "delivered failed delivered failed"


def test_an_alert_that_the_flash_has_lost_holds_up_no_other(tmp_path: Path) -> None:
    """R0-P13: garbled behind what is under way, while the board runs"""
    program = """
@mote.every(1000000)
def measure():
    for text in ("first", "second", "third"):
        mote.alert(text)
"""
    port = closed_port()
    with running(tmp_path, program, port) as (_, flash):
        journal = flash / "outbox"
        until(lambda: journal.exists() and b"third" in journal.read_bytes())
        octets = journal.read_bytes()
        with journal.open("r+b") as file:
            file.seek(octets.index(b"second"))
            file.write(b"garble")
        with desk_at(port) as desk:
            until(lambda: not journal.exists())
        assert list(desk.got) == ["first", "third"]


def test_what_was_sent_at_once_keeps_its_priority_when_others_come(tmp_path: Path) -> None:
    """While it pauses after a 503, a lower one waits"""
    program = """
import asyncio

@mote.every(1000000)
async def measure():
    await asyncio.sleep(0.1)
    mote.alert("high", priority=9)
    await asyncio.sleep(0.1)
    mote.alert("low", priority=5)
"""
    with Peer() as desk, running(tmp_path, program, desk.port):
        assert desk.answer(503).body == b"high"
        assert desk.answer(200).body == b"high"
        assert desk.answer(200).body == b"low"


def test_a_second_run_goes_on_with_what_waits(tmp_path: Path) -> None:
    """R0-P5: an attempt that failed in the first loop is repeated in the second"""
    program = """
import asyncio

raised = []

@mote.every(1000000)
async def measure():
    if not raised:
        raised.append(mote.alert("first"))
        raised.append(mote.alert("second"))
    while not [1 for lane in mote.outbox.lanes._lanes if getattr(lane[3], "is_pausing", False)]:
        await asyncio.sleep(0.05)
    raise KeyboardInterrupt

try:
    mote.run()
except KeyboardInterrupt:
    open("/stopped", "w").close()
mote._sensors.clear()
"""
    with Peer() as desk, running(tmp_path, program, desk.port) as (_, flash):
        assert desk.answer(503).body == b"first"
        until(lambda: (flash / "stopped").exists())
        assert desk.answer(200).body == b"first"
        assert desk.answer(200).body == b"second"


def test_slips_are_named_in_the_programs_line(tmp_path: Path) -> None:
    """R0-P13: and what has a text of its own is taken"""
    program = """
told = []
for options in (
    {"expires": -1}, {"expires": "600"}, {"expires": 1 << 32}, {"priority": 300}, {"priority": "high"},
    {"key": "k" * 256}, {"to": []}, {"to": ["sip:a@x", "sip:b@x"], "escalate_s": -5},
):
    try:
        told.append(repr(mote.alert("hot", **options).outcome))
    except Exception as error:
        told.append("%s: %s" % (type(error).__name__, str(error)[:10]))
told.append(repr(mote.alert(42).outcome))
with open("/told", "w") as file:
    file.write("\\n".join(told))
"""
    with running(tmp_path, program, closed_port()) as (_, flash):
        until(lambda: (flash / "told").exists() and (flash / "told").read_text())
        slips = [
            "expires: -",
            "expires: '",
            "expires: 4",
            "priority: ",
            "priority: ",
            "key: 256 o",
            "an alert n",
            "escalate_s",
        ]
        assert (flash / "told").read_text().split("\n") == [f"UsageError: {slip}" for slip in slips] + ["None"]


def test_a_full_outbox_refuses_and_says_so(tmp_path: Path) -> None:
    """R0-P13: with room for what has a priority"""
    program = """
@mote.every(1000000)
async def measure():
    mote.alert("first")
    mote.alert("old", key="k")
    outcomes = [mote.alert("%d" % n + "x" * 90).outcome for n in range(40)]
    assert mote.alert("new", key="k").outcome is None  # it takes another one's place
    told = outcomes.count(None), outcomes.count("failed"), mote.alert("fire", priority=1).outcome
    with open("/outcomes", "w") as file:
        file.write("%d %d %s" % told)
"""
    with running(tmp_path, program, closed_port(), outbox=4096) as (_, flash):
        until(lambda: (flash / "outcomes").exists() and (flash / "outcomes").read_text())
        waiting, refused, urgent = (flash / "outcomes").read_text().split()
        assert 15 < int(waiting) < 36 and int(waiting) + int(refused) == 40 and urgent == "None"
