"""Log records as CBOR in frames on the console line: 0x1E, base64 of (CBOR, CRC-32), 0x1F.

Base64 keeps control characters and line ends out of a frame and costs the board one call in C. A record is
[1, seq, uptime_ms, unix or null, clock quality, level, event, fields].
"""

import struct
import sys
from binascii import b2a_base64, crc32

from agent.compat import const

DEBUG = 0
INFO = 1
WARNING = 2
ERROR = 3
LEVELS = ("debug", "info", "warning", "error")
_LOG = const(1)  # the kind of frame
_SIZE = const(320)  # octets of a record and its checksum


class Log:
    """Writes records of a level or above. wall: agent.clock.WallClock, whose quality each record states.

    A record is put together in one buffer of this object's, so that logging leaves next to nothing for the collector.
    """

    def __init__(self, level: int, wall: object, now: object) -> None:
        self.level = level
        self._wall = wall
        self._now = now  # a function: ms as the core counts them
        self._seq = 0
        self._buffer = bytearray(_SIZE)
        self._at = 0

    def write(self, level: int, event: str, uptime_ms: int, fields: dict) -> None:
        """Write one record. event: a word in snake_case; fields: text to int, text, bool, None or bytes."""
        if level < self.level:
            return
        wall = self._wall
        self._at = 0
        try:
            self.put((_LOG, self._seq, uptime_ms, wall.unix(self._now()), wall.quality, level, event, fields))
        except (IndexError, ValueError):  # too long for the buffer
            self._at = 0
            self.put((_LOG, self._seq, uptime_ms, None, wall.quality, level, event[:64], {"too_long": True}))
        self._seq = (self._seq + 1) & 0xFFFF
        end = self._at
        struct.pack_into(">I", self._buffer, end, crc32(memoryview(self._buffer)[:end]) & 0xFFFFFFFF)
        out = sys.stdout.buffer
        out.write(b"\x1e")
        out.write(b2a_base64(memoryview(self._buffer)[: end + 4], newline=False))
        out.write(b"\x1f")

    def put(self, value: object) -> None:
        """Append one value in CBOR (RFC 8949): None, bool, int (64 bits), bytes, str, tuple, list or dict."""
        kind = type(value)
        if kind is int:
            if value >= 0:
                self._head(0, value)
            else:
                self._head(0x20, -1 - value)
        elif kind is str or kind is bytes:
            data = value if kind is bytes else value.encode()
            self._head(0x40 if kind is bytes else 0x60, len(data))
            end = self._at + len(data)
            if end > _SIZE - 4:  # room for the checksum
                raise ValueError
            self._buffer[self._at : end] = data
            self._at = end
        elif kind is dict:
            self._head(0xA0, len(value))
            for key in value:
                self.put(key)
                self.put(value[key])
        elif kind is tuple or kind is list:
            self._head(0x80, len(value))
            for item in value:
                self.put(item)
        elif value is None or kind is bool:
            self._head(0xE0, 22 if value is None else 20 + value)
        else:
            self.put(repr(value))

    def _head(self, major: int, number: int) -> None:
        """Append the first octets of an item: its major type and a number of up to 64 bits."""
        at = self._at
        if number < 24:
            self._buffer[at] = major | number
            self._at = at + 1
        elif number < 256:
            struct.pack_into(">BB", self._buffer, at, major | 24, number)
            self._at = at + 2
        elif number < 65536:
            struct.pack_into(">BH", self._buffer, at, major | 25, number)
            self._at = at + 3
        elif number >> 32 == 0:
            struct.pack_into(">BI", self._buffer, at, major | 26, number)
            self._at = at + 5
        else:
            struct.pack_into(">BQ", self._buffer, at, major | 27, number)
            self._at = at + 9
