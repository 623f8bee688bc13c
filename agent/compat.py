"""The one place that asks which interpreter this is."""

try:
    from micropython import const
except ImportError:  # CPython

    def const(value):  # type: ignore[no-untyped-def]
        """Return value as it is; MicroPython's compiler folds the name away instead."""
        return value
