"""R0-P13: whatever a program logs is a record that a host reads, in a frame of its own, written at once."""

import math
import os
import struct
import subprocess
from typing import Any

import pytest

from sipmote.link.board_events import log_event
from sipmote.link.frames import MAX_FRAME, Decoder, Record
from tests.vm import ROOT, command

_BEGIN = """
import sys
import mote.log as log
from mote import Mote

writes = []
class fake:
    class stdout:
        class buffer:
            write = writes.append
log.sys = fake

class board:
    _level = 1
    class agent:
        class uac:
            clock = None
    def uptime_ms():
        return 2

def put(event, **fields):
    Mote.log(board, 1, event, **fields)

loop = [1]
loop.append(loop)
class Odd:
    def __repr__(self):
        raise ValueError
"""
_END = """
for data in writes:
    sys.stdout.buffer.write(data + b"\\n")
"""


def _records(program: str, bits: int) -> list[Record]:
    """Return the records that a program's calls of put() have written, one with each write."""
    done = subprocess.run(
        [*command(bits), "-X", "heapsize=256k", "-c", _BEGIN + program + _END],
        cwd=ROOT,
        env={**os.environ, "MICROPYPATH": ".:micropython:.frozen"},
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    records = []
    for line in done.stdout.splitlines():
        assert len(line) <= MAX_FRAME + 2
        (record,) = Decoder().feed(line)
        assert isinstance(record, Record), line
        records.append(record)
    return records


_VALUES: list[tuple[str, object]] = [
    ("81", 81),
    ("-2**63", -(2**63)),
    ("2**64", str(2**64)),
    ("5.5", 5.5),
    ("5.1", 5.1),
    ("1e300", 1e300),
    ("float('-inf')", -math.inf),
    ("[1, (2.5, None), {'a': [True]}]", [1, [2.5, None], {"a": [True]}]),
    ("{1: 'one', None: []}", {"1": "one", "None": []}),
    ("[[[[]]]]", [[[[]]]]),
    ("[[[[[1]]]]]", [[[["[1]"]]]]),
    ("loop", [1, [1, [1, [1, "list"]]]]),
    ("Odd()", "Odd"),
    ("b'\\xff'", b"\xff"),
    ("{'a'}", "{'a'}"),
]


@pytest.mark.parametrize("bits", [32, 64])
def test_board_and_host_agree_on_what_a_field_may_be(bits: int) -> None:
    records = _records("\n".join(f"put('x', value={value})" for value, _ in _VALUES), bits)
    assert [record.fields for record in records] == [{"value": expected} for _, expected in _VALUES]
    assert log_event(records[4], 0)["fields"] == {"value": 5.1} and log_event(records[6], 0)["fields"] == {
        "value": "-inf"
    }


def test_floats_of_32_bits_are_shown_as_short_as_they_were_written() -> None:
    shown = (5.1, 0.1, 5.5, 3.4028235e38, 16777217.0, 1e300, 1 / 3)
    stored = [struct.unpack("f", struct.pack("f", value))[0] for value in shown[:4]] + list(shown[4:])
    fields: dict[str, Any] = {"value": stored}
    assert log_event(Record(0, 1, None, 0, 1, "x", fields), 0)["fields"]["value"] == list(shown)


@pytest.mark.parametrize("bits", [32, 64])
def test_what_is_longer_than_a_frame_is_cut_with_a_mark(bits: int) -> None:
    records = _records(
        """
put("fits", text="x" * 2900)
put("text", text="ä" * 5000, number=1)
put("octets", octets=b"x" * 5000)
put("list", values=list(range(4000)))
put("both", one="x" * 2000, two="y" * 2000)
put("e" * 5000)
put("many", **{"field%d" % i: "x" * 50 for i in range(200)})
put("next")
""",
        bits,
    )
    fits, text, octets, values, both, event, many, after = records
    assert fits.fields == {"text": "x" * 2900}
    assert text.fields["number"] == 1 and 1000 < len(str(text.fields["text"]).encode()) < 2900
    assert text.fields["text"] == "ä" * (len(str(text.fields["text"])) - 1) + "…"
    assert octets.fields["octets"].endswith(b"xx\xe2\x80\xa6")  # type: ignore[union-attr]
    assert values.fields["values"] == [*range(300), "…"]
    assert {str(value)[-2:] for value in both.fields.values()} == {"x…", "y…"}
    assert event.event == "e" * 64 + "…"
    assert many.fields["left_out"] == 201 - len(many.fields) and len(many.fields) > 40
    assert after.event == "next" and after.seq == 7
