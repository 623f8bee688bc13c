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


def cbor(value: object) -> bytes:
    """Encode None, bool, int (64 bits), str, bytes, tuple, list or dict; anything else as its repr (RFC 8949)."""
    kind = type(value)
    if kind is str or kind is bytes:
        major = 0x40
        if kind is str:
            major = 0x60
            value = value.encode()
        number = len(value)
        return (b"%c%s" % (major | number, value)) if number < 24 else _head(major, number) + value
    if kind is int:
        return _head(0, value) if value >= 0 else _head(0x20, -1 - value)
    if value is None or kind is bool:
        return b"\xf6" if value is None else b"\xf5" if value else b"\xf4"
    if kind is dict:
        items = [_head(0xA0, len(value))]
        for key in value:
            items.append(cbor(key))
            items.append(cbor(value[key]))
        return b"".join(items)
    if kind is tuple or kind is list:
        return _head(0x80, len(value)) + b"".join([cbor(item) for item in value])
    return cbor(repr(value))


def _head(major: int, number: int) -> bytes:
    """Return the first octets of an item: its major type and a number of up to 64 bits."""
    if number < 24:
        return bytes((major | number,))
    if number < 256:
        return bytes((major | 24, number))
    if number < 65536:
        return struct.pack(">BH", major | 25, number)
    if number >> 32 == 0:
        return struct.pack(">BI", major | 26, number)
    return struct.pack(">BQ", major | 27, number)


class Log:
    """Writes records of a level or above. wall: agent.clock.WallClock, whose quality each record states."""

    def __init__(self, level: int, wall: object, now: object) -> None:
        self.level = level
        self._wall = wall
        self._now = now  # a function: ms as the core counts them
        self._seq = 0

    def write(self, level: int, event: str, uptime_ms: int, fields: dict) -> None:
        """Write one record. event: a word in snake_case; fields: text to int, text, bool, None or bytes."""
        if level < self.level:
            return
        wall = self._wall
        unix = wall.unix(self._now())
        # One call in C for what is always there: an array of 8, the kind, seq and the uptime in fixed widths.
        record = struct.pack(">BBBHBI", 0x88, _LOG, 0x19, self._seq, 0x1A, uptime_ms & 0xFFFFFFFF)
        record += b"\xf6" if unix is None else struct.pack(">BI", 0x1A, unix)
        record += bytes((wall.quality, level)) + cbor(event) + cbor(fields)
        self._seq = (self._seq + 1) & 0xFFFF
        out = sys.stdout.buffer
        out.write(b"\x1e")
        out.write(b2a_base64(record + struct.pack(">I", crc32(record) & 0xFFFFFFFF), newline=False))
        out.write(b"\x1f")
