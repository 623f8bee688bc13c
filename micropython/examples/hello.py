from mote import Mote

mote = Mote()


@mote.every(60)
def hello():
    mote.alert("hello, up %d s" % mote.uptime())


mote.run()
