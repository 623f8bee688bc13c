"""What the tests of one board share: what was on it, and what it has."""

import datetime
import hashlib
import time
from collections.abc import Iterator

import pytest

from tests.hardware.board import LONG_S, WIFI, clean, mpremote, put, read, set_clock, start

_AT_ONCE = 16  # files that one script removes: a small heap holds their names
_LIST = """
import os
def walk(folder):
    for entry in os.ilistdir(folder):
        path = folder.rstrip('/') + '/' + entry[0]
        print('d' if entry[1] & 0x4000 else 'f', path)
        if entry[1] & 0x4000:
            walk(path)
walk('/')
"""
_DIGESTS = """
import hashlib, binascii
for path in %r:
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while True:
            data = file.read(512)
            if not data:
                break
            digest.update(data)
    print(binascii.hexlify(digest.digest()).decode(), path)
"""
_REMOVE = """
import os
for path in %r:
    os.rmdir(path[2:]) if path[0] == 'd' else os.remove(path[2:])
"""
_FOUND = """
import hashlib
if hasattr(hashlib, 'md5'):
    print('md5')
for name in ('network', 'socket', 'tls'):
    try:
        __import__(name)
        print(name)
    except ImportError:
        pass
"""


def listing() -> set[str]:
    """Return all paths on the board, each behind "d " for a folder or "f "."""
    return set(mpremote("exec", _LIST).splitlines())


def digests(paths: list[str]) -> dict[str, str]:
    """Return path -> SHA-256 of these files on the board."""
    lines = [line.split(" ", 1) for line in mpremote("exec", _DIGESTS % (paths,), seconds=LONG_S).splitlines()]
    return {path: digest for digest, path in lines}


@pytest.fixture(scope="session", autouse=True)
def found() -> Iterator[None]:
    """Keep what is on the board, and put it back in the end."""
    before = listing()
    files = sorted(path[2:] for path in before if path.startswith("f "))
    kept = read(files)
    whole = {path: hashlib.sha256(data).hexdigest() for path, data in kept.items()}
    yield
    clean()
    after = listing()
    ours = sorted(after - before, key=lambda path: path[2:], reverse=True)  # what a folder holds before the folder
    for at in range(0, len(ours), _AT_ONCE):
        mpremote("exec", _REMOVE % (ours[at : at + _AT_ONCE],))
    there = digests([path for path in files if f"f {path}" in after])
    put({path: kept[path] for path in files if there.get(path) != whole[path]})
    assert listing() == before and digests(files) == whole, "the board is not as it was found"
    start()


@pytest.fixture(scope="session")
def firmware(found: None) -> list[str]:
    """What we use where there is it: network, socket, tls, md5."""
    return mpremote("exec", _FOUND).split()


@pytest.fixture(scope="session")
def has_network(firmware: list[str]) -> None:
    if "socket" not in firmware:
        pytest.skip("the board has no network")
    if "network" in firmware and not WIFI:
        pytest.skip("no network to join: WIFI=ssid:password")


@pytest.fixture
def kept_clock(found: None) -> Iterator[None]:
    """Have a test set the board's clock: it is set right again in the end, if it was."""
    year, month, day, _, *rest = map(int, mpremote("exec", "from machine import RTC; print(*RTC().datetime())").split())
    before, began = datetime.datetime(year, month, day, *rest[:3]), time.monotonic()
    yield
    set_clock(before + datetime.timedelta(seconds=time.monotonic() - began))
