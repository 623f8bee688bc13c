# A user's program as small as can be: N alerts one after the other; exit code 0 when the last one was delivered.
import sys

from mote import Mote

mote = Mote()


@mote.every(1000)
async def sensor():
    name = ""
    for _ in range(int(sys.argv[1])):
        name = await mote.alert("Boiler at 85 C")
    sys.exit(0 if name == "delivered" else 1)


mote.run()
