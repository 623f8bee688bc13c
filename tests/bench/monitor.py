"""What a monitor decodes, beside what reads the same octets without understanding them, and whether it grows in a day.

The stream is what boards write most: an alert's outcome, three of four times; else a record of a sensor's.
"""

import base64
import io
import os
import pty
import subprocess
import sys
import termios
import threading
import time
import tty
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cbor2
import serial

from sipmote.link.board_events import log_event
from sipmote.link.frames import Decoder, Record, encode_frame, encode_record
from sipmote.link.teller import line_of

DAY = 24 * 3600 * 115_200 // 10  # octets that a line at 115,200 bit/s brings in a day
_RECORDS = 65536  # one round of the sequence numbers
_REPEATS = 3  # of which the quickest counts
_WATCHED = 24  # looks at the memory, one an hour of the day


@dataclass(frozen=True)
class Replay:
    """A day of records through a monitor. rss: KiB after each hour; told, lost: lines of records, and of those lost."""

    seconds: float
    cpu_s: float
    rss: list[int]
    sent: int
    told: int
    lost: int


def record(number: int) -> Record:
    """Return one of the stream's records."""
    name, fields = "outcome", {"name": "delivered", "status": 200, "call_id": f"{number * 40503 & 0xFFFFFFFF:022x}"}
    if number % 4 == 3:
        name, fields = "measured", {"celsius": number % 900 / 10, "limit": 80}
    return Record(number & 0xFFFF, 61_250 + number * 10, 1_767_225_600 + number // 100, 4, 1, name, fields, 7, 0)  # type: ignore[arg-type]


def stream(count: int = _RECORDS) -> bytes:
    """Return so many records; a whole round of them can be repeated without a gap in their numbers."""
    return b"".join(map(_frame, range(count)))


def _frame(number: int) -> bytes:
    """Return a record as a board writes it: an outcome in short."""
    one = record(number)
    if one.event != "outcome":
        return encode_record(one)
    head = [3, one.build, one.seq, one.uptime_ms, one.unix, one.told or 0, one.quality, one.level]
    return encode_frame([*head, 0, [one.fields["status"], one.fields["call_id"]]])


def sizes(octets: bytes) -> Iterator[tuple[str, float]]:
    """Give (what, octets of one record)."""
    text = [line_of(log_event(record(number), 0), utc=True) for number in range(1000)]
    yield "as a frame", len(octets) / _RECORDS
    yield (
        "as the line that people read",
        sum(len("".join(part[0] for part in line).encode()) + 1 for line in text) / 1000,
    )


def decoded(octets: bytes) -> Iterator[tuple[str, float]]:
    """Give (by what, records a second of CPU time) of the same octets."""
    payloads = [base64.b64decode(frame[1:]) for frame in octets.split(b"\x1f")[:-1]]
    yield "by the monitor's decoder", _RECORDS / min(_cpu_s(_decode, octets) for _ in range(_REPEATS))
    yield "by cbor2 alone, frames taken off before", _RECORDS / min(_cpu_s(_bare, payloads) for _ in range(_REPEATS))
    yield "read by pyserial alone, nothing decoded", _RECORDS / min(_read_s(octets) for _ in range(_REPEATS))


def _cpu_s(what: object, argument: object) -> float:
    begun = time.thread_time()
    what(argument)  # type: ignore[operator]
    return time.thread_time() - begun


def _decode(octets: bytes) -> None:
    decoder, found = Decoder(), 0
    for at in range(0, len(octets), 4096):
        found += len(decoder.feed(octets[at : at + 4096]))
    assert found == _RECORDS


def _bare(payloads: list[bytes]) -> None:
    for payload in payloads:
        cbor2.load(io.BytesIO(payload))


def _read_s(octets: bytes) -> float:
    """Read octets with pyserial, as the monitor does, through a pseudo-terminal; returns the CPU seconds of reading."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    writer = threading.Thread(target=_write, args=(master, octets))
    with serial.Serial(os.ttyname(slave), timeout=1) as port:
        writer.start()
        begun, left = time.thread_time(), len(octets)
        while left:
            data = port.read(1)
            left -= len(data + port.read(min(port.in_waiting, 4096)))
        spent = time.thread_time() - begun
        writer.join()
    os.close(master)
    os.close(slave)
    return spent


def _write(descriptor: int, octets: bytes) -> None:
    rest = memoryview(octets)
    while rest:
        rest = rest[os.write(descriptor, rest[:65536]) :]


def replayed(octets: bytes, most: int = DAY) -> Replay:
    """Let `sipmote monitor --json` hear so many octets, in rounds of the stream, as fast as it takes them."""
    records = octets.count(b"\x1f")
    master, slave = pty.openpty()
    tty.setraw(slave)
    command = [sys.executable, "-m", "sipmote", "monitor", "--port", os.ttyname(slave), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        assert b'"ready"' in process.stdout.readline()
        counts = {b'"event": "log"': 0, b'"event": "lost"': 0, b'"event": "damaged"': 0, b'"event": "not_shown"': 0}
        counting = threading.Thread(target=_count, args=(process.stdout, counts))
        counting.start()
        begun, rss, sent = time.monotonic(), [], 0
        while sent < most:
            _write(master, octets)
            sent += len(octets)
            while len(rss) < min(_WATCHED, sent * _WATCHED // most):
                rss.append(_resident(process.pid))
        termios.tcdrain(master)
        while counts[b'"event": "log"'] < sent // len(octets) * records and time.monotonic() - begun < 7200:
            time.sleep(0.1)
        seconds = time.monotonic() - begun
        cpu_s = sum(map(int, Path(f"/proc/{process.pid}/stat").read_text().rsplit(")")[-1].split()[11:13]))
        os.close(slave)
        os.close(master)
        counting.join()
    told, *lost = counts.values()
    return Replay(seconds, cpu_s / os.sysconf("SC_CLK_TCK"), rss, sent // len(octets) * records, told, sum(lost))


def _count(stdout: object, counts: dict[bytes, int]) -> None:
    for line in stdout:  # type: ignore[attr-defined]
        for word in counts:
            if word in line[:24]:
                counts[word] += 1
                break


def _resident(pid: int) -> int:
    """Return KiB of a process's memory that are resident."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    return 0
