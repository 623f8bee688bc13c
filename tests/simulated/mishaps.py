"""What goes wrong once, at a moment that is hard to hit: an accepted alert arrives all the same, simulated."""

import asyncio
import os
import sys

import micropython
from tests.simulated.desk import Desk
from tests.simulated.world import begin, configure, new_mote, run, world


def _away():
    """Begin with a desk that is away for 20 s; returns it and a program's Mote."""
    begin()
    configure()
    world.peer = desk = Desk(world)
    desk.is_present = False
    world.after(20000, setattr, desk, "is_present", True)
    return desk, new_mote({})


def unlike():
    """Return what comes of one text that is valid for ever, and for five seconds."""
    desk, mote = _away()

    @mote.every(1000000)
    async def sensor():
        mote.alert("first")
        mote.alert("leaks")
        mote.alert("leaks", expires=5)

    run(mote, 100000)
    return desk.texts()


def unread():
    """Return what comes of alerts that wait, of which the flash can't be read once."""
    desk, mote = _away()
    fails = [OSError(5)]

    def fail_once(path, mode="r"):
        if path == "/outbox" and mode == "rb" and fails and desk.is_present:
            raise fails.pop()
        return open(path, mode)

    @mote.every(1000000)
    async def sensor():
        for text in ("first", "second", "third"):
            mote.alert(text)
        sys.modules["mote.journal"].open = fail_once

    run(mote, 100000)
    return desk.texts(), len(fails)


def cut_short():
    """Return what comes of an alert that is raised when somebody has cut the journal short."""
    desk, mote = _away()

    @mote.every(1000000)
    async def sensor():
        for text in ("first", "second", "third"):
            mote.alert(text)
        with open("/outbox", "rb") as file:
            data = file.read(100)
        with open("/outbox", "wb") as file:
            file.write(data)
        mote.alert("fourth")

    run(mote, 100000)
    return "fourth" in desk.texts()


def scheduled():
    """Return what comes when a scheduled function raises an alert just as another one has its outcome."""
    desk, mote = _away()
    desk.is_present = True
    outbox = type(mote.outbox)
    forget = outbox.forget
    left = [1, 2, 3]

    def forget_late(self, at):
        forget(self, at)
        if left:
            micropython.schedule(mote.alert, "scheduled %d" % left.pop())

    @mote.every(1000000)
    async def sensor():
        for number in range(6):
            mote.alert("loop %d" % number)
            await asyncio.sleep(3)

    outbox.forget = forget_late
    run(mote, 100000)
    return sorted(desk.texts())


def not_removed():
    """Return what a restart finds of an alert that was accepted after the journal couldn't be removed."""
    desk, mote = _away()
    desk.is_present = True
    fails = []

    class Os:
        listdir = os.listdir

        def remove(path):
            if fails:
                raise fails.pop()
            os.remove(path)

    sys.modules["mote.outbox"].os = Os

    @mote.every(1000000)
    async def sensor():
        while mote.outbox.journal.octets <= 4096:
            await mote.alert("x" * 90)
        fails.append(OSError(5))
        mote.alert("in RAM")
        desk.is_present = False
        mote.alert("on flash")
        await asyncio.sleep(0.1)
        world.after(1, world.end)
        await asyncio.sleep(1)

    run(mote, 100000)
    desk.is_present = True
    run(new_mote({}), 100000)
    return "on flash" in desk.texts()
