"""Arithmetic on `now`: milliseconds that wrap at 2**30, so that an instant stays a small int on every board.

No instant may be compared with < or >: one just after the wrap is later, though smaller.
"""

from .compat import const

_MASK = const(0x3FFFFFFF)
_HALF = const(0x20000000)


def later(now: int, wait_ms: int) -> int:
    """Return the instant wait_ms (below 2**29, which is 6.2 days) after now."""
    return (now + wait_ms) & _MASK


def until(at: int, now: int) -> int:
    """Return the ms from now to at: negative once it has passed, right for 6.2 days either way."""
    return (((at - now) & _MASK) ^ _HALF) - _HALF
