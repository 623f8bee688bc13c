# VfsPosix below a root takes the new name for the old one, too: what renames a file there has to copy it.
import os
import sys


class Os:
    def __getattr__(self, name):
        return getattr(os, name)

    def rename(self, old, new):
        with open(old, "rb") as source, open(new, "wb") as target:
            target.write(source.read())
        os.remove(old)


sys.modules["os"] = Os()
