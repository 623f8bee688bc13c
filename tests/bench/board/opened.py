# A step: as flash.py, and prints the path of each file that is opened.
import os
import sys

import vfs


class Told:
    def __init__(self, files):
        self.files = files

    def open(self, path, mode):
        print("\nopened", path)
        return self.files.open(path, mode)

    def __getattr__(self, name):
        return getattr(self.files, name)


path = os.getcwd()
vfs.umount("/")
vfs.mount(Told(vfs.VfsPosix(path)), "/")
os.chdir("/")
sys.path[:] = ["", ".frozen", "/lib"]
