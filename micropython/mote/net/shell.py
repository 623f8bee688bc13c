"""Sockets, ticks and tasks around agent.user_agent: everything that a core without I/O leaves to its shell."""

import asyncio
from asyncio import core
from gc import collect
from time import ticks_add, ticks_ms

from agent.clock import until
from agent.compat import const
from agent.events import Outcome, Transmit
from mote.net.sockets import address_of, now, readable

_MAX_DATAGRAM = const(1500)  # octets; a longer one arrives cut short and is answered 400
_LEAST = const(300)  # what is read where memory runs out again and again: enough for a plain 200
_MORE = const(64)  # that are tried the next time
_T1 = const(500)  # ms, RFC 3261 table 4
_STREAM = const(84)  # "T", of TCP and TLS
_EBADF = const(9)  # somebody, or a driver, has closed the socket
_SOON_MS = const(100)
_LONG_MS = const(86400000)  # how long the ticker sleeps when nothing is due


class Shell:
    """Drives one UserAgent over UDP; on_event is called with what it has no part in. For the rest it has others()."""

    _udp = _ticker = None
    _flow = _address = None  # of the last datagram that left, and its socket address
    _others = None
    _wake_at = 0
    reserve = None  # octets that are let go when memory runs out, so that an answer can be taken

    def __init__(self, user_agent: object, on_event: object, settings: dict) -> None:
        self.user_agent = user_agent
        self.settings = settings
        self._on_event = on_event
        self.pending = []  # events that there was no memory for, and what went wrong; it has room for four
        self.repeats = 0  # of memory that was short

    def open(self, udp: object) -> None:
        """Begin to read a UDP socket (None on a board without a network), and to watch the time."""
        self._udp = udp
        self._ticker = asyncio.create_task(self._tick())
        if udp is not None:
            asyncio.create_task(self._read())

    def others(self) -> object:
        """Return what has the streams, the names, and what goes wrong."""
        if self._others is None:
            from mote.net.others import Others

            self._others = Others(self)
        return self._others

    def close(self) -> None:
        """Close all sockets, so that the next run can bind them again."""
        for part in (self._udp, self._others):
            if part is not None:
                part.close()

    def carry_out(self, events: object) -> None:
        """Do what the core asks for, in its order. What fails holds nothing up: the core asks only once."""
        is_due = False
        for event in events:
            kind = type(event)
            try:
                if kind is Outcome:
                    self._on_event(event)
                    continue
                is_due = True
                if kind is Transmit and event.flow[0][0] != _STREAM:
                    self._send(event.data, event.flow)
                elif not self.others().take(event):
                    self._on_event(event)
            except Exception as error:
                if self.reserve is not None:  # else to write it would take memory
                    self.reserve = None
                collect()
                self.pending.append(event if type(error) is MemoryError else error)
                is_due = True
        if is_due:
            self._arm()

    def _arm(self) -> None:
        """Have the ticker wake in time for the core's next deadline.

        What was just begun is due in T1 at the soonest: a ticker that wakes before then will ask by itself.
        """
        ticker = self._ticker
        at = now()
        if ticker is None or ticker is core.cur_task or until(self._wake_at, at) <= _T1:
            return
        wait = _SOON_MS if self.pending else self.user_agent.wait_ms(at)
        if wait is not None and until(self._wake_at, at) > wait:
            self._wake_at = at + wait
            core._task_queue.remove(ticker)
            core._task_queue.push(ticker, ticks_add(ticks_ms(), wait))

    def _send(self, data: bytes, flow: tuple) -> None:
        try:
            if flow != self._flow:
                self._address = address_of(flow[1], flow[2])
                self._flow = flow
            if self._udp is None:
                raise OSError("no network, or mote.run() has not begun")
            self._udp.sendto(data, self._address)
        except OSError as error:
            self.carry_out(self.user_agent.failed(flow, now(), str(error).encode()))

    def failed(self, error: Exception) -> object:
        """Tell of what a task did not expect, unless memory was just short; to be awaited at once, before it goes on.

        In the latter case nothing is allocated, not even a coroutine.
        """
        if type(error) is MemoryError:
            if self.reserve is not None:
                self.reserve = None
            self.repeats += 1
            if self.repeats & 63 == 0:  # a few are usual in a small heap
                print("memory is short: leave something out")
        collect()
        core._io_queue.remove(core.cur_task)  # memory may have run out there between its two steps
        try:
            if type(error) is not MemoryError:
                self._on_event(error)
        except Exception:
            print(error)
        return asyncio.sleep_ms(_SOON_MS)  # let others finish

    async def _read(self) -> None:
        room = _MAX_DATAGRAM
        is_closed = False
        while True:
            data = None  # takes no memory while one is awaited
            try:
                if is_closed:
                    await asyncio.sleep_ms(_T1)
                    self._udp = self.others().bound()
                    is_closed = False
                await readable(self._udp)
                data, address = self._udp.recvfrom(room)
                if len(data) == room < _MAX_DATAGRAM:  # and perhaps not all of it, so it isn't answered: it comes again
                    room = _MAX_DATAGRAM
                    continue
                room = min(room + _MORE, _MAX_DATAGRAM)
                if address == self._address and data[:4] == b"SIP/":
                    events = self.user_agent.receive(data, self._flow, now())
                    data = None
                    self.carry_out(events)
                    events = None
                else:
                    self.others().received(data, address)
            except OSError as error:  # an ICMP error of an earlier datagram; its request runs into its timer
                is_closed = is_closed or error.errno == _EBADF
            except Exception as error:
                room = max(room >> 1, _LEAST)  # recvfrom() may have lost a datagram for want of its second copy
                await self.failed(error)  # it will come again: a request by its sender, a response after our next one

    async def _tick(self) -> None:
        while True:
            try:
                wait = _SOON_MS if self.pending else self.user_agent.wait_ms(now())
                if wait is None:
                    wait = _LONG_MS
                self._wake_at = now() + wait
                await asyncio.sleep_ms(wait)
                if self.pending:
                    left, self.pending = self.pending, []
                    self.carry_out(left)
                self.carry_out(self.user_agent.wake(now()))
            except Exception as error:  # it is due again at once
                await self.failed(error)
