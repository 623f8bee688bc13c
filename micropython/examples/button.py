"""A button for help: one alert for each press, and the board's console says what became of it.

The button lies between pin 4 and ground. A virtual board has no pins: the file /pin4 stands in, 1 is a pressed button.
"""

import asyncio

from mote import Mote

try:
    from machine import Pin

    pin = Pin(4, Pin.IN, Pin.PULL_UP)

    def is_pressed():
        return pin.value() == 0

except ImportError:

    def is_pressed():
        try:
            with open("/pin4") as file:
                return file.read().strip() == "1"
        except OSError:
            return False


mote = Mote()


async def wait_until(pressed):
    while is_pressed() != pressed:
        await asyncio.sleep(0.02)


@mote.every(1)  # a second after the last press has been dealt with, wait for the next one
async def button():
    await wait_until(True)
    alert = mote.alert("help is wanted at the gate", expires=600)  # on its way, while we go on
    await wait_until(False)
    print("help:", await alert)  # until somebody has taken it, further presses change nothing


mote.run()
