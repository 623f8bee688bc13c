"""Who waits for an alert: a sensor that is read on, a task of its own, a limit of the user's, a cancelled task."""

from pathlib import Path

from tests.mote.running import running

_BEGIN = """
import asyncio
from mote import Mote

mote = Mote()
"""
_SENSOR = """
readings = 0

@mote.every(0.2)
async def boiler():
    global readings
    readings += 1
    if readings == 1:
        print("then", await mote.alert("hot"))
    elif readings == 4:
        print("read on")

waiting = mote.alert("begun")

@mote.every(3600)
async def other():
    print("other", await waiting)

mote.run()
"""
_TASKS = """
@mote.every(3600)
async def tasks():
    alert = asyncio.create_task(mote.alert("one"))
    print(alert, await alert)
    print("both", await asyncio.gather(mote.alert("two"), mote.alert("three")))
    four = mote.alert("four")
    try:
        await asyncio.wait_for(four, 0.2)
    except asyncio.TimeoutError:
        print("no answer yet", four.outcome)
    left = asyncio.create_task(four)
    await asyncio.sleep(0)
    left.cancel()
    try:
        await left
    except asyncio.CancelledError:
        print("cancelled", four.outcome)
    print("four", await four, await four)

mote.run()
"""


def test_a_sensor_that_awaits_its_alert_is_read_again_when_it_is_due(tmp_path: Path) -> None:
    """R0-P13: nobody answers; the sensor's await ends without an outcome, that of a longer one goes on."""
    with running(tmp_path, _BEGIN + _SENSOR) as board:
        board.printed("then None")
        board.printed("read on")
        assert [board.alert(), board.alert()] == ["begun", "hot"]
        board.printed("other delivered")


def test_an_alert_is_waited_for_wherever_asyncio_takes_a_coroutine(tmp_path: Path) -> None:
    """R0-P13: create_task(), gather(), wait_for(); a task that is cancelled leaves the alert under way."""
    with running(tmp_path, _BEGIN + _TASKS) as board:
        assert board.alert() == "one"
        board.printed("<Task> delivered")
        assert {board.alert(), board.alert()} == {"two", "three"}
        board.printed("both ['delivered', 'delivered']")
        board.printed("no answer yet None")
        board.printed("cancelled None")
        assert board.alert() == "four"
        board.printed("four delivered delivered")
