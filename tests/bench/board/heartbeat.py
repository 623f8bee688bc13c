# As alert.py, and then a heartbeat, at once rather than some time within the first seconds.
import sys

from mote import Mote

mote = Mote()


@mote.every(1000)
async def sensor():
    names = [await mote.alert("Boiler at 85 C")]
    mote.heartbeat._send(300)
    names.append(await mote.heartbeat._alert)
    sys.exit(0 if names == ["delivered"] * 2 else 1)


mote.run()
