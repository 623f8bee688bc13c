"""Waiting for somebody to save a file."""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

_POLL_S = 0.3
_SETTLED_S = 0.2  # an editor writes in steps

Seen = dict[Path, tuple[int, int] | None]


def seen(paths: Iterable[Path]) -> Seen:
    """Return what tells whether a file has changed: path -> (time of its last change, octets); None: not there."""
    found: Seen = {}
    for path in paths:
        try:
            about = path.stat()
            found[path] = about.st_mtime_ns, about.st_size
        except OSError:
            found[path] = None
    return found


@contextlib.contextmanager
def told_of_change(before: Seen, tell: Callable[[], None]) -> Iterator[None]:
    """Have a function called, in a thread, once a file changes while this lasts."""
    ended = threading.Event()

    def wait() -> None:
        if wait_for_change(before, ended):
            tell()

    waiter = threading.Thread(target=wait, daemon=True)
    waiter.start()
    try:
        yield
    finally:
        ended.set()
        waiter.join()


def wait_for_change(before: Seen, ended: threading.Event) -> bool:
    """Return True once a file is another than before, and all are left alone for a moment; False when ended."""
    while (now := seen(before)) == before:
        if ended.wait(_POLL_S):
            return False
    while not ended.wait(_SETTLED_S):
        before, now = now, seen(before)
        if before == now and None not in now.values():
            return True
    return False
