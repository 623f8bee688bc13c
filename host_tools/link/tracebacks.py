"""Where a traceback of a board leads to: deployed modules have no line numbers, so the line of the function's def.

It is that of the sources that this sipmote deploys. A program of the user's has its own lines and is left alone.
"""

import ast
import functools
import os
import re
from pathlib import Path

from sipmote.files import rooms

_MODULE = r"((?:agent|mote)(?:\.\w+)*)"
_FUNCTION = r"(<?\w+>?)"
_FRAME = re.compile(rf'File "{_MODULE}", line 1, in {_FUNCTION}')  # of the console
_PLACE = re.compile(rf"(?<![\w./]){_MODULE} {_FUNCTION}(?=,|$)")  # of a record's field "at"


def located(text: str) -> str:
    """Return a line of a traceback, or a record's field "at", with the files and lines of our own modules."""
    return _PLACE.sub(_as_place, _FRAME.sub(_as_frame, text)) if "mote" in text or "agent" in text else text


def sources(text: str) -> list[str]:
    """Return the places that located() would name, as "file:line"."""
    found = [*_FRAME.findall(text), *_PLACE.findall(text)] if "mote" in text or "agent" in text else []
    return [f"{place[0]}:{line}" for module, name in found if (place := _place(module, name)) for line in place[1]]


def _as_frame(found: re.Match[str]) -> str:
    place = _place(found[1], found[2])
    if place is None:
        return found[0]
    return f'File "{place[0]}", line {" or ".join(map(str, place[1]))} (its def), in {found[2]}'


def _as_place(found: re.Match[str]) -> str:
    place = _place(found[1], found[2])
    return found[0] if place is None else f"{place[0]}:{' or '.join(map(str, place[1]))} {found[2]}"


def _place(module: str, name: str) -> tuple[str, list[int]] | None:
    """Return the file and the lines where functions of this name are, None where there is none."""
    path = _path(module)
    lines = _functions(path).get(name) if path else None
    if path is None or not lines:
        return None
    return (os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)), lines


@functools.cache
def _path(module: str) -> Path | None:
    room, *inside = module.split(".")
    home = rooms() / ("micropython" if room == "mote" else "") / room
    for path in (home.joinpath(*inside).with_suffix(".py") if inside else home, home.joinpath(*inside) / "__init__.py"):
        if path.is_file():
            return path
    return None


@functools.cache
def _functions(path: Path) -> dict[str, list[int]]:
    """Return name -> lines of all functions of a file; of the file itself, too."""
    found: dict[str, list[int]] = {"<module>": [1]}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.setdefault(node.name, []).append(node.lineno)
        elif isinstance(node, ast.Lambda):
            found.setdefault("<lambda>", []).append(node.lineno)
    return {name: sorted(lines) for name, lines in found.items()}
