"""R0-P13: a board that finds something else than it has written begins all the same, and says so."""

import struct
import zlib
from pathlib import Path

import pytest

from tests.mote.running import HURRY, running
from tests.sip_peer import Peer

_PROGRAM = """
import os
%s
from mote import Mote

mote = Mote()


@mote.every(604800)
def begin():
    mote.alert("begun")


@mote.every(604800)
def second():
    pass


@mote.command("count")
def count(message):
    return 1


mote.run()
"""


def _record(kind: int, content: bytes) -> bytes:
    front = kind << 16 | len(content)
    return struct.pack(">II", front, zlib.crc32(content, front)) + content


def test_folders_in_the_place_of_its_files_keep_no_board_from_its_work(tmp_path: Path) -> None:
    """A command that could act is refused where its mark can't be written"""
    for name in ("outbox", "outbox.new", "outbox.lost", "intervals", "commands", "restarts", "clock", "slept"):
        (tmp_path / "flash" / name / "full").mkdir(parents=True)
    with running(tmp_path, _PROGRAM % "", watchdog=3600) as board:
        assert board.alert() == "begun"
        board.monitor.wait_for(name="intervals_lost", level="warning")
        board.monitor.wait_for(name="outbox_failed", level="error")
        assert board.ask("status").startswith("up ")
        to = b"sip:boiler@127.0.0.1"
        assert board.desk.ask(board.desk.from_port, b"text/plain", b"count", to=to).status == 500
        board.monitor.wait_for(name="mark_failed", level="error")


@pytest.mark.parametrize(
    "kept",
    ['{"begin": [604800000, 60000], "second": 5}', '{"second": [604800000, "x"], "begin": [604800000, 60000]}', "[5]"],
)
def test_intervals_of_another_kind_change_no_sensor(tmp_path: Path, kept: str) -> None:
    """Nor those of which something can be read"""
    (tmp_path / "flash").mkdir()
    (tmp_path / "flash" / "intervals").write_text(kept)
    with running(tmp_path, _PROGRAM % "") as board:
        assert board.alert() == "begun"
        board.monitor.wait_for(name="intervals_lost", level="warning")
        assert board.ask("interval") == "begin every 7 d, second every 7 d"


@pytest.mark.parametrize("quick", ['"x"', "null", "1.5", "[1]"])
def test_a_count_of_restarts_that_is_none_begins_at_nought(tmp_path: Path, quick: str) -> None:
    counts = f"""
import machine

machine.reset_cause = lambda: 1
with open("/restarts", "w") as file:
    status = os.stat("/main.py")
    file.write('[{quick}, [%d, %d]]' % (status[6], status[8]))
"""
    with running(tmp_path, HURRY % 1 + _PROGRAM % counts, watchdog=3600) as board:
        assert board.alert() == "begun"


def test_alerts_that_another_version_has_written_are_told_and_cost_no_other(tmp_path: Path) -> None:
    """R0-P5: records that are whole, but not as this version knows them"""
    (tmp_path / "flash").mkdir()
    with Peer() as night:
        target = f"sip:night@127.0.0.1:{night.port}".encode()
        front = struct.pack(">BBIII2sBIHHHHHHH", 0, 0, 0xFFFFFFFF, 0, 5, b"xx", 0, 0, 0, 0, 4, len(target), 0, 3, 0)
        alert = front + b"call" + target + b"hot"
        contents = (1, b"short"), (2, b"?"), (3, b"new"), (1, alert), (1, alert + b"more")
        (tmp_path / "flash" / "outbox").write_bytes(b"".join(_record(*content) for content in contents))
        with running(tmp_path, _PROGRAM % "") as board:
            assert board.alert() == "begun"
            assert night.answer(200).body == b"hot"
            board.monitor.wait_for(event="log", name="boot")
            failed = [line for line in board.monitor.lines if line.get("name") == "outbox_failed"]
            assert len(failed) == 4, failed
