"""A board on a battery: it wakes every ten minutes, sends one alert and sleeps again.

Alerts are kept in memory, and deep sleep clears it. So the board stays awake until its alert has an outcome, at most
for the minute that the alert is valid and an attempt more: what nobody has taken by then is lost. Nobody can send
commands to a board that sleeps. A virtual board can't sleep: it stays awake, and waits for as long.
"""

import asyncio

import machine

from mote import Mote

SLEEP_S = 600
AWAKE_S = 10  # after power-on and reset: time for `sipmote deploy` to stop the program

mote = Mote()


@mote.every(SLEEP_S)
async def report():
    print("alert:", await mote.alert("still here", expires=60))
    if machine.reset_cause() != machine.DEEPSLEEP_RESET:
        await asyncio.sleep(AWAKE_S)
    print("sleeping for %d s" % SLEEP_S)
    if hasattr(machine, "deepsleep"):
        machine.deepsleep(SLEEP_S * 1000)  # wakes as from a reset: the program begins anew


mote.run()
