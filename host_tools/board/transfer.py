"""Putting a plan into effect over the raw REPL.

The new files go beside the old ones under names ending in .new, each is checked by its SHA-256 as it is written, and
one short script then renames them all. That script stands in for /main.py from one rename on, until it renames the
program there as its last act: whatever is cut before that rename leaves what ran before, and whatever is cut after it
is completed by the board at its next start, or by the next deploy. On a board that never had our packages, only what
lies outside of them is renamed: littlefs renames a file in a large folder more slowly than it writes one.
"""

import base64
import contextlib
import hashlib
from collections.abc import Callable, Iterator

from sipmote.board.files import FINISHER, MARK
from sipmote.board.plan import BEGUN, Plan, check_space, folders
from sipmote.board.survey import NEW, TOOLS, Survey, answers
from sipmote.console import Output
from sipmote.errors import ToolError
from sipmote.link.port import open_port
from sipmote.link.repl import Board

_CHUNK = 1024  # octets a script: 1.4 KB of base64, which a small heap can hold three times

_TIDIES_S = 600  # for which a slow flash is silent while littlefs tidies up a folder with fifty files

_BEGIN = """
def put(data):
 data=a2b_base64(data)
 f.write(data)
 h.update(data)
for p in %r:
 try:
  os.mkdir(p)
 except OSError:
  pass
"""
# Each step may have been done by one that was cut.
_SWAP = """
import os
def swap(do,paths):
 for p in paths:
  try:
   do(p)
  except OSError as e:
   if e.errno!=2:
    raise
  print('.',end='')
swap(lambda p:os.rename(p+'.new',p),%r)
swap(os.remove,%r)
"""
_INTERRUPTED = "interrupted; the board starts with what it had, or with all that is new: say it again to complete"
_FINISHES = "# completes a deploy that was cut off\n"
_LAST = """
os.rename('/main.py.new','/main.py')
if not globals().get('by_deploy'):
 import machine
 machine.soft_reset()
"""
_COPY_MAIN = """
with open('/main.py','rb') as f:
 with open('/main.py.new','wb') as g:
  n=f.read(512)
  while n:
   g.write(n)
   n=f.read(512)
"""
_COMMIT = """
os.rename(%r,'/main.py')
by_deploy=True
with open('/main.py') as f:
 swap=f.read()
exec(swap)
"""
_FINISH = """
swap=''
try:
 with open('/main.py') as f:
  if f.read(%d)==%r:
   swap=f.read()
except (OSError,ValueError):
 pass
by_deploy=True
exec(swap)
"""
_MARK = """
with open(%r,'w') as f:
 f.write(%r)
"""
_END = """
if hasattr(os,'sync'):
 os.sync()
"""


@contextlib.contextmanager
def stopped_board(device: str, tell: Callable[[str], None]) -> Iterator[Board]:
    """Stop the board's program, and complete a deploy that was cut off. What ends badly starts the program again.

    tell: called with what a person can do while the program doesn't stop.
    """
    board = Board(open_port(device))
    try:
        board.stop(tell)
        board.run(_FINISH % (len(_FINISHES), _FINISHES), _TIDIES_S)
        yield board
    except BaseException as error:
        if not board.is_given_back:
            if isinstance(error, KeyboardInterrupt):
                tell(_INTERRUPTED)
            board.abandon()
        raise
    finally:
        board.close()


class Transfer:
    """Carries out a plan, or shows it, and tells of each file."""

    def __init__(self, plan: Plan, output: Output, verbose: bool, also: str = "") -> None:
        """verbose: people see each file, too. also: a script for when files take their places; it may run twice."""
        self._also = also
        self._plan = plan
        self._output = output
        self._verbose = verbose

    def show(self) -> None:
        """Say what would be done."""
        self._tell_same()
        for path, data in self._plan.send.items():
            self._tell(path, "send", len(data))
        for path in self._plan.remove:
            self._tell(path, "remove")

    def carry_out(self, board: Board, survey: Survey) -> None:
        """Send what differs, swap it in and take away what is left over."""
        plan = self._plan
        self._tell_same()
        left = [path for path in plan.remove if path.endswith(NEW)]
        stale = [path for path in plan.remove if path not in left]
        if plan.send:
            check_space(plan, survey)
            board.reset()  # what the program had in memory would be in the way
            board.run(TOOLS + _BEGIN % (folders(plan.send),) + _SWAP % ((), left), _TIDIES_S)
            if plan.first and plan.changes_packages:
                board.run(_MARK % (MARK, BEGUN))
        with self._output.progress("sending", plan.octets) as advance:
            for path, data in plan.send.items():
                for octets in _send(board, path + NEW if path in plan.swap else path, data):
                    advance(octets)
                self._tell(path, "sent", len(data))
        self._swap(board, stale if plan.send else plan.remove)
        for path in plan.remove:
            self._tell(path, "removed")

    def _swap(self, board: Board, stale: list[str]) -> None:
        """Have the new files take their places, all of them or none."""
        plan = self._plan
        in_steps = len(plan.swap) + len(stale) + bool(self._also) > 1 and bool(plan.swap)
        others = [path for path in plan.swap if path != "/main.py"] if in_steps else plan.swap
        script = _SWAP % (others, stale) + self._also
        if not plan.is_marked:  # while files change, the mark tells of none
            script = _MARK % (MARK, "") + script + _MARK % (MARK, plan.mark)
        if not in_steps:
            board.run(script + _END, _TIDIES_S)
            return
        if "/main.py" not in plan.swap:
            board.run(_COPY_MAIN)
        for _ in _send(board, FINISHER, (_FINISHES + script + _END + _LAST).encode()):
            pass
        board.run(TOOLS + _END + _COMMIT % FINISHER, _TIDIES_S)

    def end(self, name: str, seconds: float) -> None:
        """Say what it came to. name: "planned" or "deployed"."""
        plan = self._plan
        sent, same, removed = len(plan.send), len(plan.same), len(plan.remove)
        event = {"event": name, "sent": sent, "same": same, "removed": removed, "bytes": plan.octets}
        line = f"{name}: {sent} sent ({plan.octets} octets), {same} same, {removed} removed, {seconds:.1f} s"
        self._output.say({**event, "seconds": round(seconds, 1)}, line)

    def _tell_same(self) -> None:
        for path in self._plan.same:
            self._output.say({"event": "file", "path": path, "action": "same", "bytes": 0})

    def _tell(self, path: str, action: str, octets: int = 0) -> None:
        line = f"{action:7} {path}" + (f" ({octets} octets)" if octets else "")
        is_said = self._verbose or (action.startswith("remove") and path.endswith(".py"))  # a person's, not ours
        self._output.say({"event": "file", "path": path, "action": action, "bytes": octets}, *[line] * is_said)


def _send(board: Board, path: str, data: bytes) -> Iterator[int]:
    """Write one file, yielding octets written; ToolError unless it arrived as it was sent."""
    chunks = [data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK)] or [b""]
    output = ""
    for number, chunk in enumerate(chunks):
        script = f"put({base64.b64encode(chunk)!r})\n"
        if number == 0:
            script = f"f=open({path!r},'wb')\nh=hashlib.sha256()\n" + script
        if number == len(chunks) - 1:
            script += "f.close()\nsay(hexlify(h.digest()).decode())\n"
        output = board.run(script, _TIDIES_S)
        yield len(chunk)
    if answers(output) != [(hashlib.sha256(data).hexdigest(),)]:
        raise ToolError(f"{path} did not arrive as it was sent: check the cable and try again")
