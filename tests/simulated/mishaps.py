"""What goes wrong once, at a moment that is hard to hit: an accepted alert arrives all the same, simulated."""

import asyncio
import os
import sys

import micropython
from tests.simulated.desk import Desk, command
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


def acknowledged_meanwhile():
    """Return what was lost when a scheduled function has the journal rewritten in the middle of an ack."""
    desk, mote = _away()
    left = [0, 1, 2]

    @mote.every(1000000)
    async def sensor():
        mote.alert("first")  # it is under way
        mote.alert("it is x", key="boiler x")  # with the record of its end as long as each of those that follow
        for name in "x0123456789":
            mote.alert("boiler %s is too hot" % name, key="boiler " + name)
        lanes, journal = mote.outbox.lanes, sys.modules["mote.journal"]
        load = journal.load
        number = 0
        while mote.outbox.journal.octets <= 4096 + 2 * lanes._octets - 110:
            number += 1
            mote.alert("tank %d" % (number % 2), key="tank")

        def load_late(path, at):
            content = load(path, at)
            while left:
                micropython.schedule(lambda n: mote.alert("late %d" % n, key="tank"), left.pop())
            return content

        __import__("mote.escalation")
        sys.modules["mote.escalation"].load = load_late
        assert lanes.acknowledge("boiler 3") == ["boiler 3 is too hot"]

    run(mote, 100000)
    run(new_mote({}), 100000)
    return [number for number in range(10) if "boiler %d is too hot" % number not in desk.texts()]


def no_memory_for_a_task():
    """Return the outcomes of alerts where memory is missing for an outcome, and for a task in its place."""
    desk, mote = _away()
    desk.is_present = True
    on_event, create_task = mote.shell._on_event, asyncio.create_task
    fails = [1, 2, 3]

    def fail(event):
        if type(event).__name__ == "Outcome" and fails:
            fails.pop()
            asyncio.create_task = missing
            raise MemoryError
        asyncio.create_task = create_task
        on_event(event)

    def missing(coroutine):
        raise MemoryError

    outcomes = []

    @mote.every(1000000)
    async def sensor():
        mote.shell._on_event = fail
        for alert in [mote.alert("hot"), mote.alert("hotter")]:
            outcomes.append(await alert)

    run(mote, 100000)
    return outcomes, desk.texts()


def key_after_failed_write():
    """Return what comes of a key's alerts when the flash didn't take the one in the middle."""
    desk, mote = _away()

    def full(data):
        raise OSError(28)

    @mote.every(1000000)
    async def sensor():
        mote.alert("first")
        mote.alert("old", key="boiler")
        mote.outbox.journal.append = full
        mote.alert("from memory", key="boiler")
        del mote.outbox.journal.append
        mote.alert("new", key="boiler")

    run(mote, 100000)
    return sorted(desk.texts())


def interrupted():
    """Return what comes in a second run when Ctrl-C came as the first alert was handed to the core."""
    desk, mote = _away()
    desk.is_present = True
    send = mote.agent.send
    left = [1]

    def interrupt(*arguments, **options):
        if left:
            left.pop()
            raise KeyboardInterrupt
        return send(*arguments, **options)

    mote.agent.send = interrupt

    @mote.every(1000000)
    async def sensor():
        if left:
            for text in ("first", "second"):
                mote.alert(text)

    try:
        mote.run()
    except KeyboardInterrupt:
        pass
    run(mote, 100000)
    return desk.texts()


def waited_for():
    """Return whether 50 waits for an alert, each with a limit, leave something behind each, and its outcome."""
    _, mote = _away()
    seen = []

    @mote.every(1000000)
    async def sensor():
        alert = mote.alert("hot")
        for _ in range(50):
            try:
                await asyncio.wait_for(alert, 0.1)
            except asyncio.TimeoutError:
                pass
        seen.append(len(alert.steps) > 1)
        seen.append(await asyncio.wait_for(alert, 60))

    run(mote, 100000)
    return seen


def slept_behind(ms=1150):
    """Return how many commands run as the board goes to sleep; one comes in so many ms, just before that."""
    _, mote = _away()
    world.peer.is_present = True
    machine = sys.modules["machine"]
    machine.DEEPSLEEP_RESET = 4
    machine.reset_cause = lambda: 4
    running, runs = [], []

    def deepsleep(ms):
        running.append(sys.modules["mote.commands"].under_way(mote) if runs else 0)
        world.end()

    machine.deepsleep = deepsleep

    @mote.command("pump")
    async def pump(message):
        runs.append(1)
        await asyncio.sleep(1)

    @mote.every(1000000)
    async def sensor():
        await mote.alert("measured")
        world.after(ms, lambda: world.bound[5060].queue.append((command(world, b"pump", 1), ("192.0.2.1", 5060))))
        await mote.sleep(600)

    run(mote, 100000)
    return running
