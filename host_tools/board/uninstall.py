"""Taking off a board what deploy and the board's own program have left there.

Packages in ROMFS go first, then the mark of a whole installation. Whatever ends the rest midway, saying it again
completes it.
"""

import hashlib

from sipmote.board.files import FINISHER, FOLDERS, LARGE_PROGRAM, MARK, ROOT_FILES, boot_file
from sipmote.board.romfs import Rom
from sipmote.board.survey import NEW, TOOLS, answers, the_answer
from sipmote.board.transfer import stopped_board
from sipmote.console import Output, complain
from sipmote.errors import ToolError
from sipmote.link.repl import Board

_MAIN, _BOOT = "/main.py", "/boot.py"
_KEPT = ("/clock", "/commands", "/intervals", "/outbox", "/outbox.lost", "/restarts", "/slept")  # which mote writes
_KEYS = "/smime"
_SILENCE_S = 600  # of a slow flash that tidies up

_LOOK = """
def there(p):
 try:
  return os.stat(p)[0]
 except OSError:
  return 0
def walk(p):
 if there(p)&0x4000:
  for e in os.ilistdir(p):
   walk(p+'/'+e[0])
 elif there(p):
  say(p)
for p in %r:
 walk(p)
if there('/boot.py'):
 with open('/boot.py','rb') as f:
  say(hexlify(hashlib.sha256(f.read()).digest()).decode())
else:
 say('')
"""
_REMOVE = """
import os
for p in %r:
 os.remove(p)
def fold(p):
 try:
  for e in os.ilistdir(p):
   fold(p+'/'+e[0])
  os.rmdir(p)
 except OSError:
  pass
for p in %r:
 fold(p)
if hasattr(os,'sync'):
 os.sync()
"""
_HAS_KEYS = """
try:
 say(os.stat('/smime')[0])
except OSError:
 say(0)
"""
_LEFT = """
def walk(p):
 for e in os.ilistdir(p or '/'):
  q=p+'/'+e[0]
  if e[1]&0x4000:
   walk(q)
  elif q.endswith(('.py','.mpy')) and q not in %r:
   say(q)
walk('')
"""


class Uninstalling:
    """Removes what is ours from one board, and tells of each file."""

    def __init__(self, device: str, output: Output) -> None:
        """device: the port's name."""
        self._device = device
        self._output = output

    def carry_out(self, with_program: bool, with_keys: bool) -> None:
        """Remove all of it, with_program the user's main.py as well, and restart the board. Raises ToolError.

        with_keys: the board's own key and those of others, too, which no deploy brings back.
        """
        with stopped_board(self._device, complain) as board:
            removed = self._remove(board, with_program, with_keys)
            board.restart()
        self._output.say({"event": "uninstalled", "removed": removed}, f"uninstalled: {removed} files removed")

    def _remove(self, board: Board, with_program: bool, with_keys: bool) -> int:
        """Return how many files are gone."""
        at_root = [path for path in (*ROOT_FILES, *_KEPT) if path not in (_MAIN, _BOOT)]
        at_root += [path + NEW for path in (*ROOT_FILES, *_KEPT)] + [FINISHER]
        folders = [*FOLDERS, *([_KEYS] if with_keys else ())]
        wanted = [MARK, *at_root, *folders, *((_MAIN, LARGE_PROGRAM) if with_program else ())]
        board.reset()  # what the program had in memory would be in the way
        rom = Rom(board, {}, None)
        if rom.invalidation:
            board.run(rom.invalidation, _SILENCE_S)
            self._output.say({"event": "file", "path": "/rom", "action": "removed"}, "removed /rom")
        found = answers(board.run(TOOLS + _LOOK % (wanted,), _SILENCE_S))
        if not found or not all(isinstance(one, tuple) and len(one) == 1 for one in found):
            raise ToolError("the board's answer came damaged: check the cable and try again")
        *paths, boot = (one[0] for one in found)
        if boot == hashlib.sha256(boot_file()).hexdigest():
            paths.append(_BOOT)
        elif boot:
            self._output.say({"event": "file", "path": _BOOT, "action": "kept"}, "kept    /boot.py, which is not ours")
        board.run(_REMOVE % (paths, folders), _SILENCE_S)
        for path in paths:
            self._output.say({"event": "file", "path": path, "action": "removed"}, f"removed {path}")
        if not with_keys and the_answer(answers(board.run(TOOLS + _HAS_KEYS)), 1)[0]:
            line = f"kept    {_KEYS}, the board's keys (--keys takes them, too)"
            self._output.say({"event": "file", "path": _KEYS, "action": "kept"}, line)
        for (path,) in answers(board.run(TOOLS + _LEFT % ((_MAIN, _BOOT),), _SILENCE_S)):
            line = f"kept    {path}, which may be of a program of yours"
            self._output.say({"event": "file", "path": path, "action": "kept"}, line)
        return len(paths)
