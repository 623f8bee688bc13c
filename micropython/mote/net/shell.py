"""Sockets, ticks and tasks around agent.user_agent: everything that a core without I/O leaves to its shell."""

import asyncio
import gc
import time
from asyncio import core

try:
    import socket
except ImportError:  # a board without a network: its messages fail, its sensors and its log work
    socket = None

from agent.clock import later, until
from agent.compat import const
from agent.events import Dropped, Outcome, Transmit

MAX_DATAGRAM = 1500  # octets; a longer one arrives cut short and is answered 400
_SMALL = const(600)  # what is read instead when no 1500 octets in one piece are free: enough for a response


def now() -> int:
    """Return the ms that the core counts in: they wrap at 2**30 on every port."""
    return time.ticks_ms() & 0x3FFFFFFF


def readable(sock: object) -> object:
    """Suspend the task until sock has something to read; to be awaited."""
    yield core._io_queue.queue_read(sock)


def address_of(host: bytes, port: int) -> object:
    """Return what this port's sockets take as an address. host: an IP address; a name would block. Raises OSError."""
    return socket.getaddrinfo(host.decode(), port)[0][-1]


def host_port_of(address: object) -> tuple:
    """Return (host, port) of an address as this port's sockets give it: a tuple, or a packed sockaddr (unix)."""
    if type(address) is tuple:
        return address[0].encode(), address[1]
    _, packed, port = socket.sockaddr(address)[:3]
    if len(packed) == 4:
        return b"%d.%d.%d.%d" % tuple(packed), port
    return socket.inet_ntop(socket.AF_INET6, packed).encode(), port


class Shell:
    """Drives one UserAgent. An outcome wakes who awaits send(); on_event is called with all other events."""

    def __init__(self, user_agent: object, on_event: object, settings: dict) -> None:
        self.user_agent = user_agent
        self.settings = settings
        self._on_event = on_event
        self._udp = None
        self._tcp = None
        self._resolver = None
        self._address = (None, 0, None)  # host, port and socket address of the last datagram that left
        self._waiting = {}  # Call-ID -> [asyncio.Event, Outcome]
        self._ticker = None
        self._wake_at = 0

    def open(self, host: str, port: int, tcp: bool) -> None:
        """Bind the UDP socket, start to read, and listen on TCP if told to. Raises OSError."""
        if socket is None:
            return
        host = host.strip("[]")
        self._udp = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._udp.bind(address_of(host.encode(), port))
        self._udp.setblocking(False)
        asyncio.create_task(self._read_udp())
        if tcp:
            from mote.net.listener import listen

            asyncio.create_task(listen(self.streams(), host, port))

    def streams(self) -> object:
        """Return what has the TCP and TLS connections, loaded when first asked for."""
        if self._tcp is None:
            from mote.net.tcp import Streams

            self._tcp = Streams(self)
        return self._tcp

    def close(self) -> None:
        """Close all sockets, so that the next run can bind them again."""
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()

    async def send(self, call_id: bytes, target: bytes, body: bytes, **options: object) -> object:
        """Send a MESSAGE and return its Outcome. Raises agent.errors.UsageError."""
        done = asyncio.Event()
        events = self.user_agent.send(call_id, target, body, now(), **options)
        self._waiting[call_id] = waiting = [done, None]
        self.carry_out(events)
        events = None  # what has left takes no memory while its answer is awaited
        await done.wait()
        return waiting[1]

    def carry_out(self, events: object) -> None:
        """Do what the core asks for, in its order."""
        for event in events:
            kind = type(event)
            if kind is Transmit:
                self._transmit(event)
            elif kind is Outcome:
                waiting = self._waiting.pop(event.call_id, None)
                if waiting is not None:
                    waiting[1] = event
                    waiting[0].set()
            else:
                self._on_event(event)
        self._arm()

    def _transmit(self, event: Transmit) -> None:
        flow = event.flow
        try:
            if socket is None:
                raise OSError("no network")
            if flow[0] != b"UDP":
                self.streams().write(flow, event.data)
                return
            known = self._address
            if known[0] != flow[1] or known[1] != flow[2]:
                if self.locate(flow):
                    return
                self._address = known = (flow[1], flow[2], address_of(flow[1], flow[2]))
            self._udp.sendto(event.data, known[2])
        except OSError as error:
            self.carry_out(self.user_agent.failed(flow, now(), str(error).encode()))

    def locate(self, flow: tuple) -> bool:
        """Have the host of a flow looked up if it is a name; the core turns to where it leads when that is known."""
        if flow[1].find(b":") >= 0 or flow[1].replace(b".", b"").isdigit():
            return False
        if self._resolver is None:
            from mote.net.resolver import Resolver

            self._resolver = Resolver(self)
        self._resolver.locate(flow)
        return True

    async def _read_udp(self) -> None:
        sock = self._udp
        while True:
            await readable(sock)
            try:
                try:
                    data, address = sock.recvfrom(MAX_DATAGRAM)
                except MemoryError:
                    gc.collect()
                    data, address = sock.recvfrom(_SMALL)
                self.receive(data, (b"UDP",) + host_port_of(address))
            except (OSError, MemoryError):
                pass  # an ICMP error of an earlier datagram; its request runs into its timer

    def receive(self, data: object, flow: tuple) -> None:
        """Give the core what came: a datagram, or an item of a stream's Framer."""
        if data[:4] != b"SIP/" if type(data) is bytes else data.method:
            gc.collect()  # what a request loads will stay: not between rubbish
        for _ in range(2):
            try:
                self.carry_out(self.user_agent.receive(data, flow, now()))
                return
            except MemoryError:
                gc.collect()
        self._on_event(Dropped("no memory for a message", flow))  # over UDP the sender will repeat it

    def _arm(self) -> None:
        """See to it that wake() is called in time: one task sleeps until the core's next deadline."""
        wait = self.user_agent.wait_ms(now())
        if wait is None or (self._ticker is not None and until(self._wake_at, now()) <= wait):
            return
        if self._ticker is not None:
            self._ticker.cancel()
        self._wake_at = later(now(), wait)
        self._ticker = asyncio.create_task(self._tick())

    async def _tick(self) -> None:
        await asyncio.sleep_ms(max(0, until(self._wake_at, now())))
        try:
            events = self.user_agent.wake(now())
        except MemoryError:
            events = ()  # it is due again at once
            gc.collect()
            await asyncio.sleep_ms(100)  # let others finish
        self._ticker = None
        self.carry_out(events)
