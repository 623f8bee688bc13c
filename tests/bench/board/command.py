# As alert.py, but done when a "status" has come in and its answer was delivered.
import sys

from mote import Mote

mote = Mote()


@mote.command("status")
async def status(message):
    mote.commands.clear()
    return "ok, up %d s" % mote.uptime()


@mote.every(1)
async def sensor():
    if not mote.commands:
        sys.exit(0)
    await mote.alert("Boiler at 85 C")


mote.run()
