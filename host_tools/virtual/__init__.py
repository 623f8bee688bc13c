"""The virtual board: a MicroPython VM behind a pseudo-terminal."""
