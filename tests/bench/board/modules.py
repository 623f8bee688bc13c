# As start.py, but prints what each module keeps on the heap, less what it loads itself, as soon as it is loaded.
import builtins
import gc
import sys

load = builtins.__import__
kept = 0  # by what was measured so far


def measure(name, *more):
    global kept
    if more and more[-1]:  # a relative import; nobody but asyncio has one, and the VM would look for it from here
        name = "asyncio." + name if name else "asyncio"
        more = (None, None, more[2], 0)
    if name in sys.modules or name == program:
        return load(name, *more)
    gc.collect()
    before = gc.mem_alloc() - kept
    module = load(name, *more)
    gc.collect()
    octets = gc.mem_alloc() - kept - before
    kept += octets
    if octets > 0:  # else it is the firmware's
        print("\nkept", name, octets)
    return module


program = sys.argv[1]
builtins.__import__ = measure
load("start")
