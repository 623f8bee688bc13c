"""What agent and mote call of a board's own modules, held by mypy to the stubs of two ports: `make types` runs it.

Only what is said of those modules counts: our own types are mypy's business in `make types` and in the tests of the
stub. In a copy each `object` of an annotation is an Any, so that what a parameter is called with says nothing.
"""

import ast
import os
import re
import shutil
import sys
from pathlib import Path

from mypy import api

_ROOT = Path(__file__).parent.parent
_STUBS = _ROOT / ".cache" / "stubs"  # one folder a port; make fetches them
_ROOMS = {"agent": _ROOT / "agent", "mote": _ROOT / "micropython" / "mote"}
_CONFIG = """[mypy]
python_version = 3.11
check_untyped_defs = true
strict_optional = false
"""
# Where the stubs are wrong, or one port has what the other lacks: (beginning of the file, part of the message), reason.
KNOWN = {
    ("", 'Module "asyncio" has no attribute "core"'): "the stubs leave it out; each port has it",
    ("", 'module named "asyncio.stream"'): "the stubs leave it out; each port has it",
    ("agent/auth/digest.py", 'Module has no attribute "new"'): "of CPython, where hashlib has no class of that name",
    ("mote/net/tls.py", '"SSLContext" has no attribute "verify_mode"'): "extmod/modtls_mbedtls.c has it",
    ("mote/net/tls.py", '"StreamReader" has no attribute "s"'): "extmod/asyncio/stream.py has it",
    ("mote/net/peer.py", 'Module has no attribute "sockaddr"'): "of the unix port alone, for packed addresses",
    ("mote/net/peer.py", 'Module has no attribute "inet_ntop"'): "of the unix port alone, for packed addresses",
    ("mote/net/lan.py", 'Module has no attribute "WIZNET5K"'): "a Pico W has none; asked where there is no LAN",
    ("mote/net/lan.py", 'No overload variant of "SPI"'): "the stubs want all three pins or none",
}
_LINE = re.compile(r"(?P<path>(?:agent|mote)/\S+?):(?P<line>\d+): error: (?P<text>.*?)  \[(?P<code>[\w-]+)\]$")
_OF_A_MODULE = re.compile(
    r'^Module|^Cannot find implementation|^(?:Un|No ov|Too|Miss|Arg).* (?:of|for) "(\w+)"|^"(\w+)"'
)


def check(stubs: Path) -> tuple[list[str], set[tuple[str, str]]]:
    """Return what mypy has against a port, and the keys of KNOWN that it has met. stubs: the port's folder."""
    tree = _STUBS / ("tree-" + stubs.name)
    shutil.rmtree(tree, ignore_errors=True)
    ours = _copy(tree)
    (tree / "mypy.ini").write_text(_CONFIG + f"mypy_path = {tree}:{stubs}\ncustom_typeshed_dir = {stubs}\n")
    options = ["--config-file", str(tree / "mypy.ini"), "--cache-dir", str(_STUBS / ("cache-" + stubs.name))]
    said, trouble, _ = api.run([*options, "-p", "mote", "-p", "agent"])
    if trouble or "errors prevented further checking" in said:
        raise SystemExit(said + trouble)
    wrong, met = [], set()
    for line in said.splitlines():
        found = _LINE.search(line)
        if not found or not _is_of_a_port(found["text"], ours):
            continue
        known = [key for key in KNOWN if found["path"].startswith(key[0]) and key[1] in found["text"]]
        met.update(known)
        if not known:
            wrong.append(f"{stubs.name}: {found['path']}:{found['line']}: {found['text']}")
    return wrong, met


def _copy(tree: Path) -> set[str]:
    """Copy our rooms, with Any for object; returns the names of our own classes, functions and modules."""
    ours = {"None", "tuple", "list", "dict", *_ROOMS}  # also what only holds what is ours
    for room, home in _ROOMS.items():
        for source in home.rglob("*.py*"):
            if source.suffix not in (".py", ".pyi") or (room == "mote" and source.suffix == ".pyi"):
                continue  # those of mote are what programs see; its code is what is checked here
            text = source.read_text()
            target = tree / room / source.relative_to(home)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(
                re.sub(r"(?<=[:>|\[,] )object\b|(?<=\[)object\b", "Any", text) + "from typing import Any\n"
            )
            kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
            ours |= {source.stem, *(node.name for node in ast.walk(ast.parse(text)) if isinstance(node, kinds))}
    return ours


def _is_of_a_port(text: str, ours: set[str]) -> bool:
    found = _OF_A_MODULE.search(text)
    if not found:
        return False
    name = found[1] or found[2]
    return name is None or name not in ours


def main() -> int:
    """Check each port whose stubs are there; 1 when one has something against us, or KNOWN is out of date."""
    ports = sorted(path for path in _STUBS.glob("port-*") if path.is_dir())
    if not ports:
        print("no stubs of ports: mote was not held to them")
        return 1 if os.environ.get("CI") else 0
    wrong, met = [], set()
    for port in ports:
        found, known = check(port)
        wrong += found
        met |= known
    wrong += [f"KNOWN names what no port says any more: {key}" for key in KNOWN if key not in met]
    print("\n".join(wrong) or f"mote fits {', '.join(port.name.removeprefix('port-') for port in ports)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
