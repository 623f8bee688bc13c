"""Commands with arguments: "limit" tells a number, "limit 75" changes it, "pump 3" runs a pump for three seconds.

The pump's relay is at pin 4. A virtual board has no pins: the file /pin4 stands in.
"""

import asyncio

from mote import Mote

try:
    from machine import Pin

    pin = Pin(4, Pin.OUT)

    def switch(on):
        pin.value(1 if on else 0)

except ImportError:

    def switch(on):
        with open("/pin4", "w") as file:
            file.write("1" if on else "0")


mote = Mote()
limit_c = 80


@mote.every(86400)  # so that somebody has a message to answer
def hello():
    mote.alert("here I am, send me: limit, pump 3, whoami")


def number_in(message, least, most):
    """Return the second word as a number; None when there is none, or another one than from least to most."""
    word = message.words[1] if len(message.words) > 1 else ""
    return int(word) if word.isdigit() and least <= int(word) <= most else None


@mote.command("limit")
def limit(message):
    global limit_c
    if len(message.words) > 1:
        celsius = number_in(message, 20, 95)
        if celsius is None:
            return "limit N: 20 to 95"
        limit_c = celsius
    return "the limit is %d C" % limit_c


@mote.command("pump")  # async: sensors and other commands go on while it runs
async def pump(message):
    seconds = number_in(message, 1, 60)
    if seconds is None:
        return "pump N: 1 to 60 seconds"
    switch(True)
    await asyncio.sleep(seconds)
    switch(False)
    return "the pump ran for %d s" % seconds


@mote.command("whoami")
def whoami(message):
    return "you are %s" % (message.user or message.sender)


mote.run()
