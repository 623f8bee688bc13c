"""Log records as CBOR in frames on the console line: 0x1E, base64 of (CBOR, CRC-32), 0x1F.

Base64 keeps control characters and line ends out of a frame and costs the board one call in C. A record is
[2, build, seq, uptime_ms, unix or null, clock quality, level, event, fields]. build: the 16-bit number that deploy
gives to what it compiles, 0 for sources. Records of the kind 1 were the same without build.
"""

import sys
from binascii import b2a_base64, crc32
from struct import pack

from agent.compat import const
from mote.net.sockets import now

DEBUG = 0
INFO = 1
WARNING = 2
ERROR = 3
_KIND = const(2)
_BUILD = const(0)  # deploy puts another number here


class Log:
    """Writes records of a level or above. uac: agent.uac.Uac, whose clock each record states."""

    _seq = 0

    def __init__(self, level: int, uac: object) -> None:
        self.level = level
        self._uac = uac

    def sent(self, uptime_ms: int, outcome: object) -> None:
        """Write the outcome of a message that was taken: as a record is, without loading what encodes others."""
        if self.level <= INFO:
            name = b"goutcome\xa3dnameidelivered" if outcome.status != 202 else b"goutcome\xa3dnamehaccepted"
            call_id = outcome.call_id
            parts = (name, b"fstatus\x19", pack(">H", outcome.status), b"gcall_idx", bytes((len(call_id),)), call_id)
            self.put(INFO, uptime_ms, b"".join(parts))

    def put(self, level: int, uptime_ms: int, content: bytes) -> None:
        """Write a record. content: its event and its fields in CBOR."""
        clock = self._uac.clock
        unix = None if clock is None else clock.unix(now())
        # One call in C for what is always there, in fixed widths: an array of 9, the kind, build, seq and the uptime.
        if unix is None:
            rest = pack(">BBB", 0xF6, 0, level)
        else:
            rest = pack(">BIBB", 0x1A, unix, clock.quality, level)
        head = pack(">BBBHBHBI", 0x89, _KIND, 0x19, _BUILD, 0x19, self._seq, 0x1A, uptime_ms & 0xFFFFFFFF)
        record = b"".join((head, rest, content))
        self._seq = (self._seq + 1) & 0xFFFF
        write = sys.stdout.buffer.write
        write(b"\x1e")
        write(b2a_base64(record + pack(">I", crc32(record) & 0xFFFFFFFF), newline=False))
        write(b"\x1f")
