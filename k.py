import gc,sys,errno
for name in sys.argv[1:]:
    gc.collect(); b=gc.mem_alloc(); __import__(name); gc.collect(); print(name, gc.mem_alloc()-b)
