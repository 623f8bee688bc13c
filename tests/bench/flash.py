"""What an alert writes to flash: the journal on littlefs, on a block device that counts, in a VM."""

import os
import subprocess
from collections.abc import Iterator

from sipmote.virtual.vm import vm_command

_CONTENT = 102  # octets of an alert of 30 octets to a URI of 24
_PROGRAM = """
import os
import vfs
from mote.outbox import Journal, record

PUT, END = 1, 2

BLOCK = 4096


class Device:
    def __init__(self, blocks):
        self.data = bytearray(blocks * BLOCK)
        self.written = self.erased = 0

    def readblocks(self, block, buffer, offset=0):
        at = block * BLOCK + offset
        buffer[:] = self.data[at : at + len(buffer)]

    def writeblocks(self, block, buffer, offset=0):
        at = block * BLOCK + offset
        self.data[at : at + len(buffer)] = buffer
        self.written += len(buffer)

    def ioctl(self, request, argument):
        self.erased += request == 6
        return {4: len(self.data) // BLOCK, 5: BLOCK}.get(request, 0)


def told(name, function):
    before = device.written, device.erased
    for _ in range(200):
        function()
    print(name, (device.written - before[0]) // 200, (device.erased - before[1]) / 200)


def at_once():
    journal.append(record(PUT, b"x" * %(content)d))
    journal.clear()


def behind():
    offset = journal.append(record(PUT, b"x" * %(content)d))
    journal.append(record(END, offset.to_bytes(4, "big")))
    if journal.octets > 100000:
        journal.clear()


device = Device(128)
vfs.VfsLfs2.mkfs(device)
vfs.mount(vfs.VfsLfs2(device), "/flash")
journal = Journal("/flash/outbox")
told("at_once", at_once)
told("behind", behind)
"""


def written() -> Iterator[tuple[str, int, float]]:
    """Give ("at_once" or "behind" others that wait, octets written, blocks of 4 KB erased) for an alert each."""
    done = subprocess.run(
        [*vm_command(32), "-X", "heapsize=4m", "-c", _PROGRAM % {"content": _CONTENT}],
        env={**os.environ, "MICROPYPATH": ".:micropython:.frozen"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    for line in done.stdout.splitlines():
        name, octets, erased = line.split()
        yield name, int(octets), float(erased)
