"""Which file of the core and of mote loads which, read from their imports, without running anything."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from sipmote.files import rooms

_HOMES = {"agent": rooms() / "agent", "mote": rooms() / "micropython" / "mote"}


class Load(NamedTuple):
    """One file loads another."""

    name: str  # of the module that is loaded
    later: bool  # by a function, when it is called; else with the file that names it


@cache
def files() -> dict[str, Path]:
    """Return module -> its path in the repository, e.g. agent.uas -> agent/uas/__init__.py."""
    found = {}
    for room, home in _HOMES.items():
        for path in sorted(home.rglob("*.py")):
            parts = path.relative_to(home).with_suffix("").parts
            found[".".join((room, *parts)).removesuffix(".__init__")] = path.relative_to(rooms())
    return found


def short(name: str) -> str:
    """Return how tables name a module's file: uas/ for agent.uas, uas/checks for agent.uas.checks, mote/log."""
    path = files()[name].with_suffix("").as_posix()
    return path.removeprefix("micropython/").removeprefix("agent/").removesuffix("__init__") or "agent/"


@cache
def loads(name: str) -> tuple[Load, ...]:
    """Return what a module loads of agent and mote; `const` isn't loaded: the compiler folds it."""
    path = files()[name]
    found: dict[str, bool] = {}
    for node, later in _nodes(ast.parse((rooms() / path).read_text()), False):
        for target in _targets(node, name if path.stem == "__init__" else name.rpartition(".")[0]):
            found[target] = later and found.get(target, True)
    return tuple(Load(target, later) for target, later in found.items() if target != name)


def loaded_by(name: str) -> list[Load]:
    """Return the modules that load this one."""
    return [Load(who, load.later) for who in files() for load in loads(who) if load.name == name]


def in_order(names: Iterable[str]) -> list[str]:
    """Return modules so that each comes after those that it loads as it is loaded itself."""
    ordered: dict[str, None] = {}

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in ordered or name in above:
            return
        for load in loads(name):
            if not load.later:
                visit(load.name, (*above, name))
        ordered[name] = None

    for name in names:
        visit(name, ())
    return list(ordered)


def _nodes(node: ast.AST, later: bool) -> Iterator[tuple[ast.AST, bool]]:
    yield node, later
    later = later or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    for child in ast.iter_child_nodes(node):
        yield from _nodes(child, later)


def _targets(node: ast.AST, package: str) -> Iterator[str]:
    names: list[str] = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "__import__":
        names = [argument.value for argument in node.args[:1] if isinstance(argument, ast.Constant)]
    elif isinstance(node, ast.ImportFrom) and [alias.name for alias in node.names] != ["const"]:
        parts = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        module = ".".join([*parts, *(node.module or "").split(".")]).strip(".")
        names = [f"{module}.{alias.name}" if f"{module}.{alias.name}" in files() else module for alias in node.names]
    yield from (name for name in names if name in files())
