"""Alerts of a board to several recipients, one after the other until somebody acknowledges; and sensors that flap."""

import os
import signal
import time
from pathlib import Path

from tests.dns_server import closed_port
from tests.host_tools.peers import until
from tests.mote.test_outbox import desk_at, running
from tests.sip_peer import Peer
from tests.soak_board import vm_of

_SHIFT = """
import os
_uptime_ms = mote.uptime_ms
mote.uptime_ms = lambda: _uptime_ms() + (int(open("/shift").read()) if "shift" in os.listdir("/") else 0)
"""  # the test lets time pass by writing ms into a file


def test_a_flapping_sensor_is_counted_while_it_waits(tmp_path: Path) -> None:
    """R0-P5: what is under way stays as it is; over a power cut, too; another text in between ends it"""
    program = """
import os

if "raised" not in os.listdir("/"):
    @mote.every(1000000)
    def measure():
        alerts = [mote.alert("first")] + [mote.alert("Door open") for n in range(38)]
        for text in ("Door shut", "Door open", "Door open"):
            alerts.append(mote.alert(text))
        alerts.append(mote.alert("level 1", key="tank"))
        print([alert.outcome for alert in alerts])
        open("/raised", "w").close()
else:
    @mote.every(1000000)
    def measure():
        for n in range(3):
            mote.alert("level 2", key="tank")
        open("/again", "w").close()
"""
    port = closed_port()
    with running(tmp_path, program, port) as (started, flash):
        until(lambda: (flash / "raised").exists())
        os.kill(vm_of(started.process.pid), signal.SIGKILL)
        until(lambda: (flash / "again").exists())
        with desk_at(port) as desk:
            until(lambda: not (flash / "outbox").exists())
        expected = ["Door open (repeated 37 times)", "Door shut", "Door open (repeated once)"]
        assert list(desk.got) == ["first", *expected, "level 2 (repeated 2 times)"]
        assert all(len(senders) == 1 for senders in desk.got.values())


def test_so_many_a_minute_leave_and_what_has_a_priority(tmp_path: Path) -> None:
    program = """
import asyncio

@mote.every(1000000)
async def measure():
    for text in "abcd":
        mote.alert(text)
    await asyncio.sleep(0.5)
    mote.alert("fire", priority=1)
"""
    port = closed_port()
    with desk_at(port) as desk, running(tmp_path, _SHIFT + program, port, per_minute=2) as (_, flash):
        until(lambda: "fire" in desk.got)
        assert list(desk.got) == ["a", "b", "fire"]
        (flash / "shift").write_text("30000")
        until(lambda: "c" in desk.got)
        assert "d" not in desk.got
        (flash / "shift").write_text("60000")
        until(lambda: "d" in desk.got and not (flash / "outbox").exists())


def test_the_next_is_asked_when_nobody_acknowledges_or_nobody_is_there(tmp_path: Path) -> None:
    """R0-P5: in the order of the list, over a power cut, too; after ack nobody is"""
    program = """
import os, asyncio

@mote.every(1000000)
async def measure():
    if "raised" not in os.listdir("/"):
        mote.alert("boiler", key="Boiler", escalate_s=100)
        open("/raised", "w").close()
    while "ack" not in os.listdir("/"):
        await asyncio.sleep(0.05)
    with open("/acknowledged", "w") as file:
        file.write(repr(mote.outbox.lanes.acknowledge("other") + mote.outbox.lanes.acknowledge("boiler")))
    alert = mote.alert("door", escalate_s=1000)
    with open("/outcome", "w") as file:
        file.write(await alert)
"""
    with Peer() as one, Peer() as two, Peer() as three:
        to = [f"sip:desk@127.0.0.1:{peer.port}" for peer in (one, two, three)]
        with running(tmp_path, _SHIFT + program, 0, "160k", to=to) as (started, flash):
            assert one.answer(200).body == b"boiler"
            until(lambda: b"\2\0\4" in (flash / "outbox").read_bytes())  # that the first has it
            os.kill(vm_of(started.process.pid), signal.SIGKILL)
            (flash / "shift").write_text("101000")
            assert two.answer(200).body == b"boiler"
            assert three.silent()
            (flash / "ack").touch()
            until(lambda: (flash / "acknowledged").exists() and (flash / "acknowledged").read_text())
            assert (flash / "acknowledged").read_text() == "['boiler']"
            (flash / "shift").write_text("301000")
            assert one.answer(404).body == b"door"  # it isn't there any more
            assert two.answer(200).body == b"door"
            until(lambda: (flash / "outcome").exists() and (flash / "outcome").read_text())
            assert (flash / "outcome").read_text() == "delivered"
            assert three.silent()


def test_a_board_without_a_clock_that_sleeps_counts_on(tmp_path: Path) -> None:
    """R0-P5: to the next one, and until an alert is over, though it wakes more often than that"""
    program = """
import asyncio, machine, os

_deepsleep, _sleep_ms = machine.deepsleep, asyncio.sleep_ms
machine.deepsleep = lambda ms: _deepsleep(1)
asyncio.sleep_ms = lambda ms: _sleep_ms(min(ms, 3))  # the 40 s that it waits
number = len(open("/starts").read()) if "starts" in os.listdir("/") else 0
with open("/starts", "a") as file:
    file.write("x")

@mote.every(1000000)
async def measure():
    if number == 0:
        await mote.alert("first")
        mote.alert("boiler", escalate_s=%d)
        mote.alert("over", to="sip:gone@127.0.0.1:%d", expires=290)
        mote.alert("last", to="sip:gone@127.0.0.1:%d", expires=1000)
    if number < 3:
        await asyncio.sleep(0.5)
        await mote.sleep(100)
    await asyncio.sleep(1000)
"""
    gone = closed_port()
    with Peer() as one, Peer() as two:
        to = [f"sip:desk@127.0.0.1:{peer.port}" for peer in (one, two)]
        with running(tmp_path, program % (250, gone, gone), 0, "160k", ("--no-clock",), to=to) as (_, flash):
            for text in (b"first", b"boiler"):
                assert one.answer(200).body == text
            assert two.answer(200).body == b"first"
            assert two.answer(200).body == b"boiler"
            assert len((flash / "starts").read_text()) == 4
            with desk_at(gone) as desk:
                until(lambda: "last" in desk.got)
                until(lambda: not (flash / "outbox").exists())
            assert list(desk.got) == ["last"]


def test_ack_is_on_flash_before_anybody_hears_of_it(tmp_path: Path) -> None:
    """R0-P4: a power cut right behind it stops the escalation all the same"""
    program = """
import os

if "acknowledged" in os.listdir("/"):
    open("/again", "w").close()
else:
    @mote.every(1000000)
    def measure():
        alert = mote.alert("fire", to=["sip:desk@127.0.0.1:9", "sip:night@127.0.0.1:%d"], escalate_s=1)
        with open("/acknowledged", "w") as file:
            file.write(repr(mote.outbox.lanes.acknowledge(None)))
        while True:
            pass
"""
    with Peer() as night, running(tmp_path, program % night.port, 9) as (started, flash):
        until(lambda: (flash / "acknowledged").exists() and (flash / "acknowledged").read_text())
        assert (flash / "acknowledged").read_text() == "['fire']"
        os.kill(vm_of(started.process.pid), signal.SIGKILL)
        until(lambda: (flash / "again").exists())
        waited = time.monotonic()
        until(lambda: time.monotonic() > waited + 2)
        assert night.silent()
