"""One packet after the other is lost, or the network goes when it is its turn: simulated."""

import asyncio

from tests.simulated.desk import Desk
from tests.simulated.world import begin, configure, new_mote, run, world

KINDS = ("lost", "silence", "unreachable", "no link", "another address", "closed socket", "power cut")
_ALERTS = 4
_LENGTH_MS = 400000
_GONE_MS = 40000
_UNREACHABLE = 113  # EHOSTUNREACH
_SETTINGS = {"register": 600, "user": "boiler", "password": "wonder", "wifi": [["home", "open sesame"]]}


class _Trouble:
    """What happens to the packet of a number, and from then on."""

    def __init__(self, kind, number):
        self._kind = kind
        self._number = number
        self.has_begun = False
        if kind == "unreachable":
            world.refuse = self._refuse
        else:
            world.lose = self._lose

    def _lose(self, number, data):
        if self._kind == "silence" and self.has_begun:
            return world.ms < self._until_ms
        if number != self._number or self.has_begun:
            return False
        self.has_begun = True
        self._until_ms = world.ms + _GONE_MS
        if self._kind == "power cut":
            world.after(0, world.end)
        elif self._kind == "closed socket":
            for sock in world.bound.values():
                sock.broken = True
        elif self._kind not in ("lost", "silence"):
            world.link = False
            world.after(_GONE_MS, self._back)
        return True

    def _back(self):
        world.link = True
        if self._kind == "another address":
            world.address = "192.0.2.99"

    def _refuse(self, number, data):
        """Let nothing leave for a second."""
        if number >= self._number and not self.has_begun:
            self.has_begun = True
            self._until_ms = world.ms + 1000
        return _UNREACHABLE if self.has_begun and world.ms < self._until_ms else 0


def _scenario(settings, kind, number):
    """Return what is wrong where something happens to a packet, and how many there are. number: None for none."""
    configure(**settings)
    world.peer = desk = Desk(world, asks=True, dates=True)
    records = {}
    mote = new_mote(records)
    accepted = []

    @mote.every(1000000)
    async def sensor():
        await asyncio.sleep(1)
        for n in range(_ALERTS):
            if mote.alert("alert %d" % n, expires=None if n else 3600).accepted:
                accepted.append("alert %d" % n)
            await asyncio.sleep_ms(300)

    trouble = number is not None and _Trouble(kind, number)
    address = "192.0.2.99" if kind == "another address" else world.address
    world.after(_LENGTH_MS // 2, lambda: found.append(world.packets))
    found = []
    run(mote, _LENGTH_MS)
    if kind == "power cut":
        run(new_mote(records), _LENGTH_MS)
    return _faults(settings, desk, accepted, records, trouble, address), found


def _faults(settings, desk, accepted, records, trouble, address):
    faults = ["lost " + text for text in accepted if text not in desk.texts()]
    faults += ["doubled " + text for text in desk.doubled()]
    faults += [event for event in records if event in ("task_failed", "alert_failed", "outbox_failed")]
    if trouble and not trouble.has_begun:
        faults.append("nothing happened")
    if "register" in settings and (not desk.registered or address.encode() not in desk.registered[-1]):
        faults.append("registered as %s" % desk.registered[-1:])
    return faults


def losses(has_registrar, kinds=KINDS):
    """Return what is wrong and how many packets there are, where each of them has met each kind of trouble."""
    begin(16)
    settings = _SETTINGS if has_registrar else {"user": "boiler", "password": "wonder"}
    faults, (packets,) = _scenario(settings, None, None)
    for kind in kinds:
        for number in range(packets - (kind == "unreachable")):  # the last one is an answer
            found, _ = _scenario(settings, kind, number)
            faults += ["%s at packet %d: %s" % (kind, number, fault) for fault in found]
    return {"faults": faults, "packets": packets}
