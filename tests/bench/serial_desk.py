"""A desk on the serial line of a board under test, which is a VM's standard input and output."""

import os
import subprocess
import threading
import time
from collections import deque
from pathlib import Path

from sipmote.agent.events import Transmit
from sipmote.agent.uas import MessageReceived
from sipmote.agent.user_agent import UserAgent
from sipmote.link.bridge import DATAGRAM, FIRST, GREETING, LAST, PIECE, PIECE_OCTETS, TAKEN, VERSION
from sipmote.link.frames import Bridged, Decoder, encode_bridged


def run_on_serial(command: list[str], folder: Path, limit_s: float) -> str | None:
    """Run a VM whose messages are taken with 200; returns what it printed, None unless its exit code was 0."""
    process = subprocess.Popen(
        command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    limit = threading.Timer(limit_s, process.kill)
    limit.start()
    assert process.stdin and process.stdout
    desk, decoder, output = _Desk(), Decoder(), b""
    with process.stdin, process.stdout:
        while data := os.read(process.stdout.fileno(), 4096):
            output += data
            for item in decoder.feed(data):
                if isinstance(item, Bridged) and (frame := desk.take(item)):
                    os.write(process.stdin.fileno(), frame)
    code = process.wait()
    limit.cancel()
    return output.decode(errors="replace") if code == 0 else None


class _Desk:
    """Answers frames by frames, piece by piece."""

    def __init__(self) -> None:
        self._agent = UserAgent(b"sip:desk@127.0.0.1", b"127.0.0.1", os.urandom)
        self._waiting: deque[Bridged] = deque()
        self._number = 0

    def take(self, item: Bridged) -> bytes:
        """Return the frame that is due behind this one of the board's, b"" for none."""
        if item.what == GREETING:
            return encode_bridged(Bridged(GREETING, VERSION, b""))
        if item.what == DATAGRAM:
            self._answer(item.octets)
        elif item.what == TAKEN and self._waiting and item.number == self._waiting[0].number:
            self._waiting.popleft()
        return encode_bridged(self._waiting[0]) if self._waiting else b""

    def _answer(self, data: bytes) -> None:
        now = time.monotonic_ns() // 1_000_000 & 0x3FFFFFFF
        for event in self._agent.receive(data, (b"SERIAL", b"serial.invalid", 0), now):
            answers = self._agent.respond(event, 200, now) if type(event) is MessageReceived else [event]
            for answer in answers:
                if type(answer) is Transmit:
                    self._cut(answer.data)

    def _cut(self, data: bytes) -> None:
        places = range(0, len(data), PIECE_OCTETS)
        for at in places:
            what = PIECE | FIRST * (at == 0) | LAST * (at == places[-1])
            self._waiting.append(Bridged(what, self._number, data[at : at + PIECE_OCTETS]))
            self._number = (self._number + 1) % 23
