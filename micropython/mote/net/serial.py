"""SIP over the serial line, for a board without a network: a host that runs `sipmote bridge` passes it on.

A datagram goes out whole, in a frame as mote.log writes them: the CBOR array [4, what, number, octets]. Towards the
board, whose port may hold no more than 259 octets unread, it comes in pieces of frames of 200 octets at most: the host
sends the next one when this one is acknowledged, and the same one again when it isn't. To SIP the line is as UDP is:
what noise has taken is sent again. Nothing but base64 stands in a frame, so that Ctrl-C stays what it is.

Via has SIP/2.0/SERIAL, one of the tokens that RFC 3261 section 25.1 leaves to others (other-transport), and a name that
ends in .invalid (RFC 2606) as sent-by: answers go back on the line, and beyond the bridge, which is a relay, nobody
sees either.
"""

import asyncio
import sys
from binascii import a2b_base64, crc32
from select import POLLIN, poll
from struct import pack

from agent.compat import const
from mote.log import WARNING, write
from mote.net.sockets import now, readable

_KIND = const(4)  # of frames, beside those of the log
_VERSION = const(1)  # of all this but the greeting, which stays as it is
_GREETING = const(0)  # both ways. number: the version; to the board with the Unix time, from it with its name, and at
# its start with b"!" before that
_DATAGRAM = const(1)  # to the host
_TAKEN = const(2)  # to the host: the piece with this number
_PIECE = const(4)  # to the board, and more for the first and the last one
_FIRST = const(1)
_LAST = const(2)
_NUMBERS = const(23)  # of pieces, in turn
_MAX_FRAME = const(200)  # octets of base64
_MAX_DATAGRAM = const(1500)
_TURN = const(256)  # octets that are read before others have their turn
_GREETING_MS = const(10000)
_HOST = const(3)  # of agent.qualities
_NONE = const(-1)


def open(mote: object) -> None:
    """Begin to read the line and to greet. (A new name would cost each board, also those that never load this.)"""
    if mote.settings.get("transport") == "serial":
        shell = mote.shell
        shell._flow = mote.agent.uac.settings["first_hop"][0]
        shell._udp = Serial(mote, shell._flow)
    else:
        from mote.net.fallback import open

        open(mote, Serial)


class Serial:
    """The line of a Shell, in place of its UDP socket or beside it. It begins to read and to greet at once."""

    def __init__(self, mote: object, flow: tuple) -> None:
        """flow: what the core knows it by."""
        self._mote = mote
        self._name = mote.settings["aor"].encode()
        self._flow = flow
        self._frame = bytearray(_MAX_FRAME)
        self._size = _NONE  # octets of a frame that has begun
        self._last = _NONE  # the number of the last piece
        self._datagram = b""
        self._refused = None  # the version of a host that we can't work with
        asyncio.create_task(self._read())
        asyncio.create_task(self._greet())

    def sendto(self, data: bytes, address: object) -> None:
        """Write a datagram."""
        self._write(_DATAGRAM, 0, data)

    def close(self) -> None:
        """There is nothing to close."""

    def _write(self, what: int, number: int, octets: bytes) -> None:
        write(pack(">BBBBBH", 0x84, _KIND, what, number, 0x59, len(octets)), octets)

    async def _greet(self) -> None:
        """Greet now and then: a host that has just begun learns who we are, and tells the time."""
        name = b"!" + self._name
        while True:
            try:
                self._write(_GREETING, _VERSION, name)
                name = self._name
                await asyncio.sleep_ms(_GREETING_MS)
            except Exception as error:
                await self._mote.shell.failed(error)

    async def _read(self) -> None:
        stdin, octet = sys.stdin, bytearray(1)
        poller = poll()
        poller.register(stdin, POLLIN)
        while True:
            try:
                await readable(stdin)
                for _ in range(_TURN):
                    is_there = 0
                    for _, event in poller.ipoll(0):
                        is_there = event & POLLIN and stdin.buffer.readinto(octet)  # more than is there would block
                    if not is_there:
                        break
                    self._take(octet[0])
                await asyncio.sleep_ms(0)
            except Exception as error:
                self._size = _NONE
                await self._mote.shell.failed(error)

    def _take(self, octet: int) -> None:
        size = self._size
        if octet == 0x1E:
            size = 0
        elif size >= 0:
            if octet == 0x1F:
                self._size = _NONE
                self._end_frame(size)
                return
            if size < _MAX_FRAME:
                self._frame[size] = octet
                size += 1
            else:
                size = _NONE
        self._size = size

    def _end_frame(self, size: int) -> None:
        """Take what stands in a frame, if it is whole."""
        try:
            data = a2b_base64(memoryview(self._frame)[:size])
        except ValueError:
            return
        if data[:2] != b"\x84\x04" or pack(">I", crc32(data[:-4])) != data[-4:]:
            return
        what, number = data[2], data[3]
        octets = data[5 if data[4] < 0x58 else 6 : -4]
        data = None
        if what == _GREETING:
            self._greeted(number, octets)
        elif what >= _PIECE and self._refused is None:
            self._take_piece(what, number, octets)

    def _take_piece(self, what: int, number: int, octets: bytes) -> None:
        is_new = number != self._last
        if is_new:
            if what & _FIRST:
                self._datagram = b""
            elif number != (self._last + 1) % _NUMBERS or self._last < 0:
                return  # we have begun anew in between: so will the host
            self._datagram += octets
            self._last = number
        self._write(_TAKEN, number, b"")
        if is_new and what & _LAST:
            data, self._datagram = self._datagram, b""
            self._receive(data)
        elif len(self._datagram) > _MAX_DATAGRAM:
            self._datagram = b""

    def _receive(self, data: bytes) -> None:
        shell = self._mote.shell
        if data[:4] == b"SIP/":
            shell.carry_out(shell.user_agent.receive(data, self._flow, now()))
        else:
            shell.others().receive(data, self._flow)

    def _greeted(self, version: int, octets: bytes) -> None:
        """A host is there; its octets are the Unix time, b"" if it doesn't know that, with b"?" before if it asks who.

        It counts its pieces anew.
        """
        self._last = _NONE
        if octets[:1] == b"?":
            self._write(_GREETING, _VERSION, self._name)
            octets = octets[1:]
        if version != _VERSION:
            if version != self._refused:
                self._mote.log(WARNING, "bridge_refused", version=version, ours=_VERSION)
            self._refused = version
            return
        self._refused = None
        if octets:
            self._set_clock(int(octets))

    def _set_clock(self, unix: int) -> None:
        uac = self._mote.agent.uac
        at = now()
        if uac.clock is None:
            from agent.wall_clock import WallClock

            uac.clock = WallClock()
        elif uac.clock.unix(at) not in (unix - 1, unix, unix + 1) and uac.clock.quality <= _HOST:
            from mote.redated import step

            step(self._mote, unix, _HOST, at)
        uac.clock.set(unix, _HOST, at)
