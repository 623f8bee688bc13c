"""What goes over the wire, as text for people: `--trace`.

Whoever sees it may ask others for help with it: what a password could be found out by is left out.
"""

import atexit
import os
import re
import sys
from collections.abc import Callable
from datetime import datetime

from sipmote.console import harmless
from sipmote.errors import ToolError
from sipmote.printer import Printer
from sipmote.sip.places import Flow, place

_HIDDEN = b"***"
# A field with credentials or a server's proof of them, its folded lines included; in a body, too.
_SECRET = re.compile(
    rb"^((?:proxy-)?authorization|authentication-info)([ \t]*:(?:[ \t]|\r?\n[ \t])*)((?:[^\r\n]|\r?\n[ \t])*)",
    re.IGNORECASE | re.MULTILINE,
)
_PARAMETER = re.compile(rb'([!-+\--<>-~]{1,64}+)[ \t\r\n]*=[ \t\r\n]*("(?:[^"\\]|\\.)*"|[^\s",]+)', re.DOTALL)
_SHOWN = (b"username", b"realm", b"nonce", b"uri", b"algorithm", b"opaque", b"qop", b"nc", b"userhash", b"nextnonce")
_USER_PASSWORD = re.compile(rb"(\bsips?:[^\s:@<>;]{1,128}+):[^\s@<>]{0,128}@", re.IGNORECASE)


class Trace:
    """Writes each message with its time, direction and flow. Its lines are indented, so that none passes for ours."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._put = write

    def sent(self, data: bytes, flow: Flow) -> None:
        """We have sent this."""
        self._write(f"sent to {_name(flow)}, {len(data)} octets", data)

    def came(self, data: bytes, flow: Flow) -> None:
        """This has come."""
        self._write(f"received from {_name(flow)}, {len(data)} octets", data)

    def failed(self, flow: Flow, text: str) -> None:
        """A flow has failed, and why."""
        self._write(f"{_name(flow)}: {text}", b"")

    def _write(self, title: str, data: bytes) -> None:
        at = datetime.now().isoformat(" ", "milliseconds")
        text = redacted(data).decode("utf-8", "backslashreplace")
        lines = harmless(text, lines=True).split("\n") if text.strip() else []
        while lines and not lines[-1]:
            lines.pop()
        self._put("".join([f"{at} {harmless(title)}\n", *[f"    {line}\n" for line in lines], "\n"]))


def redacted(data: bytes) -> bytes:
    """Return a message without what its passwords could be found out by, guesses included: who and where is left."""
    return _USER_PASSWORD.sub(rb"\1:***@", _SECRET.sub(_without_secrets, data))


def _without_secrets(field: re.Match[bytes]) -> bytes:
    """Return a field with the parameters that are no secret; all else is hidden, known to us or not."""
    name, colon, value = field.groups()
    scheme, rest = b"", value
    if name.lower() != b"authentication-info":
        words = value.split(None, 1)
        if len(words) < 2 or words[0].lower() != b"digest":
            return name + colon + (words[0] + b" " if len(words) > 1 else b"") + _HIDDEN
        scheme, rest = b"Digest ", words[1]
    found = _PARAMETER.findall(rest)
    shown = [key + b"=" + (text if key.lower() in _SHOWN else _HIDDEN) for key, text in found]
    return name + colon + scheme + b", ".join(shown)


def open_trace(path: str) -> Trace:
    """Return a trace that goes to a file, which only its owner can read, or, for "-", to stderr. Raises ToolError.

    It is written in a thread of its own: a reader that stalls holds up no message.
    """
    descriptor = sys.stderr.fileno()
    if path != "-":
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            text = f"can't write the trace to {path}: {error.strerror}; name another file with --trace"
            raise ToolError(text) from None
    printer = Printer()
    printer.tell_lost(lambda count: (descriptor, b"(%d messages are not shown: their reader was too slow)\n\n" % count))
    atexit.register(printer.close)
    return Trace(lambda text: printer.write(descriptor, text.encode("utf-8", "backslashreplace")))


def _name(flow: Flow) -> str:
    return f"{flow[0].decode().lower()}:{place(flow[1].decode(), flow[2])}"
