# As alert.py, for a desk that asks for a password.
import sys

import setting
from mote import Mote

setting.more["password"] = "wonder"
mote = Mote()


@mote.every(1000)
async def sensor():
    name = ""
    for _ in range(int(sys.argv[2])):
        name = await mote.alert("Boiler at 85 C")
    sys.exit(0 if name == "delivered" else 1)


mote.run()
