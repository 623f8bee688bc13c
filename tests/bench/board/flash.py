# A step: the flash is the root of the file system, with agent and mote in /lib, if they aren't frozen.
import os
import sys

import vfs

path = os.getcwd()
vfs.umount("/")
vfs.mount(vfs.VfsPosix(path), "/")
os.chdir("/")
sys.path[:] = ["", ".frozen", "/lib"]
