"""Log records as CBOR in frames on the console line: 0x1E, base64 of (CBOR, CRC-32), 0x1F.

Base64 keeps control characters and line ends out of a frame and costs the board one call in C. A record is
[2, build, seq, uptime_ms, unix or null, clock quality, level, event, fields]. build: the 16-bit number that deploy gives
to what it compiles, 0 for sources. Records of the kind 1 were the same without build.
"""

import sys
from binascii import b2a_base64, crc32
from struct import pack

from agent.compat import const

DEBUG = 0
INFO = 1
WARNING = 2
ERROR = 3
_KIND = const(2)
_BUILD = const(0)  # deploy puts another number here


class Log:
    """Writes records of a level or above. agent: the UserAgent whose clock each record states. now: ms, a function."""

    def __init__(self, level: int, agent: object, now: object) -> None:
        self.level = level
        self._agent = agent
        self._now = now
        self._seq = 0

    def write(self, level: int, event: str, uptime_ms: int, fields: dict) -> None:
        """Write one record. event: a word in snake_case; fields: text to int, text, bool, None or bytes."""
        if level >= self.level:
            from mote.cbor import cbor

            self._put(level, uptime_ms, cbor(event) + cbor(fields))

    def sent(self, uptime_ms: int, name: str, status: int, call_id: bytes) -> None:
        """Write the outcome of a message that was taken: as write() would, without loading what that takes."""
        if self.level <= INFO:
            head = pack(">B", 0x60 | len(name)) + name.encode() + b"fstatus\x19" + pack(">H", status)
            call_id = b"gcall_idx%c%s" % (len(call_id), call_id)
            self._put(INFO, uptime_ms, b"goutcome\xa3dname" + head + call_id)

    def _put(self, level: int, uptime_ms: int, content: bytes) -> None:
        clock = self._agent.clock
        unix = None if clock is None else clock.unix(self._now())
        uptime_ms &= 0xFFFFFFFF
        # One call in C for what is always there, in fixed widths: an array of 9, the kind, build, seq and the uptime.
        record = pack(">BBBHBHBI", 0x89, _KIND, 0x19, _BUILD, 0x19, self._seq, 0x1A, uptime_ms)
        if unix is None:
            record += b"\xf6\0" + bytes((level,)) + content
        else:
            record += pack(">BIBB", 0x1A, unix, clock.quality, level) + content
        self._seq = (self._seq + 1) & 0xFFFF
        write = sys.stdout.buffer.write
        write(b"\x1e")
        write(b2a_base64(record + pack(">I", crc32(record) & 0xFFFFFFFF), newline=False))
        write(b"\x1f")
