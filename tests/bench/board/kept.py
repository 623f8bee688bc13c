# Loads modules, each after those that it loads itself; prints what each keeps on the heap: `kept.py NAME ..`
# A package comes after what its __init__ loads of it, so something has to stand in for it until then.
import gc
import os
import sys


class Package:
    def __init__(self, path):
        self.__path__ = path


names = sys.argv[1:]
root = sys.path[-1]
try:
    os.stat(root + "/agent")
except OSError:
    root = ".frozen"
for name in names:
    package = name.rpartition(".")[0]
    if package and package not in sys.modules:
        sys.modules[package] = Package(root + "/" + package.replace(".", "/"))
for name in names:
    if type(sys.modules.get(name)) is Package:
        del sys.modules[name]
    gc.collect()
    before = gc.mem_alloc()
    try:
        __import__(name)
        gc.collect()
        print("\nkept", name, gc.mem_alloc() - before)
    except ImportError as error:
        print("\nlacks", name, error)
