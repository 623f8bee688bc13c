"""What boards are doing: told by their log, which disturbs nobody, or asked for, which stops their program."""

import contextlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import serial

from sipmote.board.survey import TOOLS, answers, the_answer
from sipmote.board.transfer import stopped_board
from sipmote.link.frames import IDLE_S, QUALITIES, Console, Decoder, Item, Record
from sipmote.link.port import close_port, open_port
from sipmote.link.repl import Board, BoardFull

_2024 = 1704067200  # an earlier file was written by a board that knew no date
_TEXT = 8192  # characters that are kept of what a board prints
_ASK = """
import sys,time
i=sys.implementation
say('release','%d.%d.%d'%tuple(i.version[:3]))
say('machine',getattr(i,'_machine',sys.platform))
say('epoch',time.gmtime(0)[0])
try:
 s=os.stat('/main.py')
 with open('/main.py','rb') as f:
  say('program',f.read(512),s[6],s[8])
except OSError:
 pass
try:
 import network
 w=network.WLAN(network.STA_IF)
 if w.isconnected():
  say('address',w.ifconfig()[0])
  say('rssi',w.status('rssi'))
except Exception:
 pass
for m in list(globals().values()):
 if type(m).__name__=='Mote':
  say('uptime_s',m.uptime())
  say('clock',0 if m.agent.clock is None else m.agent.clock.quality)
i=m=None
"""
_FREE = """
i=s=f=w=None
gc.collect()
say(gc.mem_free())
"""


@dataclass
class Heard:
    """What a board said while somebody listened. record: the last one; starts: of the program; text: the last of it."""

    record: Record | None = None
    starts: int = 0
    text: str = ""
    wifi: Record | None = None  # the last one about it

    def __bool__(self) -> bool:
        return self.record is not None or self.text != ""

    def take(self, item: Item) -> None:
        """Take what the decoder has found."""
        if isinstance(item, Record):
            self.record = item
            self.starts += item.event == "boot"
            if item.event in ("wifi_up", "wifi_down", "wifi_failed"):
                self.wifi = item
        elif isinstance(item, Console):
            self.text = (self.text + item.text)[-_TEXT:]

    @property
    def is_at_prompt(self) -> bool:
        """Was MicroPython's prompt the last that the board said?"""
        return self.text.rstrip().endswith(">>>")

    def listen(self, port: serial.Serial, seconds: float, to_prompt: bool = False) -> None:
        """Take what comes for so long, or until it is the prompt; it ends when the port goes."""
        decoder = Decoder()
        deadline = time.monotonic() + seconds
        with contextlib.suppress(OSError):
            while time.monotonic() < deadline and not (to_prompt and self.is_at_prompt):
                data = port.read(1)
                data += port.read(port.in_waiting)
                for item in decoder.feed(data) if data else decoder.flush():
                    self.take(item)

    def facts(self) -> dict[str, Any]:
        """Return what follows from it, by name."""
        facts: dict[str, Any] = {"heard": int(time.time())} if self else {}
        if self.record:
            facts |= {"clock": QUALITIES[self.record.quality], "uptime_s": self.record.uptime_ms // 1000}
        if self.wifi:
            fields = self.wifi.fields
            facts |= {"rssi": fields.get("rssi"), "address": fields.get("address"), "wifi": self.wifi.event}
        return facts


def listen(device: str, seconds: float) -> Heard:
    """Hear what a board says for so long, and send it nothing. Raises ToolError."""
    heard = Heard()
    port = open_port(device, IDLE_S)
    try:
        heard.listen(port, seconds)
    finally:
        close_port(port)
    return heard


def ask(device: str, tell: Callable[[str], None]) -> dict[str, Any]:
    """Stop a board's program, ask what it is and does, and start the program again. Raises ToolError.

    tell: is called with what a person can do while the program doesn't stop.
    """
    with stopped_board(device, tell) as board:
        said = _ask(board)
        board.restart()
    facts: dict[str, Any] = {"heard": int(time.time()), "asked": int(time.time())}
    for name in ("release", "machine", "address", "rssi", "uptime_s", "memory_free"):
        facts[name] = said[name][0] if name in said else None
    facts["clock"] = QUALITIES[said["clock"][0]] if "clock" in said else None
    head, octets, changed = said.get("program", (b"", None, 0))
    changed += int(datetime(said["epoch"][0], 1, 1, tzinfo=UTC).timestamp())
    facts |= {"program": title(head), "program_octets": octets}
    facts["program_date"] = day(changed) if changed >= _2024 else None
    return facts


def _ask(board: Board) -> dict[str, Any]:
    """Return what a stopped board says, by name. memory_free: octets while its program is there, None if too few."""
    free = None
    try:
        said = answers(board.run(TOOLS + _ASK))
        (free,) = the_answer(answers(board.run(_FREE)), 1)
    except BoardFull:
        board.reset()
        said = answers(board.run(TOOLS + _ASK))
    return {**{name: values for name, *values in said}, "memory_free": [free]}


def title(head: bytes) -> str | None:
    """Return what a program says about itself: the first line of its docstring, or else its first comment.

    head: how its file begins.
    """
    text = head.decode("utf-8", "ignore").removeprefix("\ufeff")
    found = re.match(r'(?:\s|#[^\n]*\n)*[rR]?("""|\'\'\'|"|\')\s*([^\n]*)', text)
    if found:
        return found[2].partition(found[1])[0].strip() or None
    comment = re.match(r"\s*#(?!!)\s*([^\n]+)", text)
    return comment[1].strip() if comment else None


def day(unix: int) -> str:
    """Return a date for people, in their time zone."""
    return datetime.fromtimestamp(unix).strftime("%Y-%m-%d")
