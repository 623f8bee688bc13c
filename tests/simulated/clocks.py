"""Clocks that are missing, wrong by years or stepping, while alerts wait: what their Date says, simulated."""

import asyncio

from tests.simulated.desk import Desk, unix_of
from tests.simulated.world import begin, configure, new_mote, run, world

_EPOCH_1900 = 2208988800
_SERVER = "192.0.2.2"
_CUT_MS = 600000
_TOLD_MS = 1200000
_BACK_MS = 6200000


class _Desk(Desk):
    """Is its network's time server, too."""

    tells_time = True

    def take(self, data, reply):
        if len(data) != 48 or data[0] != 0x23:
            Desk.take(self, data, reply)
        elif self.tells_time:
            stamp = (world.unix() + _EPOCH_1900).to_bytes(4, "big") + bytes(4)
            reply(b"\x24\x02" + bytes(22) + data[40:] + stamp + stamp)


def late(ahead, step_s, has_server, has_cut, dates=True):
    """Return what is said of alerts that waited: {text: (error of its Date, None without one; seconds too long valid)}.

    ahead: seconds by which the board's clock is ahead at first. step_s: by how much somebody sets it on while they
    wait. has_server: is there a time server, which answers only later? has_cut: is power cut while they wait? dates:
    does the desk tell the time?
    """
    begin(16)
    configure(**({"ntp": _SERVER} if has_server else {}))
    world.ahead = ahead
    world.peer = desk = _Desk(world, dates=dates)
    desk.is_present = desk.tells_time = False
    raised, records = {}, {}

    def alerts(mote, names):
        @mote.every(1000000)
        async def sensor():
            for name in names:
                raised[name] = world.unix()
                mote.alert(name, expires=None if "ever" in name else 7200)
                await asyncio.sleep(60)

    def step():
        world.ahead += step_s

    mote = new_mote(records)
    alerts(mote, ("first", "second", "for ever", "third"))
    world.after(300000, step)
    if has_cut:
        run(mote, _CUT_MS)
        mote = new_mote(records)
    world.after(_TOLD_MS, setattr, desk, "tells_time", True)
    world.after(_BACK_MS, setattr, desk, "is_present", True)
    run(mote, _BACK_MS + 600000)
    found = {}
    for text, _, _, date, expires, came in desk.got:
        date = unix_of(date)
        too_long = None if expires is None else (date or came) + int(expires) - raised[text] - 7200
        found[text] = (None if date is None else date - raised[text], too_long)
    return {"came": found, "failed": [event for event in records if event.endswith("_failed")]}
