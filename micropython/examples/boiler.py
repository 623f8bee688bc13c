"""A boiler: an alert when it is too hot, and an answer to a message that says "status"."""

from mote import Mote

mote = Mote()  # reads the configuration that was deployed
probe = [79, 80, 81, 85]  # degrees Celsius, made up; temperature.py reads a real thermometer


@mote.every(1)  # second
def boiler():
    celsius = probe.pop(0) if probe else 20
    if celsius > 80:
        mote.alert("Boiler at %d C" % celsius, expires=600)  # worth telling for ten minutes


@mote.command("status")
def status(message):
    return "ok, up %d s" % mote.uptime()


mote.run()
