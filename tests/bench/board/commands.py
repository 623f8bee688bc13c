# An alert, which brings a "status" back, as each answer does; exit code 0 when the Nth has come.
import sys

import renaming  # noqa: F401

from mote import Mote

mote = Mote()
count = 0


@mote.command("status")
async def status(message):
    global count
    count += 1
    if count == int(sys.argv[1]):
        sys.exit(0)
    return "ok, up %d s" % mote.uptime()


@mote.every(1000)
async def sensor():
    await mote.alert("Boiler at 85 C")


mote.run()
