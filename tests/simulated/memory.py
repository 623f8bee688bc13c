"""What a board keeps of heap after so many alerts, with all that a field has in the mix: simulated."""

import asyncio
import gc
from array import array
from binascii import hexlify
from hashlib import sha256

from tests.simulated.desk import Desk, answer, command, field
from tests.simulated.world import begin, configure, new_mote, run, world

_TLS = "sip:desk@192.0.2.1;transport=tls"
_SETTINGS = {
    "register": 600,
    "user": "boiler",
    "password": "wonder",
    "wifi": [["home", "open sesame"]],
    "tls_fingerprint": hexlify(sha256(b"certificate").digest()).decode(),
}


class _Desk(Desk):
    """Counts what comes, and keeps nothing of it."""

    came = 0
    answers = 0
    last = None

    def message(self, data):
        at = data.find(b"\r\n\r\n") + 4
        if data[at : at + 5] == b"alert":
            self.came += data[at:] != self.last
            self.last = data[at:]
        else:
            self.answers += 1

    def take(self, data, reply):
        if data.startswith(b"REGISTER") and field(data, b"Authorization") is not None:
            contact = field(data, b"Contact")
            reply(answer(data, b"200 OK", b"Contact: %s;expires=600\r\n" % contact))
        else:
            Desk.take(self, data, reply)


async def _trouble(n, desk):
    """Let something happen to a board that has raised n alerts."""
    sock = world.bound.get(5060)
    if n % 10 == 3 and sock is not None and world.link:
        sock.queue.append((command(world, b"status", n, world.address.encode()), ("192.0.2.1", 5060)))
        await asyncio.sleep(1)
    if n % 50 == 7:
        world.link = False
        world.after(40000, _back, "192.0.2.%d" % (7 + n // 50 % 2))
    if n % 50 == 30:
        desk.is_present = False
        world.after(45000, setattr, desk, "is_present", True)
    if n % 100 == 60:  # streams end
        for sock in list(world.streams):
            sock.broken = True


def _back(address):
    world.link = True
    world.address = address


def memory(alerts, step):
    """Return the octets that are free after each so-many-th of the alerts, and what came."""
    begin(16)
    configure(**_SETTINGS)
    world.peer = desk = _Desk(world, asks=True, dates=True)
    free = array("I", [0] * (alerts // step))  # so that it doesn't grow
    outcomes = {}
    records = {}
    mote = new_mote(records)

    @mote.command("status")
    def status(message):
        return "ok, up %d s" % mote.uptime()

    @mote.every(100000000)
    async def sensor():
        for n in range(1, alerts + 1):
            await _trouble(n, desk)
            alert = mote.alert("alert %d" % n, to=_TLS if n % 5 == 0 else None, expires=36000 if n % 7 == 0 else None)
            outcome = await alert
            alert = None
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
            if n % step == 0:
                await asyncio.sleep(90)
                gc.collect()
                gc.collect()
                free[n // step - 1] = gc.mem_free()
        world.after(0, world.end)

    run(mote, 0x1FFFFFFF)
    ms = world.ms
    return {
        "free": list(free),
        "came": desk.came,
        "answers": desk.answers,
        "outcomes": outcomes,
        "records": records,
        "ms": ms,
    }
