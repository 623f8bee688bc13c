# A board without a sensor: it says that it is up, and answers "status". Put your own program here.
from mote import Mote

mote = Mote()


@mote.command("status")
async def status(message):
    return "ok, up %d s" % mote.uptime()


@mote.every(86400)
async def hello():
    await mote.alert("up %d s" % mote.uptime())


mote.run()
