"""The stub that editors read, micropython/mote/__init__.pyi: it agrees with the code, and mypy with the examples."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.vm import ROOT

_MOTE = ROOT / "micropython" / "mote"
_EXAMPLES = ROOT / "micropython" / "examples"


def _mypy(*arguments: str) -> str:
    """Return what mypy says of a program that has the stubs on its path."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--config-file=",
            "--check-untyped-defs",
            "--ignore-missing-imports",
            *arguments,
        ],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": str(ROOT / "micropython")},
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr


def test_examples_are_well_typed(tmp_path: Path) -> None:
    files = [str(path) for path in sorted(_EXAMPLES.glob("*.py"))]
    assert _mypy("--cache-dir", str(tmp_path), *files) == f"Success: no issues found in {len(files)} source files\n"


_WRONG = {
    "mote.alert(81)": "arg-type",
    "mote.alert('hot', 'desk')": "arg-type",
    "mote.alerts('hot')": "attr-defined",
    "mote.log('info', 'x')": "arg-type",
    "mote.every(lambda: None)": "arg-type",
    "mote.every(1)(lambda message: None)": "type-var",
    "mote.command('x')(lambda: None)": "type-var",
    "mote.alert('hot').outcome == 'lost'": "comparison-overlap",
}


def test_wrong_uses_are_found(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("\n".join(["from mote import Mote", "mote = Mote()", *_WRONG]))
    said = _mypy("--cache-dir", str(tmp_path / "cache"), "--strict-equality", str(program)).splitlines()
    found = {int(line.split(":")[1]): line.split()[-1] for line in said if ": error: " in line}
    assert found == {number: f"[{code}]" for number, code in enumerate(_WRONG.values(), 3)}, "\n".join(said)


def _classes(path: Path) -> dict[str, ast.ClassDef]:
    return {node.name: node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)}


def _functions(node: ast.ClassDef) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    return {each.name: each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}


def _has_attribute(node: ast.ClassDef, name: str) -> bool:
    """Is self.NAME set in this class, or NAME in its body?"""
    return any(
        (isinstance(each, ast.Attribute) and each.attr == name and isinstance(each.ctx, ast.Store))
        or (isinstance(each, ast.Name) and each.id == name and isinstance(each.ctx, ast.Store))
        for each in ast.walk(node)
    )


_STUB = _classes(_MOTE / "__init__.pyi")


@pytest.mark.parametrize("name", _STUB)
def test_stub_names_what_the_code_has(name: str) -> None:
    """Each class with its functions, their arguments and defaults, and its attributes."""
    code = next(found[name] for path in sorted(_MOTE.glob("*.py")) if name in (found := _classes(path)))
    stub = _STUB[name]
    for function in _functions(stub).values():
        if function.name == "__await__":  # MicroPython awaits what can be iterated over
            assert {"__iter__", "__await__"} & set(_functions(code)), "it can't be awaited"
            continue
        ours = _functions(code)[function.name]
        assert type(ours) is type(function), f"{function.name}: async in one of the two"
        assert [each.arg for each in ours.args.args] == [each.arg for each in function.args.args]
        assert list(map(ast.dump, ours.args.defaults)) == list(map(ast.dump, function.args.defaults))
    for each in stub.body:
        if isinstance(each, ast.AnnAssign):
            assert isinstance(each.target, ast.Name) and _has_attribute(code, each.target.id), ast.unparse(each)


def test_levels_are_those_of_the_log() -> None:
    stub, code = (
        dict(re.findall(r"^([A-Z]+)(?:: Final)? = (\d)$", (_MOTE / name).read_text(), re.MULTILINE))
        for name in ("log.pyi", "log.py")
    )
    assert stub == code == {"DEBUG": "0", "INFO": "1", "WARNING": "2", "ERROR": "3"}
