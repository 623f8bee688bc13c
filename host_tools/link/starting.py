"""Listening to a board whose program has just been started: does it run, or has it ended, and why?"""

import time

import serial

from sipmote.errors import ToolError
from sipmote.link.frames import Console, Decoder, Record

_PROMPT = ">>> "
_FILE = "  File "  # begins a line of a traceback
_MEMORY = "MemoryError"
_BOOTED_S = 0.5  # what a program of mote's says first is "boot"; what goes wrong then does so at once
_POLL_S = 0.02
_KEPT = 16384  # characters


def reason_of_end(port: serial.Serial, seconds: float) -> str | None:
    """Listen to a board from its start on; returns why its program ended, by an exception, and where; None: it didn't.

    seconds: to listen for, at most. Raises ToolError when the port goes.
    """
    decoder, text = Decoder(), ""
    end_at = time.monotonic() + seconds
    while time.monotonic() < end_at:
        try:
            data = port.read(port.in_waiting)
        except OSError:
            raise ToolError(f"{port.port} has gone as the program started: look at `sipmote monitor`") from None
        for item in decoder.feed(data) if data else decoder.flush():
            if isinstance(item, Console):
                text = (text + item.text)[-_KEPT:]
            elif isinstance(item, Record) and item.event == "boot":
                end_at = min(end_at, time.monotonic() + _BOOTED_S)
        if text.endswith(_PROMPT):
            return _reason(text)
        time.sleep(_POLL_S)
    return None


def _reason(text: str) -> str | None:
    """Return what the last traceback ends with: "OSError: [Errno 5] EIO (main.py, line 7)".

    Out of memory there is no more than the last line.
    """
    reason, where = None, ""
    for line in text.replace("\r", "").splitlines():
        if line.startswith(_FILE):
            where = line.removeprefix(_FILE).replace('"', "")
        elif where and not line.startswith(" "):
            reason, where = f"{line} ({where})", ""
        elif line.startswith(_MEMORY):
            reason = line
    return reason
