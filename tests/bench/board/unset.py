# A step: a board whose clock nobody has set, as an ESP32 that was just switched on. It is 2000 there.
import sys
import time


class Unset:
    pass


for name in dir(time):
    setattr(Unset, name, getattr(time, name))
Unset.gmtime = lambda seconds=None: (2000, 1, 1, 0, 0, 0, 5, 1)
sys.modules["time"] = Unset
