"""A door: an alert when it opens and when it closes. A reed contact lies between pin 4 and ground.

The contact is closed while the door is. Its pin interrupts, the handler sets a flag, and the sensor wakes: nothing is
polled. A virtual board has no pins: the file /pin4 stands in, 1 is an open door, and a task looks at it.
"""

import asyncio

from mote import Mote

BOUNCE_S = 0.05  # for so long a contact chatters

mote = Mote()
changed = asyncio.ThreadSafeFlag()  # type: ignore[attr-defined]  # what an interrupt may touch; MicroPython's own

try:
    from machine import Pin

    pin = Pin(4, Pin.IN, Pin.PULL_UP)
    pin.irq(lambda _: changed.set(), Pin.IRQ_RISING | Pin.IRQ_FALLING)

    def is_open():
        return pin.value() == 1

except ImportError:

    def is_open():
        try:
            with open("/pin4") as file:
                return file.read().strip() == "1"
        except OSError:
            return False

    async def interrupt():
        before = is_open()
        while True:
            await asyncio.sleep(0.1)
            if is_open() != before:
                before = not before
                changed.set()

    asyncio.create_task(interrupt())

was_open = is_open()


@mote.every(0)  # again at once
async def watch():
    global was_open
    await changed.wait()
    await asyncio.sleep(BOUNCE_S)
    now_open = is_open()
    if now_open != was_open:  # else it was a knock
        was_open = now_open
        mote.alert("door opened" if now_open else "door closed", expires=3600)


@mote.command("door")
def door(message):
    return "open" if is_open() else "closed"


mote.run()
