"""A world for one board inside a VM: time, network, flash and clocks are made here, so that days pass in seconds.

To be imported before anything of mote. Time stands still while a task runs and jumps to the next thing that
is due when all wait. Sockets lead to the one peer of the network, which tests.simulated.desk is.
"""

import gc
import io
import os
import sys
import time as _time

import vfs

TRUTH = 1795780800  # Unix seconds when a world begins: 2026-11-28
_BLOCK = 4096
_LATENCY_MS = 5
_PATIENCE = 1000  # rounds in which no time passes, until some does: a task that spins ends nothing
_EPOCH = 946684800 if _time.gmtime(0)[0] == 2000 else 0
_LAST = _time.ticks_add(0, -1)  # ticks before they wrap, on this VM


class End(BaseException):
    """The scenario is over, or power is cut: nothing of mote catches this."""


class World:
    """What is around the board.

    ms: since the world began. ahead: seconds by which the board's own clock is ahead of the truth. address: the
    board's, of now. link: is there a network? peer: an object with take(data, reply). lose: a function of a packet's
    number and octets, True where it is lost. refuse: a function of the same that returns an error number for sendto()
    to raise.
    """

    def __init__(self):
        self.ms = 0
        self.ticks = 0x3FFFFFFF - 700  # just before those of the core wrap
        self.ahead = 0
        self.peer = None
        self._due = []
        self._idle = 0
        self.restart()

    def restart(self):
        """Forget what a power cut takes: sockets, what flies, what was to be lost."""
        self.address = "192.0.2.7"
        self.link = True
        self.lose = self.refuse = None
        self.packets = 0
        self.bound = {}
        self.streams = []
        self._due = []

    def unix(self):
        """Return the true time."""
        return TRUTH + self.ms // 1000

    def after(self, ms, function, *arguments):
        """Call a function in so many ms."""
        at = self.ms + ms
        index = len(self._due)
        while index and self._due[index - 1][0] > at:
            index -= 1
        self._due.insert(index, (at, function, arguments))

    def end(self):
        """Cut the power; for after()."""
        raise End

    def wait(self, most_ms):
        """Let time pass: to the next thing that is due, at most so long; -1: whatever it takes."""
        due = self._due
        if due and (most_ms < 0 or due[0][0] - self.ms <= most_ms):
            at, function, arguments = due.pop(0)
            self._pass(at - self.ms)
            function(*arguments)
        elif most_ms < 0:
            raise End
        else:
            self._pass(most_ms)

    def _pass(self, ms):
        self._idle = 0 if ms else self._idle + 1
        if self._idle > _PATIENCE:
            ms = 1
        self.ms += ms
        self.ticks = (self.ticks + ms) & _LAST

    def spin(self):
        """Let a round pass in which somebody works."""
        self._pass(0)
        if self._due and self._due[0][0] <= self.ms:
            _, function, arguments = self._due.pop(0)
            function(*arguments)

    def send(self, sock, data, address):
        """Carry a datagram to the peer, and the peer's answers back. Raises OSError."""
        number = self.packets
        error = self.refuse and self.refuse(number, data)
        if error or not self.link:
            raise OSError(error or 101)  # ENETUNREACH
        source = self.address, sock.port
        self.packets += 1
        if not (self.lose and self.lose(number, data)):
            self.after(_LATENCY_MS, self.peer.take, data, Way(self, source, (address[0], address[1])))


class Way:
    """The way back to a datagram's sender."""

    def __init__(self, world, source, peer):
        self._world = world
        self.source = source
        self._peer = peer

    def __call__(self, data):
        world = self._world
        number = world.packets
        world.packets += 1
        if not (world.lose and world.lose(number, data)):
            world.after(_LATENCY_MS, self._arrive, data)

    def _arrive(self, data):
        host, port = self.source
        sock = self._world.bound.get(port)
        if sock is not None and self._world.link and host == self._world.address:
            sock.queue.append((data, self._peer))


class Socket(io.IOBase):
    """A UDP socket, or a stream to the peer, as those of an ESP32: addresses are tuples."""

    def __init__(self, family=2, kind=2, protocol=0):
        self.kind = kind
        self.queue = []
        self.port = 0
        self.broken = False  # by the network
        self.closed = False
        self._asked = 0

    def setsockopt(self, *arguments):
        pass

    def setblocking(self, flag):
        pass

    def bind(self, address):
        self.port = address[1] or 49152 + len(world.bound)
        world.bound[self.port] = self

    def listen(self, backlog=0):
        pass

    def connect(self, address):
        self._peer = address
        if self.kind == 2:
            self.bind(("", 0))
        elif not world.link or not world.peer.is_present:
            raise OSError(113)  # EHOSTUNREACH
        else:
            world.streams.append(self)

    def sendto(self, data, address):
        if self.broken:
            raise OSError(9)
        world.send(self, bytes(data), address)
        return len(data)

    def send(self, data):
        return self.sendto(data, self._peer)

    def recvfrom(self, octets):
        if self.broken:
            raise OSError(9)
        if not self.queue:
            raise OSError(11)
        data, address = self.queue.pop(0)
        return data[:octets], address

    def recv(self, octets):
        return self.recvfrom(octets)[0]

    def read(self, octets):
        """Return what a stream has brought: None for nothing yet."""
        if self.broken:
            raise OSError(104)  # ECONNRESET
        if not self.queue:
            return None
        data = self.queue.pop(0)
        if data[octets:]:
            self.queue.insert(0, data[octets:])
        return data[:octets]

    def write(self, data):
        """Hand a stream's octets to the peer, who gets whole messages so."""
        if self.broken or not world.link:
            raise OSError(104)
        world.after(_LATENCY_MS, world.peer.take, bytes(data), self._answer)
        return len(data)

    def _answer(self, data):
        if world.link and not self.broken:
            self.queue.append(data)

    def getpeercert(self, is_binary):
        """A handshake takes some rounds."""
        self._asked += 1
        return b"certificate" if self._asked > 3 else None

    def ioctl(self, request, argument):
        if request != 3:
            return 0 if request == 4 else -1
        if self.closed:
            return 32  # POLLNVAL
        return argument & (4 | bool(self.queue or self.broken))

    def close(self):
        self.closed = self.broken = True
        if world.bound.get(self.port) is self:
            del world.bound[self.port]
        if self in world.streams:
            world.streams.remove(self)


class Flash:
    """A block device in RAM. log, if wanted: what was written, (block, offset, octets), or None for a sync."""

    log = None

    def __init__(self, data):
        self.data = data

    def readblocks(self, block, buffer, offset=0):
        at = block * _BLOCK + offset
        buffer[:] = self.data[at : at + len(buffer)]

    def writeblocks(self, block, buffer, offset=0):
        if self.log is not None:
            self.log.append((block, offset, bytes(buffer)))
        self.put(block, offset, buffer)

    def put(self, block, offset, octets):
        """Program octets."""
        at = block * _BLOCK + offset
        self.data[at : at + len(octets)] = octets

    def ioctl(self, request, argument):
        if request == 3 and self.log is not None:
            self.log.append(None)
        elif request == 6:  # erased flash is all ones
            erased = b"\xff" * _BLOCK
            if self.log is not None:
                self.log.append((argument, 0, erased))
            self.put(argument, 0, erased)
        return {4: len(self.data) // _BLOCK, 5: _BLOCK}.get(request, 0)


class _Task:
    """asyncio's Task: the native one asks the VM for the ticks. state: True, the queue of who waits, None or False."""

    def __init__(self, coro, context=None):
        self.coro = coro
        self.data = None
        self.state = True
        self.ph_key = 0

    def __iter__(self):
        if not self.state:
            self.state = False
        elif self.state is True:
            self.state = _TaskQueue()
        return self

    def __next__(self):
        if not self.state:
            raise self.data
        self.state.push(core.cur_task)
        core.cur_task.data = self

    def done(self):
        return not self.state

    def cancel(self):
        if not self.state:
            return False
        task = self
        while isinstance(task.data, _Task):
            task = task.data
        if hasattr(task.data, "remove"):
            task.data.remove(task)
            core._task_queue.push(task)
        elif _time.ticks_diff(task.ph_key, world.ticks) > 0:
            core._task_queue.remove(task)
            core._task_queue.push(task)
        task.data = core.CancelledError
        return True


class _TaskQueue:
    """asyncio's TaskQueue, by the ticks of the world."""

    def __init__(self):
        self._tasks = []

    def push(self, task, at=None):
        task.data = None
        task.ph_key = at = world.ticks if at is None else at
        index = len(self._tasks)
        while index and _time.ticks_diff(self._tasks[index - 1].ph_key, at) > 0:
            index -= 1
        self._tasks.insert(index, task)

    def peek(self):
        return self._tasks[0] if self._tasks else None

    def pop(self):
        return self._tasks.pop(0)

    def remove(self, task):
        if task in self._tasks:
            self._tasks.remove(task)


class _Module:
    pass


def _fake(name, **members):
    module = sys.modules[name] = _Module()
    for member in members:
        setattr(module, member, members[member])
    return module


class _Clock:
    def datetime(self, date=None):
        if date is None:
            return _time.gmtime(sys.modules["time"].time())
        world.ahead += _time.mktime(date[:3] + date[4:7] + (0, 0)) + _EPOCH - world.unix() - world.ahead


class _Wlan:
    def __init__(self, kind):
        pass

    def active(self, on=None):
        return True

    def config(self, *arguments, **options):
        pass

    connect = disconnect = config

    def isconnected(self):
        return world.link

    def status(self, what=None):
        return 1010 if what is None else -50

    def ifconfig(self, *given):
        return world.address, "255.255.255.0", "192.0.2.254", "192.0.2.254"


class _Tls:
    def __init__(self, protocol):
        pass

    def load_verify_locations(self, data):
        pass

    def wrap_socket(self, sock, **options):
        return sock


def _modules():
    now = _fake("time")
    for name in dir(_time):
        setattr(now, name, getattr(_time, name))
    now.ticks_ms = lambda: world.ticks
    now.time = lambda: world.unix() + world.ahead - _EPOCH
    now.gmtime = lambda seconds=None: _time.gmtime(now.time() if seconds is None else seconds)
    _fake(
        "socket",
        socket=Socket,
        AF_INET=2,
        AF_INET6=10,
        SOCK_DGRAM=2,
        SOCK_STREAM=1,
        SOL_SOCKET=1,
        SO_REUSEADDR=4,
        getaddrinfo=lambda host, port, *more: [(2, more[1] if more[1:] else 2, 0, "", (host, port))],
    )
    _fake("machine", RTC=_Clock, unique_id=lambda: b"simulated")
    _Wlan.PM_NONE = 0
    _fake("network", WLAN=_Wlan, STA_IF=0)
    _fake("tls", SSLContext=_Tls, PROTOCOL_TLS_CLIENT=0, CERT_NONE=0, CERT_REQUIRED=2)


world = World()
_modules()
from asyncio import core  # noqa: E402


class _Poll:
    """asyncio's IOQueue, without the VM's poll(), which waits a ms for what is no file."""

    def __init__(self):
        self.map = {}  # by id: [who waits to read, who waits to write, what for]

    def queue_read(self, stream):
        self._queue(stream, 0)

    def queue_write(self, stream):
        self._queue(stream, 1)

    def _queue(self, stream, which):
        self.map.setdefault(id(stream), [None, None, stream])[which] = core.cur_task
        core.cur_task.data = self

    def remove(self, task):
        for key, waiting in list(self.map.items()):
            for which in (0, 1):
                if waiting[which] is task:
                    waiting[which] = None
            if waiting[:2] == [None, None]:
                del self.map[key]

    def wait_io_event(self, most_ms):
        for waiting in list(self.map.values()):
            flags = waiting[2].ioctl(3, 5)
            for which, others in ((0, ~4), (1, ~1)):
                if flags & others and waiting[which] is not None:
                    core._task_queue.push(waiting[which])
                    self.remove(waiting[which])
        head = core._task_queue.peek()
        if head is None or _time.ticks_diff(head.ph_key, world.ticks) > 0:
            world.wait(most_ms)
        else:
            world.spin()


core.ticks = sys.modules["time"].ticks_ms
core.Task, core.TaskQueue, core.IOQueue = _Task, _TaskQueue, _Poll
core.new_event_loop()
_is_begun = False


def mount(data):
    """Make an image the board's flash; returns the device, whose file system is a littlefs."""
    global _is_begun
    if not _is_begun:
        _is_begun = True
        vfs.mount(vfs.VfsPosix(os.getcwd()), "/code")
        sys.path[:] = ["/code", "/code/micropython", ".frozen"]
    flash = Flash(data)
    files = vfs.VfsLfs2(flash)
    os.chdir("/")
    vfs.umount("/")
    vfs.mount(files, "/")
    os.chdir("/")
    return flash


def begin(blocks=32):
    """Give the board a flash that is empty; returns it."""
    data = bytearray(b"\xff" * (blocks * _BLOCK))
    vfs.VfsLfs2.mkfs(Flash(data))
    return mount(data)


def cut():
    """Cut the power: what mote had in RAM is gone, the flash stays."""
    core.new_event_loop()
    world.restart()
    gc.collect()


def configure(**settings):
    """Write /mote.json."""
    import json

    known = {"aor": "sip:boiler@192.0.2.7", "to": "sip:desk@192.0.2.1"}
    known.update(settings)
    with open("/mote.json", "w") as file:
        json.dump(known, file)


def run(mote, ms):
    """Run a program's Mote for so long, or until the world ends; then the power is cut."""
    world.after(ms, world.end)
    try:
        mote.run()
    except End:
        pass
    cut()


def new_mote(records=None):
    """Return a Mote as a program would make it. records: a dict that counts its log records, which are not printed."""
    import mote.forget

    mote.forget.forget = lambda: None  # sources would be compiled again at each start
    from mote import Mote

    if "mote.net.wifi" in sys.modules:
        sys.modules["mote.net.wifi"]._last = None
    sys.modules["mote"].sent = lambda *arguments: None
    gc.threshold(-1)
    board = Mote()
    if records is not None:

        def log(level, event, **fields):
            records[event] = records.get(event, 0) + 1

        board.log = log
    return board
