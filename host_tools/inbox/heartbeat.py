"""The heartbeat of a board: a MESSAGE that says that it lives, and how. Nobody stores it, and no person is shown it."""

import re

from sipmote.agent.errors import ParseError

HEARTBEAT = b"application/vnd.sipmote.heartbeat"
_MOST_OCTETS = 256
_MOST_WORDS = 16
_CLOCKS = ("none", "learned", "rtc", "host", "ntp")  # how well the board knows the time
_WORD = re.compile(r"([!-<>-~]+)=([!-~]*)")
_NUMBER = re.compile(r"-?[0-9]{1,10}")
_BOUNDS = {
    "every": (1, 2_147_483_647),  # seconds from this one to the next one
    "up": (0, 4_294_967_295),  # seconds since the program began
    "free": (0, 4_294_967_295),  # octets of heap
    "rssi": (-128, 0),  # dBm, of Wi-Fi
    "waiting": (0, 1_000_000),  # alerts without an outcome
}


def read_heartbeat(body: bytes) -> dict[str, int | str]:
    """Return what a heartbeat says: every, up, free, rssi, waiting as numbers, clock as a word.

    body: words in ASCII such as b"every=300 up=3600 clock=ntp", with single spaces between them. What it doesn't say,
    or says in a way that can't be, is left out; other keys are ignored. Raises ParseError for what is no such list, has
    more than 16 words, or more than 256 octets.
    """
    if len(body) > _MOST_OCTETS:
        raise ParseError("a heartbeat of 256 octets at most was expected")
    words = body.decode("ascii", "replace").split(" ") if body else []
    pairs = [_WORD.fullmatch(word) for word in words]
    if len(words) > _MOST_WORDS or not all(pairs):
        raise ParseError("16 words at most of a heartbeat, each key=value, were expected")
    found: dict[str, int | str] = {}
    for key, text in [pair.groups() for pair in pairs if pair]:
        if key in _BOUNDS and _NUMBER.fullmatch(text):
            low, high = _BOUNDS[key]
            if low <= int(text) <= high:
                found[key] = int(text)
        elif key == "clock" and text in _CLOCKS:
            found[key] = text
    return found
