# A user's program as small as can be: N alerts one after the other; exit code 0 when the last one was delivered.
import sys

from mote import Mote

mote = Mote()


@mote.every(1000)
async def sensor():
    name = ""
    for _ in range(int(sys.argv[1])):
        name = await mote.alert("Boiler at 85 C")
    is_dated = len(sys.argv) < 3 or mote.agent.clock is not None
    sys.exit(0 if name == "delivered" and is_dated else 1)


mote.run()
