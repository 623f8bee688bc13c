"""Sockets, ticks and tasks around agent.user_agent: everything that a core without I/O leaves to its shell."""

import asyncio
from asyncio import core
from time import ticks_add, ticks_ms

from agent.clock import later, until
from agent.compat import const
from agent.events import Dropped, Resolve, Transmit
from mote.memory import collect
from mote.net.sockets import address_of, now, readable

_MAX_DATAGRAM = const(1500)  # octets; a longer one arrives cut short and is answered 400
_SMALL = const(600)  # what is read instead when no 1500 octets in one piece are free: enough for a response
_LONG_MS = const(86400000)  # how long the ticker sleeps when nothing is due


class Shell:
    """Drives one UserAgent. on_event is called with what is neither to be sent nor to be looked up."""

    def __init__(self, user_agent: object, on_event: object, settings: dict) -> None:
        self.user_agent = user_agent
        self.settings = settings
        self._on_event = on_event
        self._udp = None
        self._tcp = None
        self._listener = None
        self._resolver = None
        self._flow = None  # of the last datagram that left, and its socket address
        self._address = None
        self._ticker = None
        self._wake_at = 0

    def open(self, udp: object) -> None:
        """Begin to read a UDP socket (None on a board without a network), and to watch the time."""
        self._udp = udp
        self._wake_at = later(now(), _LONG_MS)
        self._ticker = asyncio.create_task(self._tick())
        if udp is not None:
            asyncio.create_task(self._read_udp())

    def streams(self) -> object:
        """Return what has the TCP and TLS connections, loaded when first asked for."""
        if self._tcp is None:
            from mote.net.tcp import Streams

            self._tcp = Streams(self)
        return self._tcp

    def listen(self, host: str, port: int) -> None:
        """Take the streams that peers open. Raises OSError."""
        from mote.net.listener import Listener

        self._listener = Listener(self.streams(), host, port)

    def close(self) -> None:
        """Close all sockets, so that the next run can bind them again."""
        for part in (self._udp, self._tcp, self._listener):
            if part is not None:
                part.close()

    def carry_out(self, events: object) -> None:
        """Do what the core asks for, in its order."""
        for event in events:
            kind = type(event)
            if kind is Transmit:
                self._transmit(event)
            elif kind is Resolve:
                self._resolve(event.uri)
            else:
                self._on_event(event)
        self._arm()

    def _transmit(self, event: Transmit) -> None:
        flow = event.flow
        try:
            if flow[0] != b"UDP":
                self.streams().write(flow, event.data)
                return
            if flow != self._flow:
                self._address = address_of(flow[1], flow[2])
                self._flow = flow
            self._udp.sendto(event.data, self._address)
        except OSError as error:
            self.carry_out(self.user_agent.failed(flow, now(), str(error).encode()))

    def _resolve(self, uri: bytes) -> None:
        """Have a URI's server looked up."""
        if self._resolver is None:
            from mote.net.resolver import Resolver

            self._resolver = Resolver(self)
        self._resolver.resolve(uri)

    async def _read_udp(self) -> None:
        sock = self._udp
        while True:
            await readable(sock)
            try:
                try:
                    data, address = sock.recvfrom(_MAX_DATAGRAM)
                except MemoryError:
                    collect()
                    data, address = sock.recvfrom(_SMALL)
                flow = self._flow
                if address != self._address:
                    from mote.net.peer import host_port_of

                    flow = (b"UDP",) + host_port_of(address)
                self.receive(data, flow)
                data = None  # takes no memory while the next one is awaited
            except (OSError, MemoryError):
                pass  # an ICMP error of an earlier datagram; its request runs into its timer

    def receive(self, data: object, flow: tuple) -> None:
        """Give the core what came: a datagram, or an item of a stream's Framer."""
        if data[:4] != b"SIP/" if type(data) is bytes else data.method:
            collect()  # what a request loads will stay: not between rubbish
        for _ in range(2):
            try:
                self.carry_out(self.user_agent.receive(data, flow, now()))
                return
            except MemoryError:
                collect()
        self._on_event(Dropped("no memory for a message", flow))  # over UDP the sender will repeat it

    def _arm(self) -> None:
        """See to it that the ticker wakes in time for the core's next deadline."""
        wait = self.user_agent.wait_ms(now())
        ticker = self._ticker
        if wait is None or ticker is None or ticker is core.cur_task or until(self._wake_at, now()) <= wait:
            return
        self._wake_at = later(now(), wait)
        core._task_queue.remove(ticker)
        core._task_queue.push(ticker, ticks_add(ticks_ms(), wait))

    async def _tick(self) -> None:
        while True:
            wait = self.user_agent.wait_ms(now())
            self._wake_at = later(now(), _LONG_MS if wait is None else wait)
            await asyncio.sleep_ms(_LONG_MS if wait is None else wait)
            try:
                self.carry_out(self.user_agent.wake(now()))
            except MemoryError:  # it is due again at once
                collect()
                await asyncio.sleep_ms(100)  # let others finish
