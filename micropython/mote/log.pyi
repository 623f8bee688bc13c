"""The levels of Mote.log."""

from typing import Final

DEBUG: Final = 0
INFO: Final = 1
WARNING: Final = 2
ERROR: Final = 3
