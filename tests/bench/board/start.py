# What a board does before main.py: its flash is the root of the file system. `start.py PROGRAM ARGUMENT ..`
import os
import sys

import vfs

flash = os.getcwd()
vfs.umount("/")
vfs.mount(vfs.VfsPosix(flash), "/")
os.chdir("/")
sys.path[:] = ["", ".frozen", "/lib"]
__import__(sys.argv.pop(1))
