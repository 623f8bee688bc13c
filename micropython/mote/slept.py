"""How old alerts are that waited while a board slept, whatever its clock says. Loaded to sleep on some, or read them.

/slept has two octets of each start whose alerts may wait, and the seconds from its begin to when the board wakes, as
far as the starts since ended in sleep; then a CRC-32. What can't be read there says nothing.
"""

from binascii import crc32
from struct import pack, unpack

from agent.compat import const
from mote.log import ERROR

_FILE = "/slept"
_EACH = const(6)  # octets
_MOST = const(16)  # starts
_LONGEST = const(0x3FFFFFFF)  # seconds


def slept() -> dict:
    """Return {start: seconds from when that began to when this one did, at least}."""
    try:
        with open(_FILE, "rb") as file:
            data = file.read(_MOST * _EACH + 5)
    except OSError:
        return {}
    if len(data) % _EACH != 4 or crc32(data[:-4]) != unpack(">I", data[-4:])[0]:
        return {}
    return {data[at : at + 2]: unpack(">I", data[at + 2 : at + 6])[0] for at in range(0, len(data) - 4, _EACH)}


def note(mote: object, ms: int) -> None:
    """Write down, before the board sleeps for so long, how old alerts will be when it wakes."""
    outbox = mote.outbox
    passed = mote.uptime() + ms // 1000
    known = [(passed, outbox.start)]
    if outbox.lanes is not None:
        known += [(seconds + passed, start) for start, seconds in outbox.lanes.slept.items()]
    known.sort(key=lambda pair: pair[0])  # the latest first
    data = b"".join([start + pack(">I", min(seconds, _LONGEST)) for seconds, start in known[:_MOST]])
    try:
        with open(_FILE, "wb") as file:
            file.write(data + pack(">I", crc32(data)))
    except OSError as error:
        mote.log(ERROR, "outbox_failed", error=repr(error))
