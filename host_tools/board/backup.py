"""The files of a board saved to a folder, over its raw REPL, whatever else they are."""

import base64
import binascii
import hashlib
import os
from pathlib import Path, PurePosixPath
from typing import Any

from sipmote.board.survey import TOOLS, answers
from sipmote.console import Output
from sipmote.errors import ToolError
from sipmote.link.port import close_port, open_port
from sipmote.link.repl import Board

_LIST = """
def walk(p):
 for e in os.ilistdir(p or '/'):
  q=p+'/'+e[0]
  if e[1]&0x4000:
   walk(q)
  else:
   say(q,e[3] if len(e)>3 else os.stat(q)[6])
walk('')
"""
_READ = """
from binascii import b2a_base64
h=hashlib.sha256()
with open(%r,'rb') as f:
 while True:
  d=f.read(384)
  if not d:
   break
  h.update(d)
  print(b2a_base64(d).decode(),end='')
say(hexlify(h.digest()).decode())
"""


def save_files(device: str, folder: Path, output: Output) -> int:
    """Copy all files of the board at a port into a folder, which must be new or empty; returns how many.

    What is in them may be secret: nobody else can read the copies. The board's program starts anew. Raises ToolError.
    """
    port = open_port(device)
    board = Board(port)
    try:
        _stop(board)
        board.reset()  # what the program had in memory would be in the way
        return _save(board, folder, output)
    except OSError as error:
        raise ToolError(f"can't save to {error.filename or folder}: {error.strerror}") from None
    finally:
        board.abandon()
        close_port(port)


def _stop(board: Board) -> None:
    try:
        board.stop()
    except ToolError as error:
        raise ToolError(f"{error}; without MicroPython there is nothing to save: leave --backup out") from None


def _save(board: Board, folder: Path, output: Output) -> int:
    sizes: dict[str, int] = dict(_pairs(answers(board.run(TOOLS + _LIST))))
    places = {path: _place(folder, path) for path in sizes}
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ToolError(f"{folder} isn't empty: name another folder for --backup")
    with output.progress("saving", sum(sizes.values())) as advance:
        for path, place in places.items():
            data = _read(board, path)
            _write(place, data)
            advance(len(data))
            event = {"event": "file", "path": path, "action": "saved", "bytes": len(data)}
            output.say(event, f"saved   {path} ({len(data)} octets)")
    return len(places)


def _pairs(told: list[Any]) -> list[tuple[Any, Any]]:
    """Return what was told if it is pairs, as it is unless octets got lost."""
    if any(type(pair) is not tuple or list(map(type, pair)) != [str, int] for pair in told):
        raise ToolError("the board's answer came damaged: check the cable and try again")
    return told


def _place(folder: Path, path: str) -> Path:
    """Return where a file is saved; a board's names mustn't lead out of the folder."""
    parts = PurePosixPath(path).parts[1:]
    if not parts or any(part in (".", "..") or set(part) & set("\\:\0") or not part.isprintable() for part in parts):
        raise ToolError(f"the board has a file {path!r}, which can't be saved under that name: rename it there")
    return folder.joinpath(*parts)


def _read(board: Board, path: str) -> bytes:
    """Return what a file on the board holds."""
    output = board.run(TOOLS + _READ % path)
    text, mark, _ = output.rpartition("\n:: ")
    try:
        data = b"".join(base64.b64decode(line, validate=True) for line in text.split())
    except binascii.Error:
        data = b""
    if not mark or answers(output) != [(hashlib.sha256(data).hexdigest(),)]:
        raise ToolError(f"{path} did not arrive as the board has it: check the cable and try again")
    return data


def _write(place: Path, data: bytes) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with open(place, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(data)
