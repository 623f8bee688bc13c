"""The ten lines of a sensor's program: an alert now and then, and one command."""

from mote import Mote

mote = Mote()
probe = [79, 80, 81, 85]  # what this boiler's thermometer will show, degrees Celsius


@mote.every(1)
async def boiler():
    celsius = probe.pop(0) if probe else 0
    if celsius > 80:
        await mote.alert("Boiler at %d C" % celsius, expires=600)


@mote.command("status")
async def status(message):
    return "ok, up %d s" % mote.uptime()


mote.run()
