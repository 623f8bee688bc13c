# Runs before main.py. With memory set aside for it, an interrupt handler that fails can still say why.
import micropython

if hasattr(micropython, "alloc_emergency_exception_buf"):  # a VM without interrupts has none
    micropython.alloc_emergency_exception_buf(100)
