"""The serial link: whatever arrives, in whatever pieces, records and text are told apart and damage is counted."""

import base64
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipmote.link.bridge import PIECE_OCTETS
from sipmote.link.frames import (
    MAX_FRAME,
    Bridged,
    Console,
    Damaged,
    Decoder,
    Item,
    Lost,
    Record,
    encode_bridged,
    encode_frame,
    encode_record,
)

BOOT = Record(0, 812, None, 0, 1, "boot", {})
ALERT = Record(1, 1900, 1767225600, 4, 1, "alert_sent", {"call_id": "a@b", "octets": 412, "again": False, "tag": b"\0"})

fields = st.dictionaries(
    st.text(max_size=9),
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.text(max_size=40) | st.binary(max_size=40),
    max_size=6,
)
records = st.builds(
    Record,
    st.integers(0, 0xFFFF),
    st.integers(0, 1 << 40),
    st.none() | st.integers(0, 1 << 33),
    st.integers(0, 4),
    st.integers(0, 3),
    st.text(max_size=30),
    fields,
    st.integers(0, 0xFFFF),
)
printed = st.text(st.characters(codec="utf-8", exclude_characters="\x1e\x1f"), max_size=60)


def decode(*pieces: bytes) -> list[Item]:
    """Feed pieces one by one, then fall silent; neighbouring texts become one, so that splits can be compared."""
    decoder, items = Decoder(), []
    for item in [item for piece in pieces for item in decoder.feed(piece)] + decoder.flush():
        if items and isinstance(item, Console) and isinstance(items[-1], Console):
            items[-1] = Console(items[-1].text + item.text)
        else:
            items.append(item)
    return items


def test_text_and_records_share_a_line() -> None:
    line = b"probe " + encode_record(BOOT) + b"reads 81\r\n" + encode_record(ALERT)
    assert decode(line) == [Console("probe "), BOOT, Console("reads 81\r\n"), ALERT]


@given(st.integers(0, 23), st.integers(0, 23), st.binary(max_size=PIECE_OCTETS))
def test_a_frame_of_the_bridge_stands_between_records_and_fits_into_200_octets(what: int, n: int, data: bytes) -> None:
    one = Bridged(what, n, data)
    frame = encode_bridged(one)
    assert len(frame) <= 200 and b"\x03" not in frame
    assert decode(encode_record(BOOT) + frame + encode_record(ALERT)) == [BOOT, one, ALERT]


@pytest.mark.parametrize(
    "value", [[4], [4, 0, 0], [4, 24, 0, b""], [4, 0, -1, b""], [4, 0, 0, "text"], [4, 0, 0, b"", 0]]
)
def test_what_is_almost_a_frame_of_the_bridge_is_damaged(value: object) -> None:
    assert decode(encode_frame(value)) == [Damaged(1)]


@given(st.lists(printed | records, max_size=8), st.integers(1, 40))
def test_how_the_stream_is_split_makes_no_difference(parts: list[str | Record], size: int) -> None:
    stream = b"".join(encode_record(part) if isinstance(part, Record) else part.encode() for part in parts)
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert decode(*pieces) == decode(stream)
    assert [item for item in decode(stream) if isinstance(item, Record)] == [p for p in parts if isinstance(p, Record)]
    text = "".join(item.text for item in decode(stream) if isinstance(item, Console))
    assert text == "".join(part for part in parts if isinstance(part, str))


@given(st.binary(max_size=300), st.integers(1, 50))
def test_noise_raises_nothing_and_costs_no_record_after_the_line_it_is_on(noise: bytes, size: int) -> None:
    stream = noise + b"\n" + encode_record(ALERT)
    items = decode(*[stream[at : at + size] for at in range(0, len(stream), size)])
    assert items[-1] == ALERT


@given(st.binary(max_size=120))
def test_any_payload_with_a_right_checksum_raises_nothing(payload: bytes) -> None:
    frame = base64.b64encode(payload + crc32(payload).to_bytes(4, "big"))
    items = decode(b"\x1e" + frame + b"\x1f")
    assert len(items) == 1
    assert isinstance(items[0], Record | Damaged)


@given(st.data())
def test_a_flipped_bit_costs_that_frame_alone(data: st.DataObject) -> None:
    frame = bytearray(encode_record(ALERT))
    frame[data.draw(st.integers(1, len(frame) - 2))] ^= 1 << data.draw(st.integers(0, 7))
    before, after = Record(7, 1, None, 0, 1, "tick", {}), Record(9, 3, None, 0, 1, "tick", {})
    items = decode(encode_record(before) + frame + b"\n" + encode_record(after))
    found = [item for item in items if isinstance(item, Record)]
    if ALERT not in found:  # base64 has bits that say nothing
        assert any(isinstance(item, Damaged) for item in items)
    assert [record for record in found if record != ALERT] == [before, after]


HITS = st.tuples(
    st.sampled_from(["noise", "changed", "torn", "reset"]), st.integers(0, 1 << 16), st.binary(max_size=40)
)


@given(st.lists(HITS, max_size=30), st.integers(1, 200))
def test_noise_torn_frames_and_resets_cost_exactly_the_frames_they_hit(
    hits: list[tuple[str, int, bytes]], size: int
) -> None:
    """Noise between frames costs none, a changed octet or a missing end one.

    Each is counted as damage where it lies, and as lost where the numbers go on, unless a reset has begun them anew.
    """

    def tick(seq: int) -> Record:
        return Record(seq, 1000 + seq, None, 0, 1, "tick", {"seq": seq}, 7)

    stream, expected, seq, missing = b"", list[Item](), 0, 0
    for kind, where, noise in [("noise", 0, b""), *hits, ("noise", 0, b"")]:
        frame = encode_record(tick(seq))
        at = 1 + where % (len(frame) - 6)  # the last four of base64 may have bits that say nothing
        missing += kind in ("changed", "torn")
        if kind == "noise":
            stream += noise + frame  # one that begins a frame is over with the next one
            expected += [Lost(missing)] * (missing > 0) + [tick(seq)]
            missing = 0
        elif kind == "changed":
            stream += frame[:at] + bytes([frame[at] ^ 1 + where % 255]) + frame[at + 1 :]
        elif kind == "torn":
            stream += frame[:at]
        else:
            stream += frame[:at] + b"\r\nMPY: soft reboot\r\n" + encode_record(tick(0))
            expected.append(tick(0))
            seq, missing = 0, 0
        seq += 1
    items = decode(*[stream[begin : begin + size] for begin in range(0, len(stream), size)])
    assert [item for item in items if isinstance(item, Record | Lost)] == expected
    damaged, costly = items.count(Damaged(1)), [kind for kind, _, _ in hits if kind != "noise"]
    assert damaged >= len(costly)
    if set(costly) <= {"torn", "reset"} and len(costly) == len(hits):  # other octets may look like further frames
        assert damaged == len(costly)


@pytest.mark.parametrize(
    "stream",
    [
        encode_record(ALERT)[:30] + b"\r\nMPY: soft reboot\r\n" + encode_record(ALERT),  # reset inside a frame
        encode_record(ALERT)[:30] + b"\nMPY: soft reboot\r\n" + encode_record(ALERT),
    ],
)
def test_a_line_end_inside_a_frame_damages_it_and_what_follows_is_text(stream: bytes) -> None:
    items = decode(stream)
    assert items[0] == Damaged(1)
    assert isinstance(items[1], Console)
    assert items[1].text.strip() == "MPY: soft reboot"
    assert items[2:] == [ALERT]


def test_a_frame_begun_inside_another_is_whole() -> None:
    assert decode(encode_record(ALERT)[:30] + encode_record(ALERT)) == [Damaged(1), ALERT]


def test_a_host_that_attaches_inside_a_frame_sees_none_of_it_and_counts_it() -> None:
    assert decode(encode_record(BOOT)[9:] + b"hello\n" + encode_record(ALERT)) == [
        Damaged(1),
        Console("hello\n"),
        ALERT,
    ]


def test_text_is_held_back_only_while_it_may_be_the_tail_of_a_frame() -> None:
    decoder = Decoder()
    assert decoder.feed(b"up 12") == [Console("up ")]
    assert decoder.feed(b"34 s") == [Console("1234 ")]
    assert decoder.flush() == [Console("s")]
    assert decoder.feed(b"\n") == [Console("\n")]


def test_a_frame_pauses_over_a_flush() -> None:
    decoder, frame = Decoder(), encode_record(ALERT)
    assert decoder.feed(frame[:20]) + decoder.flush() == []
    assert decoder.feed(frame[20:]) == [ALERT]


def test_a_port_that_goes_away_inside_a_frame_costs_it_and_gaps_are_seen_when_it_is_back() -> None:
    decoder = Decoder()
    decoder.feed(encode_record(BOOT))
    assert decoder.feed(b"abc" + encode_record(ALERT)[:20]) == [Console("abc")]
    assert decoder.detach() == [Damaged(1)]
    assert decoder.feed(encode_record(Record(4, 5000, None, 0, 1, "tick", {})))[0] == Lost(3)


def test_a_frame_without_end_is_given_up_at_its_largest_size() -> None:
    decoder = Decoder()
    assert decoder.feed(b"\x1e" + b"A" * MAX_FRAME) == []
    assert decoder.feed(b" text\n") == [Damaged(1), Console(" text\n")]


def test_the_largest_frame_is_read() -> None:
    room = MAX_FRAME // 4 * 3 - 4
    record = Record(1, 2, None, 0, 1, "big", {"text": "x" * (room - 24)})
    assert len(encode_record(record)) <= MAX_FRAME + 2
    assert decode(encode_record(record)) == [record]


@pytest.mark.parametrize(
    "value",
    [
        [],
        [1, 0, 0, None, 0, 1, "boot"],
        [2, 0, 0, None, 0, 1, "boot", {}],
        [True, 0, 0, None, 0, 1, "boot", {}],
        [1, 65536, 0, None, 0, 1, "boot", {}],
        [1, -1, 0, None, 0, 1, "boot", {}],
        [1, 0, 1.5, None, 0, 1, "boot", {}],
        [1, 0, 0, 1 << 70, 0, 1, "boot", {}],
        [1, 0, 0, None, 4, 1, "boot", {}],
        [1, 0, 0, None, 0, 4, "boot", {}],
        [1, 0, 0, None, 0, 1, b"boot", {}],
        [1, 0, 0, None, 0, 1, "boot", {1: 2}],
        [1, 0, 0, None, 0, 1, "boot", {"deep": [[[[[1]]]]]}],
        [1, 0, 0, None, 0, 1, "boot", {"big": 1 << 500}],
        "text",
    ],
)
def test_what_is_not_a_record_to_the_letter_is_damage(value: object) -> None:
    assert decode(encode_frame(value)) == [Damaged(1)]


def test_outcomes_come_in_short_and_mean_the_same() -> None:
    for status, name in ((200, "delivered"), (202, "accepted"), (299, "delivered")):
        fields = {"name": name, "status": status, "call_id": "a@b"}
        assert decode(encode_frame([3, 7, 1, 2, None, None, 0, 1, 0, [status, "a@b"]])) == [
            Record(1, 2, None, 0, 1, "outcome", fields, 7)
        ]
    for event, fields in (
        (0, []),
        (0, {}),
        (0, [200]),
        (0, [200, "a", 1]),
        (1, [200, "a"]),
        (-1, {}),
        (True, [200, "a"]),
    ):
        assert decode(encode_frame([3, 7, 1, 2, None, None, 0, 1, event, fields])) == [Damaged(1)]


def test_octets_after_the_record_are_damage() -> None:
    payload = base64.b64decode(encode_record(BOOT)[1:-1])[:-4] + b"\0"
    frame = b"\x1e" + base64.b64encode(payload + crc32(payload).to_bytes(4, "big")) + b"\x1f"
    assert decode(frame) == [Damaged(1)]


def sequence(*pairs: tuple[int, int]) -> list[Item]:
    return decode(b"".join(encode_record(Record(seq, uptime, None, 0, 1, "tick", {})) for seq, uptime in pairs))


@pytest.mark.parametrize(
    ("pairs", "lost"),
    [
        ([(5, 10), (6, 20)], []),
        ([(5, 10), (9, 20)], [Lost(3)]),
        ([(65535, 10), (0, 20)], []),
        ([(65534, 10), (2, 20)], [Lost(3)]),
        ([(40000, 9000), (0, 5)], []),  # restarted
        ([(40000, 9000), (2, 50)], [Lost(2)]),  # restarted, its first two were missed
        ([(5, 10), (0, 20)], []),  # restarted with a clock that goes on
    ],
)
def test_gaps_in_the_sequence_are_reported_and_a_restart_is_none(
    pairs: list[tuple[int, int]], lost: list[Lost]
) -> None:
    assert [item for item in sequence(*pairs) if not isinstance(item, Record)] == lost


def test_records_say_what_they_were_written_by_and_those_of_older_boards_do_not() -> None:
    new = Record(0, 812, None, 0, 1, "boot", {}, 0xBEEF)
    assert Decoder().feed(encode_record(new) + encode_record(BOOT)) == [new, Record(0, 812, None, 0, 1, "boot", {})]
    assert decode(encode_frame([2, 0, 0, 1, 1767225600, 3, 1, "x", {}])) == [  # its 3 was ntp
        Record(0, 1, 1767225600, 4, 1, "x", {}, 0)
    ]
    for told, age_s in ((1767225000, 600), (0, None), (1767225601, 0), (None, None)):
        (record,) = decode(encode_frame([3, 0, 0, 1, 1767225600, told, 3, 1, "x", {}]))
        assert (record.quality, record.age_s) == (3, age_s)
    for bad in (
        [3, 0, 0, 1, 1767225600, "1", 4, 1, "x", {}],
        [3, 0, 0, 1, 1767225600, 1, 5, 1, "x", {}],
        [3, 0, 0, 1, 1767225600, 4, 1, "x", {}],
        [2, 0, 0, 1, 1767225600, 4, 1, "x", {}],
        [2, 0x10000, 0, 1, None, 0, 1, "x", {}],
        [2, True, 0, 1, None, 0, 1, "x", {}],
        [2, 0, 1, None, 0, 1, "x", {}],
        [3],
    ):
        assert Decoder().feed(encode_frame(bad)) == [Damaged(1)]
