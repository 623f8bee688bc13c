"""A sensor on a battery: it wakes every ten minutes, measures, sends an alert when there is need to, and sleeps again.

Nobody can send commands to a board that sleeps. It waits for the outcome of its alert, at most for the two minutes that
this is valid, and after power-on and reset for 10 seconds more, in which `sipmote deploy` gets in. Variables are gone
when it wakes: the last state is in a file. The pin is the divider of the battery's voltage; on a virtual board, which
has none, the file /volts stands in.
"""

import os

from mote import Mote

SLEEP_S = 600
LOW_VOLTS = 3.4
TOLD = "/told_low"  # there while the receiver knows that it is low

try:
    from machine import ADC, Pin

    divider = ADC(Pin(34))

    def read_volts():
        return divider.read_u16() / 65535 * 3.3 * 2  # two equal resistors

except ImportError:

    def read_volts():
        with open("/volts") as file:
            return float(file.read())


mote = Mote()


@mote.every(SLEEP_S)
async def report():
    volts = read_volts()
    print("%.2f V" % volts)
    is_low = volts < LOW_VOLTS
    was_low = TOLD[1:] in os.listdir("/")
    if is_low != was_low:
        text = "battery at %.2f V" % volts if is_low else "battery is charged again"
        outcome = await mote.alert(text, expires=120)
        if outcome in ("delivered", "accepted"):  # else it is told when the board wakes the next time
            if is_low:
                open(TOLD, "w").close()
            else:
                os.remove(TOLD)
    await mote.sleep(SLEEP_S)


mote.run()
