"""Built-in commands that change something: ack and interval, and how they read a time. sleep is in test_power.py."""

import json
from pathlib import Path

from tests.host_tools.peers import until
from tests.mote.running import running
from tests.vm import run_program

_PROGRAM = """
import machine
from mote import Mote

mote = Mote()
%s

@mote.every(604800)
def Boiler():
    with open("/runs", "a") as file:
        file.write("x")


@mote.every(0.5)
async def door():
    pass


@mote.every(604800)
def begin():
    mote.alert("begun")


@mote.command("restart")
def restart(message):
    machine.reset()


mote.run()
"""


def test_times_are_read_as_people_write_them() -> None:
    program = """
import json
from mote.durations import read_duration, told
texts = ("60", "10m", "1.5h", "2d", "1,5 min", "3 W", ".5", "", "m", "1e5", "-3", "1.2.3", ".", "10 x", "nan")
print(json.dumps([[read_duration(text) for text in texts], [told(n) for n in (0.5, 60, 120, 5400, 7200, 2419200)]]))
"""
    read, told = json.loads(run_program(program, "", "256k").stdout)
    assert read == [60, 600, 5400, 172800, 90, 1814400, 0.5, *[None] * 8]
    assert told == ["0.5 s", "60 s", "2 min", "90 min", "2 h", "4 w"]


def test_an_interval_holds_at_once_and_over_a_restart_and_not_against_a_changed_program(tmp_path: Path) -> None:
    """R0-P13: what can't be read is answered with an example"""
    with running(tmp_path, _PROGRAM % "", outbox=False) as board:
        runs = board.flash / "runs"
        assert board.alert() == "begun"
        listed = "Boiler every 7 d, door every 0.5 s, begin every 7 d"
        assert board.ask("interval") == listed
        assert board.ask("interval cellar 10") == "no sensor cellar: " + listed
        assert board.ask("interval boiler soon") == "soon is no time; for example: interval 60, or interval Boiler 10m"
        assert board.ask("interval boiler 0.5").startswith("1 s is the least for Boiler; for example: ")
        assert board.ask("interval 5w").startswith("4 weeks is the most; ")
        assert board.ask("interval door 500 s") == "door every 500 s"
        assert board.ask("interval door 0.5") == "door every 0.5 s" and not (board.flash / "intervals").exists()
        before = len(runs.read_text())
        assert board.ask("INTERVAL boiler 1") == "Boiler every 1 s"
        until(lambda: len(runs.read_text()) >= before + 2)
        board.desk.send(board.desk.from_port, b"text/plain", b"restart", to=b"sip:boiler@127.0.0.1")
        assert board.desk.receive()[0].status == 200 and board.alert() == "begun"
        board.monitor.wait_for(name="intervals", fields={"sensors": "Boiler every 1 s"})
        before = len(runs.read_text())
        until(lambda: len(runs.read_text()) >= before + 2)
        for text, record in (('{"Boiler": [5, 1000]}', ""), ("{", "intervals_lost")):
            (board.flash / "intervals").write_text(text)
            board.desk.send(board.desk.from_port, b"text/plain", b"restart", to=b"sip:boiler@127.0.0.1")
            assert board.desk.receive()[0].status == 200 and board.alert() == "begun"
            assert board.ask("interval") == listed
            assert not record or board.monitor.wait_for(name=record, level="warning")


def test_ack_stops_what_waits_for_an_answer(tmp_path: Path) -> None:
    """The key is everything behind the word, in any case; what waits for it is who comes next"""
    program = """
def escalate():
    others = [mote.settings["to"], "sip:night@127.0.0.1:9"]
    for text, key in (("hot", "The boiler"), ("wet", None), ("open", "door")):
        mote.alert(text, to=others, key=key, escalate_s=1000)

@mote.command("raise")
def begin(message):
    escalate()
"""
    with running(tmp_path, _PROGRAM % program) as board:
        assert board.alert() == "begun"
        board.desk.send(board.desk.from_port, b"text/plain", b"raise", to=b"sip:boiler@127.0.0.1")
        assert board.desk.receive()[0].status == 200
        assert [board.alert() for _ in range(3)] == ["hot", "wet", "open"]
        assert board.ask("ack cellar") == "nothing waits for an answer"
        assert board.ask("Ack the boiler ") == "stopped: hot"
        assert board.ask("ack") == "stopped: wet, open"
        assert board.ask("ack") == "nothing waits for an answer"


def test_without_an_outbox_nothing_waits_and_a_programs_own_command_wins(tmp_path: Path) -> None:
    program = """
@mote.command("Interval")
def own(message):
    return "mine"
"""
    with running(tmp_path, _PROGRAM % program, outbox=False) as board:
        assert board.alert() == "begun"
        assert board.ask("ack") == "nothing waits for an answer"
        assert board.ask("interval") == "mine"
