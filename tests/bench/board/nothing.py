# What is on the heap before any of our code.
import gc

gc.collect()
print("\nkept nothing", gc.mem_alloc())
