# Prints what each module named on the command line leaves on the heap, in the order they are loaded.
import gc
import sys

for name in sys.argv[1:]:
    gc.collect()
    before = gc.mem_alloc()
    __import__(name)
    gc.collect()
    print(name, gc.mem_alloc() - before)
