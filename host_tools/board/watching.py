"""Waiting for somebody to save a file."""

import _thread
import contextlib
import threading
import time
from collections.abc import Iterable, Iterator
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
def interrupted_by_change(before: Seen) -> Iterator[None]:
    """End what goes on until Ctrl-C, as that does, once a file changes. A person's Ctrl-C is a KeyboardInterrupt."""
    ended, changed = threading.Event(), threading.Event()

    def wait() -> None:
        if wait_for_change(before, ended):
            changed.set()
            _thread.interrupt_main()

    waiter = threading.Thread(target=wait, daemon=True)
    waiter.start()
    try:
        yield
    finally:
        ended.set()
        waiter.join()
    if not changed.is_set():
        raise KeyboardInterrupt


def wait_for_change(before: Seen, ended: threading.Event | None = None) -> bool:
    """Return True once a file is another than before, and all are left alone for a moment; False when ended."""
    while (now := seen(before)) == before:
        if ended is not None and ended.is_set():
            return False
        time.sleep(_POLL_S)
    while True:
        time.sleep(_SETTLED_S)
        before, now = now, seen(before)
        if before == now and None not in now.values():
            return True
