"""Log records as CBOR in frames on the console line: 0x1E, base64 of (CBOR, CRC-32), 0x1F.

Base64 keeps control characters and line ends out of a frame and costs the board one call in C. A record is
[3, build, seq, uptime_ms, unix or null, told or null, clock quality, level, event, fields]. build: the 16-bit number
that deploy gives to what it compiles, 0 for sources. told: when the clock's source has told the time, in Unix seconds,
0 where nobody knows. Records of the kind 2 were the same without told and the quality host, kind 1 without build, too.
What is written most is short: 0 for an event is the outcome of a message that was taken, its fields [status, call_id].
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
_KIND = const(3)
_BUILD = const(0)  # deploy puts another number here


_seq = 0


def sent(uptime_ms: int, clock: object | None, outcome: object) -> None:
    """Write the outcome of a message that was taken: in half the octets, without loading what encodes other records."""
    call_id = outcome.call_id
    put(INFO, uptime_ms, clock, pack(">BBBHBB", 0, 0x82, 0x19, outcome.status, 0x78, len(call_id)) + call_id)


def put(level: int, uptime_ms: int, clock: object | None, content: bytes) -> None:
    """Write a record. clock: agent.wall_clock.WallClock or None. content: its event and its fields in CBOR."""
    global _seq
    unix = None if clock is None else clock.unix(now())
    # One call in C for what is always there, in fixed widths: an array of 10, the kind, build, seq and the uptime.
    up = uptime_ms & 0xFFFFFFFF
    if unix is None:
        head = pack(">BBBHBHBIHBB", 0x8A, _KIND, 0x19, _BUILD, 0x19, _seq, 0x1A, up, 0xF6F6, 0, level)
    else:
        told = clock.told
        quality = clock.quality
        head = pack(
            ">BBBHBHBIBIBIBB", 0x8A, _KIND, 0x19, _BUILD, 0x19, _seq, 0x1A, up, 0x1A, unix, 0x1A, told, quality, level
        )
    _seq = (_seq + 1) & 0xFFFF
    write(head, content)


def write(head: bytes, content: bytes) -> None:
    """Write a frame around two parts of what it holds."""
    checksum = pack(">I", crc32(content, crc32(head)))
    frame = b2a_base64(b"".join((head, content, checksum)), newline=False)
    sys.stdout.buffer.write(b"".join((b"\x1e", frame, b"\x1f")))  # at once: each write to a USB port may stall
