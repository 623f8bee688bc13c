"""Power is cut after each write of a board to its flash, in each of them, and with writes of one block lost: simulated.

One run is recorded: what littlefs wrote to its block device, and when an alert was accepted or came. Then a new board
starts on each flash that a cut could have left behind.
"""

import asyncio

from tests.simulated.desk import Desk
from tests.simulated.world import begin, configure, mount, new_mote, run, world

_LONG = " of the boiler, with all its readings" * 27  # 1,000 octets: few of them fill a journal until it is rewritten
_NIGHT = "sip:night@192.0.2.1"
_ENOUGH_MS = 240000  # for all that waits to leave


class _Desk(Desk):
    """Two recipients. story: (writes so far, "came", text, who) are added to it."""

    def __init__(self, story, log):
        Desk.__init__(self, world)
        self._story = story
        self._log = log
        self.has_night = False

    def take(self, data, reply):
        if self.has_night or not data.startswith(b"MESSAGE sip:night"):
            Desk.take(self, data, reply)

    def message(self, data):
        Desk.message(self, data)
        text, call_id, who = self.got[-1][:3]
        self._story.append((len(self._log), "came", text, (call_id, who)))


def _record():
    """Return (flash before, writes, story) of a board that raised alerts; story: (writes, what, text, more)."""
    flash = begin(16)
    configure(log="error")
    before = bytes(flash.data)
    flash.log = log = []
    story = []
    world.peer = desk = _Desk(story, log)
    desk.is_present = False
    mote = new_mote({})

    def alert(text, **options):
        if mote.alert(text, **options).accepted:
            story.append((len(log), "accepted", text, options.get("key")))

    @mote.every(1000000)
    async def sensor():
        alert("night", to=_NIGHT)
        for n in range(3):
            alert("early %d" % n)
        alert("old", key="boiler")
        alert("new", key="boiler")
        alert("high", priority=9, expires=36000)
        desk.is_present = True
        await asyncio.sleep(90)
        for n in range(9):
            alert("long %d" % n + _LONG)
            await asyncio.sleep_ms(700)
        for n in range(4):
            alert("late %d" % n)
        await asyncio.sleep(20)
        desk.has_night = True
        await asyncio.sleep(200)
        await mote.alert("last")
        world.after(5000, world.end)

    run(mote, 600000)
    flash.log = None
    return before, log, story


def _put(image, write):
    block, offset, octets = write
    image[block * 4096 + offset : block * 4096 + offset + len(octets)] = octets


def _faults(image, story, done, begun, what):
    """Start a board on a flash; return what is wrong with what it sends."""
    try:
        mount(image)
    except OSError as error:
        return ["%s: no file system: %r" % (what, error)]
    world.peer = desk = _Desk([], ())
    desk.has_night = True
    run(new_mote({}), _ENOUGH_MS)
    return [what + ": " + fault for fault in _wrong(story, done, begun, desk)]


def _wrong(story, done, begun, desk):
    known = {}  # who sent a text, under which Call-IDs
    for copy in desk.got:
        known.setdefault(copy[0], set()).add(copy[1:3])
    accepted, gone = {}, set()
    for writes, what, text, more in story:
        if what == "accepted" and writes <= done:
            accepted[text] = more
        elif what == "came" and writes <= done:
            known.setdefault(text, set()).add(more)
            if writes < begun:  # else power may have been cut before
                gone.add(text)
    faults = ["doubled " + text[:8] for text in known if len(known[text]) > 1]
    sent = gone | {copy[0] for copy in desk.got}
    if "new" in accepted or "new" in sent:
        accepted.pop("old", None)
    return faults + ["lost " + text[:8] for text in accepted if text not in sent]


def _states(log, count, begun):
    """Give (writes since the last sync that count, octets of the next, what happened) of a cut after count writes."""
    epoch = range(begun, count)
    yield epoch, 0, "cut after %d" % count
    blocks = {log[n][0] for n in epoch}
    if len(blocks) > 1:
        for block in blocks:
            yield [n for n in epoch if log[n][0] != block], 0, "cut after %d, block %d is late" % (count, block)
    if count < len(log) and log[count] is not None:
        size = len(log[count][2])
        for octets in (1, size // 2, size - 1):
            yield epoch, octets, "cut in %d, after %d octets" % (count, octets)


def _cuts(log, before, every):
    """Give (image, writes that were done, that were begun, what happened) of each so-many-th cut; all in one image."""
    synced, image = bytearray(before), bytearray(before)
    begun = cuts = 0
    for count in range(len(log) + 1):
        for writes, octets, what in _states(log, count, begun):
            cuts += 1
            if cuts % every == 0:
                image[:] = synced
                for n in writes:
                    _put(image, log[n])
                if octets:
                    _put(image, log[count][:2] + (log[count][2][:octets],))
                yield image, count, count + (octets > 0), what
        if count < len(log) and log[count] is None:
            for n in range(begun, count):
                _put(synced, log[n])
            begun = count + 1


def power_cuts(every):
    """Return what is wrong, after how many cuts, of how many writes. every: each so-many-th of all that there are."""
    before, log, story = _record()
    faults, cuts = [], 0
    for image, *cut_at in _cuts(log, before, every):
        faults += _faults(image, story, *cut_at)
        cuts += 1
    accepted = [text for _, kind, text, _ in story if kind == "accepted"]
    return {"faults": faults, "cuts": cuts, "writes": len(log), "accepted": len(accepted)}
