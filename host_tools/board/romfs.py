"""The packages in a board's ROMFS, from which they run without being loaded into the heap (MicroPython 1.25 and later).

A partition can't be replaced in one piece. But a board mounts only what begins with ROMFS's header, and then looks
there before it looks into /lib. So the header goes first and comes last, when the SHA-256 of all behind it is right;
between the two the board runs a copy in its file system. Source: py/runtime.c, extmod/vfs.c and vfs_rom.c of
MicroPython, and vfs_rom_ioctl.c of its ports.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from mpremote.romfs import VfsRomWriter  # type: ignore[import-untyped]

from sipmote.board.files import FOLDERS, MARK, PACKAGES
from sipmote.board.survey import TOOLS, answers, mark_of, the_answer
from sipmote.console import Output
from sipmote.errors import ToolError
from sipmote.link.repl import Board

_HEADER = bytes(VfsRomWriter.ROMFS_HEADER)
_PLACE = "/rom"
_UNIT = 32  # octets: all there are in one write of a flash that corrects errors, of any kind
_WORD = 4  # octets that other flashes can be written by: ROMFS's header, and the first octet of a length
_FILLER = bytes(24)  # behind it: nothing is found in what is written last, be it written in part
_CHUNK = 1024  # octets a script; a multiple of _UNIT, and no block of flash ends within one
_ERASED = 4096  # octets that are erased at once, mostly
_ERASES_S = 600  # for which a slow flash is silent

_LOOK = """
def look():
 import vfs
 rom=vfs.rom_ioctl(2,0)
 if isinstance(rom,int):
  return 0,True,False,''
 m=memoryview(rom)
 if bytes(m[:3])!=%r or m[3]==0:
  return len(m),True,False,''
 try:
  vfs.VfsRom(rom).open(%r,'r').close()
 except OSError:
  return len(m),False,False,''
 return len(m),False,True,digest(m,0,%d)
try:
 say(*look())
except (ImportError,AttributeError):
 say(0,True,False,'')
"""
_DIGEST = """
def digest(m,at,end):
 h=hashlib.sha256()
 end=min(end,len(m))
 while at<end:
  n=min(at+1024,end)
  h.update(m[at:n])
  at=n
 return hexlify(h.digest()).decode()
"""
# A partition is a block device (esp32, rp2), or is written by rom_ioctl alone, with erase blocks that it tells or not.
_ACCESS = """
import vfs
rom=vfs.rom_ioctl(2,0)
def ok(r):
 if isinstance(r,int) and r<0:
  raise OSError(-r)
def begins():
 return bytes(memoryview(rom)[:3])==b'\\xd2\\xcd1'
def write(at,data):
 if hasattr(rom,'ioctl'):
  size=rom.ioctl(5,0)
  data=b'\\xff'*(at%256)+data
  data+=b'\\xff'*(-len(data)%256)
  at-=at%256
  ok(rom.writeblocks(at//size,data,at%size)) # whole pages: 0xff changes nothing
 else:
  ok(vfs.rom_ioctl(4,0,at,data))
def erase(n):
 unit=4
 try:
  vfs.umount('/rom')
 except OSError:
  pass
 if hasattr(rom,'ioctl'):
  for b in range(-(-n//rom.ioctl(5,0))):
   ok(rom.ioctl(6,b))
   print('.',end='')
 else:
  size=vfs.rom_ioctl(6,0)
  if size>0:
   for at in range(0,n,size):
    unit=vfs.rom_ioctl(3,0,at,size)
    ok(unit)
    print('.',end='')
  else:
   unit=vfs.rom_ioctl(3,0,n)
   ok(unit)
 if begins(): # MRAM isn't erased
  write(0,bytes(32))
 return unit
"""
_INVALIDATE = _ACCESS + "if begins():\n erase(1)\n"


class Rom:
    """The ROMFS partition of a stopped board, and the image that is meant for it.

    octets: of the partition, 0 where the firmware has none. is_empty: nothing is mounted. is_ours: a deploy has
    written it. is_right: it holds the image, by its SHA-256.
    """

    def __init__(self, board: Board, wanted: Mapping[str, bytes], asked: bool | None) -> None:
        """wanted: path on the board -> octets, of which the packages go into the image.

        asked: they are to go into ROMFS, whatever it holds, or they are not to; None: if it is empty or ours.
        """
        self._board = board
        self._asked = asked
        self._image = image_of(wanted)
        script = TOOLS + _DIGEST + _LOOK % (_HEADER, MARK, len(self._image))
        found: tuple[Any, ...] = the_answer(answers(board.run(script)), 4)
        self.octets, self.is_empty, self.is_ours, digest = found
        self.is_right = digest == hashlib.sha256(self._image).hexdigest()

    @property
    def of_firmware(self) -> str:
        """How the folders begin whose modules are the firmware's: what is ours, or is to go, is not."""
        return "-" if self.is_ours or self._asked else "/rom"

    @property
    def invalidation(self) -> str:
        """The script after which the board finds its packages in /lib; it may be run again."""
        return _INVALIDATE if not self.is_empty and (self.is_ours or self._asked) else ""

    def takes_packages(self, output: Output) -> bool:
        """Are they to go there? Says why not, where one would expect it. Raises ToolError if that was asked for."""
        if self._asked is False:
            return False
        needs = -(-len(self._image) // _ERASED) * _ERASED
        if not self.octets:
            reason = "the board's firmware has no ROMFS"
        elif self.octets < needs:
            reason = f"the firmware's ROMFS has {self.octets} octets, the packages need {needs} (less with --lean)"
        elif not (self._asked or self.is_ours or self.is_empty):
            reason = "the firmware's ROMFS holds something else (--romfs puts the packages in its place)"
        else:
            return True
        if self._asked:
            raise ToolError(f"{reason}: leave --romfs out")
        if self.octets > _ERASED:
            output.warn(f"{reason}: the packages go into the file system")
        return False

    def show(self, output: Output) -> None:
        """Say what write() would do."""
        self._tell(output, "same" if self.is_right else "send")

    def _tell(self, output: Output, action: str) -> None:
        octets = 0 if action == "same" else len(self._image)
        line = f"{action:7} {_PLACE} ({octets} octets)"
        output.say({"event": "file", "path": _PLACE, "action": action, "bytes": octets}, *[line] * bool(octets))

    def write(self, output: Output) -> None:
        """Have it hold the image. Raises ToolError, and then the board goes on with what is in its file system."""
        board, image = self._board, self._image
        if self.is_right:
            self._tell(output, "same")
            return
        board.reset()  # what boot.py has loaded from there stays in use until then
        script = TOOLS + _DIGEST + _ACCESS + f"say(erase({len(image)}))\n"
        (unit,) = the_answer(answers(board.run(script, _ERASES_S)), 1)
        last = _WORD if unit <= _WORD else _UNIT
        with output.progress("writing ROMFS", len(image)) as advance:
            for at, data in _chunks(image, last):
                board.run(f"write({at},a2b_base64({base64.b64encode(data)!r}))\n", _ERASES_S)
                advance(len(data))
        self._check(last)
        board.run(f"write(0,{image[:last]!r})\n", _ERASES_S)
        self._check(0)
        self._tell(output, "sent")

    def _check(self, at: int) -> None:
        """Raise ToolError unless the partition holds the image, from this octet on; nothing of it is mounted then."""
        said = self._board.run(f"say(digest(memoryview(rom),{at},{len(self._image)}))\n", _ERASES_S)
        if the_answer(answers(said), 1) != (hashlib.sha256(self._image[at:]).hexdigest(),):
            self._board.run(_INVALIDATE, _ERASES_S)
            raise ToolError("ROMFS did not take what was sent: try again, or --no-romfs, which leaves it out")


def image_of(wanted: Mapping[str, bytes]) -> bytes:
    """Return the ROMFS image of the packages among these files, and of the mark that tells it for ours."""
    writer = VfsRomWriter()
    writer.mkdata(_FILLER)
    writer.opendir("lib")
    for folder in FOLDERS:
        here = folder + "/"
        inside = {path.removeprefix(here): data for path, data in wanted.items() if path.startswith(here)}
        _add(writer, folder.rpartition("/")[2], inside)
    writer.mkfile(MARK.rpartition("/")[2], mark_of(dict(wanted)).encode())
    writer.closedir()
    return bytes(writer.finalise())


def without_packages(wanted: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return what goes into the file system where the packages are elsewhere."""
    return {path: data for path, data in wanted.items() if not path.startswith(PACKAGES)}


def _add(writer: VfsRomWriter, name: str, files: Mapping[str, bytes]) -> None:
    writer.opendir(name)
    for folder in sorted({path.split("/")[0] for path in files if "/" in path}):
        _add(writer, folder, {p.partition("/")[2]: data for p, data in files.items() if p.startswith(folder + "/")})
    for path, data in sorted(files.items()):
        if "/" not in path:
            writer.mkfile(path, data)
    writer.closedir()


def _chunks(image: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """Yield all of the image from there on: where it goes, and octets, in whole units of writing."""
    whole = image + b"\xff" * (-len(image) % _UNIT)
    while at < len(whole):
        end = (at // _CHUNK + 1) * _CHUNK
        yield at, whole[at:end]
        at = end
