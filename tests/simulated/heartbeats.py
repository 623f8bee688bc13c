"""A board that beats: when it does, what it says, and what that costs its alerts: simulated."""

import asyncio

from tests.simulated.desk import Desk, answer, field
from tests.simulated.world import begin, configure, new_mote, run, world

_WIFI = [["home", "open sesame"]]


class _Listener(Desk):
    """seen: (ms, body) of each datagram with a heartbeat, (ms, text) of others. ignores: does nobody answer them?"""

    def __init__(self, status=b"200 OK"):
        Desk.__init__(self, world)
        self._status = status
        self.seen = []
        self.alerts = []
        self.ignores_beats = False
        self.ignores_alerts = False

    def take(self, data, reply):
        text = data[data.find(b"\r\n\r\n") + 4 :].decode()
        is_beat = (field(data, b"Content-Type") or b"").endswith(b"heartbeat")
        (self.seen if is_beat else self.alerts).append((world.ms, text))
        if is_beat and not self.ignores_beats:
            reply(answer(data, self._status))
        elif not is_beat and not self.ignores_alerts:
            reply(answer(data, b"200 OK"))


def _board(status=b"200 OK", **settings):
    begin(16)
    world.ms = 0
    configure(wifi=_WIFI, **settings)
    world.peer = desk = _Listener(status)
    records = {}
    return desk, records, new_mote(records)


def usual():
    """Return the beats of an hour in which Wi-Fi goes for a while, what was tried meanwhile, and what was logged."""
    desk, records, mote = _board(heartbeat=100)
    tried = []

    def refuse(number, data):
        if not world.link:
            tried.append(world.ms)

    world.refuse = refuse
    world.after(1000000, setattr, world, "link", False)
    world.after(2000000, setattr, world, "link", True)
    run(mote, 3600000)
    return {"seen": desk.seen, "tried": tried, "records": records}


def refused(status):
    """Return how many beats a desk has refused in three hours, and what was logged."""
    desk, records, mote = _board(status.encode(), heartbeat=100)
    run(mote, 3 * 3600000)
    return {"seen": len(desk.seen), "records": records}


def beside_an_alert(outbox):
    """Return what came where nobody answers beats and an alert is raised a second after one, and the other way round.

    In the second half nobody answers alerts either.
    """
    desk, records, mote = _board(heartbeat=10, outbox=outbox)
    desk.ignores_beats = True
    raised = []

    @mote.every(1000000)
    async def sensor():
        for _ in range(2):
            count = len(desk.seen)
            while len(desk.seen) == count:
                await asyncio.sleep_ms(10)
            await asyncio.sleep(1)
            raised.append(world.ms)
            mote.alert("hot")
            await asyncio.sleep(7)
            desk.ignores_alerts = True

    run(mote, 60000)
    return {"seen": desk.seen, "alerts": desk.alerts, "raised": raised, "records": records}


def asleep(is_present):
    """Return the beats of a board that sleeps for an hour 20 s after its start, and when it has fallen asleep."""
    import sys

    desk, records, mote = _board(heartbeat=86400)
    desk.ignores_beats = not is_present
    slept = []

    def deepsleep(ms):
        slept.append((world.ms, ms))
        world.end()

    machine = sys.modules["machine"]
    machine.deepsleep, machine.reset_cause = deepsleep, lambda: 0

    @mote.every(1000000)
    async def sensor():
        await asyncio.sleep(20)
        mote.sleep(3600)

    run(mote, 60000)
    return {"seen": desk.seen, "slept": slept, "records": records}
