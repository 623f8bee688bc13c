# With the collector off, prints all that was allocated when a program has ended: `total.py PROGRAM ARGUMENT ..`
import gc
import sys

gc.disable()
try:
    __import__(sys.argv.pop(1))
except SystemExit as end:
    print("\ntotal", gc.mem_alloc())
    raise end
print("\ntotal", gc.mem_alloc())
