"""The virtual board's ROMFS partition: flash in a file of the host's, mapped into memory, and vfs.rom_ioctl over it.

As MicroPython's ports do it that return memory: no erase block is told, and only what has been erased can be written.
"""

import os
import sys

import ffi
import uctypes
import vfs

_ERASE = 4096
_EINVAL = 22
_libc = ffi.open(None)


class Vfs:
    """The module `vfs`, with a function that the VM's own lacks."""

    def __init__(self, path):
        size = os.stat(path)[6]
        file = _libc.func("i", "open", "si")(path, 2)  # O_RDWR
        at = _libc.func("p", "mmap", "piiiii")(None, size, 3, 1, file, 0)  # PROT_READ | PROT_WRITE, MAP_SHARED
        self._flash = uctypes.bytearray_at(at, size)

    def __getattr__(self, name):
        return getattr(vfs, name)

    def rom_ioctl(self, request, partition=0, at=0, data=None):
        if partition != 0 or request not in (1, 2, 3, 4):
            return -_EINVAL
        if request == 1:
            return 1
        if request == 2:
            return memoryview(self._flash)
        if request == 3:  # (3, partition, length)
            for start in range(0, at, _ERASE):
                self._flash[start : start + _ERASE] = b"\xff" * _ERASE
            return 4  # octets that are written at least
        for octet in data:
            self._flash[at] &= octet
            at += 1
        return 0


def plug_in(path):
    """Have the partition, and what is in it mounted, as the VM does at its start; returns what leads there."""
    ours = sys.modules["vfs"] = Vfs(path)
    try:
        vfs.mount(vfs.VfsRom(ours.rom_ioctl(2, 0)), "/rom")
    except OSError:
        return []
    return ["/rom", "/rom/lib"]
