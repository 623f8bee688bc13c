"""The one place that talks to the garbage collector."""

import gc

_before = gc.threshold()
collect = gc.collect


def keep_together() -> None:
    """Collect often while a board starts: what loading leaves behind goes before the next thing is loaded."""
    gc.threshold(1024)


def relax() -> None:
    """Collect as before: what an exchange needs is loaded now, and nobody is to be slowed down any longer."""
    gc.threshold(_before)
