"""The serial link as bytes in, items out: console text and log records told apart on one line. No port, no clock.

A frame is 0x1E, base64 of (CBOR, then its CRC-32 in four octets, big endian), 0x1F, and holds no line end. All else
is console text. Noise, a board that resets inside a frame and a host that attaches inside one cost that frame alone.

A log record is the CBOR array [3, build, seq, uptime_ms, unix or null, told or null, clock quality, level, event,
fields]. Kind 2 is the same without told, and with 3 for the quality ntp; kind 1 is without the build, too. Fields have
texts as names, and values as JSON has them, or octets; integers have 64 bits, lists and maps up to four levels
(mote.cbor writes as text what is deeper, and cuts what is longer than a frame). The event 0 is short for the outcome of
a message that was taken, with fields [status, call_id].

Kind 4 belongs to the bridge (bridge.py): [4, what, number, octets].
"""

import base64
import binascii
import codecs
import io
import re
import string
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import cbor2

MAX_FRAME = 4096  # octets of base64
IDLE_S = 0.1  # a line silent for so long is not inside a frame: time to flush()
QUALITIES = ("none", "learned", "rtc", "host", "ntp")
LEVELS = ("debug", "info", "warning", "error")
_MAX_DEPTH = 6  # the record, its fields, and four levels of values in them
Field = int | float | str | bytes | bool | None | list["Field"] | dict[str, "Field"]

_START, _END = 0x1E, 0x1F
_LINE_ENDS = b"\r\n"
_EDGE = re.compile(rb"[\x1e\x1f]")
_EDGE_OF_FRAME = re.compile(rb"[\x1e\x1f\r\n]")
_BASE64 = string.ascii_letters.encode() + string.digits.encode() + b"+/="
_LOG_RECORD = 3  # a kind of frames, which 1 and 2 were before
_BRIDGED = 4  # another kind
_NTP = 4  # a quality, which was 3 in those
_YEAR_10000 = 253_402_300_800  # unix seconds: no date can be written from here on


@dataclass(frozen=True, slots=True)
class Console:
    """What the board printed: any part of a line or of several."""

    text: str


@dataclass(frozen=True, slots=True)
class Record:
    """One log record. unix: seconds, None when the board knows no date; quality, level: indexes of the names above.

    told: when the clock's source has told the time, in Unix seconds; None when nobody knows.
    build: what `sipmote deploy` made of all that it put there, 1..0xFFFF; 0 when something else put it there. None in a
    record of kind 1, which does not say.
    """

    seq: int
    uptime_ms: int
    unix: int | None
    quality: int
    level: int
    event: str
    fields: dict[str, Field]
    build: int | None = None
    told: int | None = None

    @property
    def age_s(self) -> int | None:
        """How long ago the clock was told the time; None when nobody knows."""
        return None if self.unix is None or self.told is None else max(self.unix - self.told, 0)


@dataclass(frozen=True, slots=True)
class Bridged:
    """A frame of the bridge. what, number: 0..23."""

    what: int
    number: int
    octets: bytes


@dataclass(frozen=True, slots=True)
class Damaged:
    """So many frames could not be read."""

    count: int


@dataclass(frozen=True, slots=True)
class Lost:
    """So many records are missing before the one that follows."""

    count: int


Item = Console | Record | Bridged | Damaged | Lost


class Decoder:
    """Cuts what a board sends into items; whatever the bytes are, nothing is raised.

    Text that may still turn out to be the tail of a frame (base64 up to where it ends) is held back until the
    next octet decides, or until flush().
    """

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._text = bytearray()  # console text, ready
        self._tail = bytearray()  # base64 that stands at the end of it: text, or the tail of a frame
        self._frame: bytearray | None = None  # what stands after 0x1E
        self._last: Record | None = None

    def feed(self, data: bytes) -> list[Item]:
        """Return what data (octets as they arrived, split anywhere) completes."""
        at = 0
        while at < len(data):
            at = self._feed_text(data, at) if self._frame is None else self._feed_frame(self._frame, data, at)
        return self._take()

    def flush(self) -> list[Item]:
        """Return the text held back: nothing came for IDLE_S."""
        self._release_tail()
        return self._take()

    def detach(self) -> list[Item]:
        """Return what is left: the port has gone, and a frame that was begun will not go on."""
        self._release_tail()
        if self._frame is not None:
            self._frame = None
            self._damaged()
        return self._take()

    @property
    def holds(self) -> bool:
        """Is text held back?"""
        return bool(self._tail)

    def _take(self) -> list[Item]:
        self._emit_text()
        items, self._items = self._items, []
        return items

    def _feed_text(self, data: bytes, at: int) -> int:
        """Take text from there on; returns where it ends."""
        found = _EDGE.search(data, at)
        end = found.start() if found else len(data)
        text = data[at:end]
        sure = len(text.rstrip(_BASE64))
        if sure:
            self._release_tail()
            self._text += text[:sure]
        self._tail += text[sure:]
        while len(self._tail) > MAX_FRAME:
            self._text += self._tail[: MAX_FRAME + 1]
            del self._tail[: MAX_FRAME + 1]
        if found and data[end] == _START:
            self._release_tail()
            self._frame = bytearray()
        elif found:
            self._tail.clear()
            self._damaged()
        return end + 1

    def _feed_frame(self, frame: bytearray, data: bytes, at: int) -> int:
        """Take what may be inside a frame from there on; returns where that ends."""
        found = _EDGE_OF_FRAME.search(data, at)
        end = found.start() if found else len(data)
        whole_at = at + MAX_FRAME - len(frame)
        if end > whole_at or (found and data[end] in _LINE_ENDS):
            self._damaged()
            self._frame = None
            return min(end, whole_at)  # text goes on there
        frame += data[at:end]
        if found and data[end] == _END:
            self._frame = None
            self._end_frame(bytes(frame))
        elif found:
            self._damaged()
            frame.clear()
        return end + 1

    def _end_frame(self, frame: bytes) -> None:
        record = decode_frame(frame)
        if record is None:
            self._damaged()
            return
        self._emit_text()
        if isinstance(record, Bridged):
            self._items.append(record)
            return
        lost = _missing(self._last, record)
        if lost:
            self._items.append(Lost(lost))
        self._items.append(record)
        self._last = record

    def _release_tail(self) -> None:
        self._text += self._tail
        self._tail.clear()

    def _emit_text(self) -> None:
        if not self._text:
            return
        text = self._utf8.decode(self._text)
        self._text.clear()
        if text:
            self._items.append(Console(text))

    def _damaged(self) -> None:
        self._emit_text()
        self._items.append(Damaged(1))


def decode_frame(frame: bytes) -> Record | Bridged | None:
    """Return what is inside a frame (what stands between 0x1E and 0x1F), None when it is nothing to the letter."""
    try:
        payload = base64.b64decode(frame, validate=True)
        stream = io.BytesIO(payload[:-4])
        if crc32(payload[:-4]) != int.from_bytes(payload[-4:], "big"):
            return None
        value = cbor2.load(stream, max_depth=_MAX_DEPTH, allow_indefinite=False, allow_duplicate_keys=False)
    except (binascii.Error, cbor2.CBORError):
        return None
    return None if stream.read(1) else _record(value) or _bridged(value)


def encode_record(record: Record) -> bytes:
    """Return the frame a board writes for a record; one of kind 1 where build is None."""
    r = record
    if r.build is None:
        return encode_frame([1, r.seq, r.uptime_ms, r.unix, min(r.quality, _NTP - 1), r.level, r.event, r.fields])
    told = None if r.unix is None else r.told or 0
    head = [_LOG_RECORD, r.build, r.seq, r.uptime_ms, r.unix, told]
    return encode_frame([*head, r.quality, r.level, r.event, r.fields])


def encode_frame(value: object) -> bytes:
    """Return the frame around anything CBOR can hold."""
    payload = cbor2.dumps(value)
    return b"\x1e" + base64.b64encode(payload + crc32(payload).to_bytes(4, "big")) + b"\x1f"


def _record(value: Any) -> Record | None:
    """Return the record that a decoded payload is, or None."""
    if type(value) is not list or len(value) not in (8, 9, 10) or type(value[0]) is not int:
        return None
    kind = value[0]
    if kind != len(value) - 7:
        return None
    build = value.pop(1) if kind > 1 else 0
    told = value.pop(4) if kind == _LOG_RECORD else None
    _, seq, uptime_ms, unix, quality, level, event, fields = value
    if type(event) is int:
        event, fields = _long(event, fields)
    is_old = kind < _LOG_RECORD  # without the quality host, which is before ntp
    if (
        _below(build, 0x10000)
        and (told is None or _below(told, _YEAR_10000))
        and _below(seq, 0x10000)
        and _below(uptime_ms, 1 << 63)
        and (unix is None or _below(unix, _YEAR_10000))
        and _below(quality, len(QUALITIES) - is_old)
        and _below(level, len(LEVELS))
        and type(event) is str
        and type(fields) is dict
        and _is_field(fields)
    ):
        quality += is_old and quality == _NTP - 1
        return Record(seq, uptime_ms, unix, quality, level, event, fields, build if kind > 1 else None, told or None)
    return None


def _long(event: int, fields: Any) -> tuple[Any, Any]:
    """Return the event and fields that a board has written in short; what is none comes back as it is."""
    if event != 0 or type(fields) is not list or len(fields) != 2:
        return event, fields
    status, call_id = fields
    return "outcome", {"name": "accepted" if status == 202 else "delivered", "status": status, "call_id": call_id}


def _bridged(value: Any) -> Bridged | None:
    """Return the frame of the bridge that a decoded payload is, or None."""
    if type(value) is not list or len(value) != 4 or value[0] != _BRIDGED:
        return None
    _, what, number, octets = value
    is_one = _below(what, 24) and _below(number, 24) and type(octets) is bytes
    return Bridged(what, number, octets) if is_one else None


def encode_bridged(one: Bridged) -> bytes:
    """Return the frame around one of the bridge's."""
    return encode_frame([_BRIDGED, one.what, one.number, one.octets])


def _below(value: Any, limit: int) -> bool:
    return type(value) is int and 0 <= value < limit


def _is_field(value: Any) -> bool:
    if type(value) is int:
        return -(1 << 63) <= value < 1 << 63
    if type(value) is list:
        return all(_is_field(item) for item in value)
    if type(value) is dict:
        return all(type(name) is str and _is_field(item) for name, item in value.items())
    return type(value) in (str, bytes, bool, float, type(None))


def _missing(last: Record | None, record: Record) -> int:
    """Return how many records should stand between two; a board that restarted counts from 0 again."""
    if last is None:
        return 0
    gap = (record.seq - last.seq - 1) & 0xFFFF
    restarted = gap >= 0x8000 or (gap > 0 and record.uptime_ms < last.uptime_ms)
    return record.seq if restarted else gap
