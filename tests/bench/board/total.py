# A step: the collector is off, and all that was allocated is printed when the program ends.
import gc
import sys

gc.disable()
sys.atexit(lambda: print("\ntotal", gc.mem_alloc()))
