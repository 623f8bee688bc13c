"""What the tests of one board share: what was on it, and what it has."""

import datetime
import time
from collections.abc import Iterator

import pytest

from tests.hardware.board import WIFI, mpremote, set_clock, start

_TREE = """
import os, hashlib, binascii
def walk(folder):
    for entry in os.ilistdir(folder):
        path = folder.rstrip('/') + '/' + entry[0]
        if entry[1] & 0x4000:
            print('d', path)
            walk(path)
        else:
            digest = hashlib.sha256()
            with open(path, 'rb') as file:
                while True:
                    data = file.read(256)
                    if not data:
                        break
                    digest.update(data)
            print(binascii.hexlify(digest.digest()).decode(), path)
walk('/')
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


def tree() -> dict[str, str]:
    """Return path -> SHA-256 ("d" for a folder) of all that is on the board."""
    lines = [line.split(" ", 1) for line in mpremote("exec", _TREE).splitlines()]
    return {path: digest for digest, path in lines}


def on_files(commands: list[list[str]]) -> None:
    """Let mpremote do these with files, in one go: each call of its own costs seconds."""
    if commands:
        mpremote(*[word for command in commands for word in ("fs", *command, "+")][:-1])


@pytest.fixture(scope="session", autouse=True)
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what is on the board, and put it back in the end."""
    before = tree()
    kept = tmp_path_factory.mktemp("kept")
    files = [path for path, digest in before.items() if digest != "d"]
    on_files([["cp", f":{path}", str(kept / str(number))] for number, path in enumerate(files)])
    yield
    after = tree()
    ours = [path for path in sorted(after, reverse=True) if path not in before]  # what a folder holds before the folder
    on_files([["rmdir" if after[path] == "d" else "rm", f":{path}"] for path in ours])
    changed = [(number, path) for number, path in enumerate(files) if after.get(path) != before[path]]
    on_files([["cp", str(kept / str(number)), f":{path}"] for number, path in changed])
    assert tree() == before, "the board is not as it was found"
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
