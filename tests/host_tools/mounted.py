"""A file system's octets as MicroPython finds them: mounted in its VM, from memory."""

import json
from pathlib import Path

from tests.vm import run_program

_PROGRAM = """
import hashlib, json, os, sys
from binascii import hexlify
BLOCK = 4096
class Memory:
    def __init__(self, octets):
        self.octets = bytearray(octets)
    def readblocks(self, block, buffer, offset=0):
        at = block * BLOCK + offset
        buffer[:] = memoryview(self.octets)[at : at + len(buffer)]
    def writeblocks(self, block, buffer, offset=0):
        at = block * BLOCK + offset
        memoryview(self.octets)[at : at + len(buffer)] = buffer
    def ioctl(self, request, block):
        if request == 4:
            return len(self.octets) // BLOCK
        if request == 5:
            return BLOCK
        if request == 6:
            memoryview(self.octets)[block * BLOCK : block * BLOCK + BLOCK] = b"\\xff" * BLOCK
        return 0
def mount():
    os.mount(os.VfsLfs2(memory, progsize=PROGRAM), "/files")
def digests(folder):
    for name, kind, *_ in os.ilistdir("/files" + folder):
        path = folder + "/" + name
        if kind & 0x4000:
            digests(path)
        else:
            with open("/files" + path, "rb") as f:
                found[path] = hexlify(hashlib.sha256(f.read()).digest()).decode()
with open(sys.argv[1], "rb") as f:
    memory = Memory(f.read())
mount()
for number in range(60):  # what a board does with it from then on
    with open("/files/outbox%d" % (number % 4), "wb") as f:
        f.write(bytes(number * 200))
for number in range(4):
    os.remove("/files/outbox%d" % number)
os.umount("/files")
mount()
found = {}
digests("")
print(json.dumps(found))
"""


def read_by_micropython(octets: bytes, folder: Path, program: int = 32) -> dict[str, str]:
    """Return path -> SHA-256 of all files in it, after others were written and removed and it was mounted again.

    octets: all of it. folder: for a copy. program: octets that the board programs at once.
    """
    path = folder / "filesystem"
    path.write_bytes(octets)
    done = run_program(_PROGRAM.replace("PROGRAM", str(program)), str(path), "32m")
    found: dict[str, str] = json.loads(done.stdout)
    return found
