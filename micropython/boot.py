# Runs before main.py: an interrupt handler that fails can then still say so.
import micropython

micropython.alloc_emergency_exception_buf(100)
