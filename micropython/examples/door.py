"""A door: an alert when it opens and when it closes. A reed contact lies between pin 4 and ground.

The contact is closed while the door is. A virtual board has no pins: the file /pin4 stands in, 1 is an open door.
"""

from mote import Mote

try:
    from machine import Pin

    pin = Pin(4, Pin.IN, Pin.PULL_UP)

    def is_open():
        return pin.value() == 1

except ImportError:

    def is_open():
        try:
            with open("/pin4") as file:
                return file.read().strip() == "1"
        except OSError:
            return False


mote = Mote()
was_open = is_open()


@mote.every(1)
def watch():
    global was_open
    now_open = is_open()
    if now_open != was_open:
        was_open = now_open
        mote.alert("door opened" if now_open else "door closed", expires=3600)


@mote.command("door")
def door(message):
    return "open" if is_open() else "closed"


mote.run()
