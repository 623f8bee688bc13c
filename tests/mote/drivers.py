"""A driver that tests change, and mote.net.link run with it on a VM; pauses are written down, not waited for."""

import json
from typing import Any

from tests.vm import run_program

_BEGIN = """
import asyncio, json, sys

script = json.loads(sys.argv[1])
calls = []  # of the driver
records = []
pauses = []  # ms
went = []  # what was done to be online
class Enough(BaseException):
    pass

class network:
    STA_IF = 0
    class WLAN:
        PM_POWERSAVE = 7
        address = "192.0.2.7"
        fails = []  # (method, error) that are still to come
        statuses = [1001]
        rssi = None
        seconds = 2  # of Wi-Fi, once joined
        def __init__(self, kind):
            self.met("WLAN", kind)
        def met(self, name, *arguments):
            if name not in ("isconnected", "status", "ifconfig") or arguments:
                calls.append([name] + [each if type(each) is str else repr(each) for each in arguments])
            for fault in self.fails:
                if fault[0] == name:
                    self.fails.remove(fault)
                    raise fault[1]
        def active(self, on):
            self.met("active", on)
        def config(self, **options):
            self.met("config", *sorted(options.items()))
        def ipconfig(self, what=None, **options):
            if what is None:
                self.met("ipconfig", *options.items())
        def connect(self, ssid, key):
            self.met("connect", ssid, key)
            self.left = self.joins(ssid)
        def joins(self, ssid):
            return self.seconds
        def status(self, what=None):
            self.met("status")
            if what == "rssi":
                if self.rssi is None:
                    raise OSError("not joined")
                return self.rssi
            return self.statuses.pop() if len(self.statuses) > 1 else self.statuses[0]
        def isconnected(self):
            self.met("isconnected")
            self.left -= 1
            return self.left >= 0
        def ifconfig(self, *given):
            self.met("ifconfig", *given)
            return (self.address, "255.255.255.0", "192.0.2.1", "192.0.2.1")

WLAN = network.WLAN
sys.modules["network"] = network

class mote:
    settings = {"wifi": [["home", "open sesame"]], "register": 600}
    most = 1  # records, then it is enough
    class shell:
        def failed(error):
            went.append(repr(error))
            return asyncio.sleep_ms(0)
        def carry_out(events):
            went.append(events)
        def others():
            return mote.shell
        def moved():
            went.append("moved")
    class agent:
        clock = None
        def move_to(sent_by):
            went.append(sent_by.decode())
        def register(*arguments, **options):
            return "register"
    def log(level, event, **fields):
        records.append([event, fields])
        if len(records) == mote.most:
            raise Enough

async def pause(ms):
    pauses.append(ms)

asyncio.sleep_ms = pause
from mote.net import link
"""
_END = """
try:
    asyncio.run(link.keep_up(mote))
except Enough:
    pass
print(json.dumps({"calls": calls, "records": records, "pauses": pauses, "went": went}))
"""


def run_link(scenario: str, argument: Any = None, bits: int = 32) -> dict[str, Any]:
    """Run the task with a driver that scenario has changed, until there are mote.most records."""
    found: dict[str, Any] = json.loads(run_program(_BEGIN + scenario + _END, json.dumps(argument), "256k", bits).stdout)
    return found
