"""Putting a plan into effect over the raw REPL.

The new files go beside the old ones under names ending in .new, each is checked by its SHA-256 as it is written, and
one short script then renames them all: a cable pulled before that leaves what ran before, and the next deploy
completes. On a board that never had our packages, only what lies at the root is renamed: littlefs renames a file in
a large folder more slowly than it writes one.
"""

import base64
import contextlib
import hashlib
from collections.abc import Iterator

from sipmote.board.files import MARK
from sipmote.board.plan import BEGUN, Plan, check_space, folders
from sipmote.board.survey import NEW, TOOLS, Survey, answers
from sipmote.console import Output, complain
from sipmote.errors import ToolError
from sipmote.link.port import close_port, open_port
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
_SWAP = """
for p in %r:
 os.rename(p+'.new',p)
 print('.',end='')
for p in %r:
 os.remove(p)
 print('.',end='')
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
def stopped_board(device: str, start: bool) -> Iterator[Board]:
    """Stop the board's program; start it again in the end, however that comes."""
    port = open_port(device)
    board = Board(port)
    try:
        board.stop()
        yield board
        if start:
            board.restart()
        else:
            board.leave()
    except KeyboardInterrupt:
        complain("interrupted; the board keeps what it had, deploy again to complete")
        board.abandon()
        raise
    except ToolError:
        board.abandon()
        raise
    finally:
        close_port(port)


class Transfer:
    """Carries out a plan, or shows it, and tells of each file."""

    def __init__(self, plan: Plan, output: Output) -> None:
        self._plan = plan
        self._output = output

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
        swap = _SWAP % (plan.swap, stale if plan.send else plan.remove)
        if not plan.is_marked:  # while files change, the mark tells of none
            swap = _MARK % (MARK, "") + swap + _MARK % (MARK, plan.mark)
        board.run("import os" + swap + _END, _TIDIES_S)
        for path in plan.remove:
            self._tell(path, "removed")

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
        self._output.say({"event": "file", "path": path, "action": action, "bytes": octets}, line)


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
