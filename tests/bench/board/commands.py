# An alert, which brings a "status" back, as each answer does; exit code 0 when N were answered.
import asyncio
import sys

import renaming  # noqa: F401

from mote import Mote

mote = Mote()
count = 0


@mote.command("status")
async def status(message):
    global count
    count += 1
    return "ok, up %d s" % mote.uptime()


@mote.every(1000)
async def sensor():
    await mote.alert("Boiler at 85 C")
    while count < int(sys.argv[1]) or mote.agent.replies():
        await asyncio.sleep_ms(10)
    sys.exit(0)


mote.run()
