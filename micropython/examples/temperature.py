"""A thermometer with two limits: an alert above 80 C, the all-clear below 70 C, and silence between.

With one limit, a temperature that wavers around it would send an alert each time. The thermometer is a DS18B20 at
pin 4. A virtual board has no pins: the file /celsius stands in.
"""

import asyncio

from mote import Mote

TOO_HOT = 80
COOL_AGAIN = 70

try:
    from ds18x20 import DS18X20
    from machine import Pin
    from onewire import OneWire

    bus = DS18X20(OneWire(Pin(4)))

    async def read_celsius():
        bus.convert_temp()
        await asyncio.sleep(1)  # it takes 750 ms; commands and other sensors go on
        return bus.read_temp(bus.scan()[0])

except ImportError:

    async def read_celsius():
        try:
            with open("/celsius") as file:
                return float(file.read())
        except OSError:
            return 20.0


mote = Mote()
is_hot = False


@mote.every(2)
async def watch():
    global is_hot
    celsius = await read_celsius()
    print("%.1f C" % celsius)
    if celsius > TOO_HOT and not is_hot:
        is_hot = True
        mote.alert("too hot: %.1f C" % celsius, expires=600)
    elif celsius < COOL_AGAIN and is_hot:
        is_hot = False
        mote.alert("cool again: %.1f C" % celsius, expires=600)


mote.run()
