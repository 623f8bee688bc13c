"""`make mutants`: puts small faults into the core, one at a time, and shows those that no portable test notices.

A mutant is one change in one place: a comparison turned or moved by one, a number one larger or smaller, and/or/not/
True/False exchanged, None returned, a call left out. Annotations and asserts stay as they are. Each room (a folder of
agent/, or its top level) has its own sample. The seed and each line by itself decide what is drawn, so an edit changes
the draw of the lines that it touches, and no other. Each mutant has a process of its own. It runs the modules of
tests/agent until a test fails, those that name the changed module first.

equivalent_mutants.toml lists mutants that change nothing a test could see: file, line, what it becomes, the reason.
The exit code is 1 when too small a share of all others is killed, 2 when the tests fail without a fault.
"""

import argparse
import ast
import hashlib
import importlib
import os
import re
import resource
import signal
import sys
import tomllib
import traceback
from collections import Counter
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import NamedTuple

SEED = 7
MEMORY = 1 << 30  # octets that a mutant may have before it gets MemoryError
_TURNED = {
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Lt: ("<", "<=", ">="),
    ast.LtE: ("<=", "<", ">"),
    ast.Gt: (">", ">=", "<="),
    ast.GtE: (">=", ">", "<"),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}
_PLAIN = (ast.Name, ast.Attribute, ast.Call, ast.Subscript)  # what `not` can stand before without parentheses


class Mutant(NamedTuple):
    """source[start:end] becomes new."""

    file: str  # relative to the root, as is the name of a room
    start: int
    end: int
    new: bytes
    line: int
    before: str  # the lines it touches, without indentation
    after: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What equivalent_mutants.toml says of it."""
        return self.file, self.before, self.after


def _nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what may be changed."""
    yield node
    for name, value in ast.iter_fields(node):
        if name not in ("annotation", "returns"):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and not isinstance(child, ast.Assert):
                    yield from _nodes(child)


def changes(source: bytes) -> Iterator[tuple[int, int, str]]:
    """Yield (start, end, new) for each change of a module."""
    begins = [0, *(match.end() for match in re.finditer(b"\n", source))]

    def start(node: ast.expr | ast.stmt) -> int:
        return begins[node.lineno - 1] + node.col_offset

    def end(node: ast.expr | ast.stmt) -> int:
        return begins[node.end_lineno - 1] + node.end_col_offset

    def between(left: ast.expr, right: ast.expr, old: str, *new: str) -> Iterator[tuple[int, int, str]]:
        at = source.index(old.encode(), end(left), start(right))
        for text in new:
            yield at, at + len(old), text

    for node in _nodes(ast.parse(source)):
        conditions: list[ast.expr] = []
        if isinstance(node, ast.Compare):
            for left, operator, right in zip([node.left, *node.comparators], node.ops, node.comparators, strict=False):
                yield from between(left, right, *_TURNED[type(operator)])
        elif isinstance(node, ast.BoolOp):
            words = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
            for left, right in zip(node.values, node.values[1:], strict=False):
                yield from between(left, right, *words)
            conditions = node.values
        elif isinstance(node, ast.If | ast.While | ast.IfExp):
            conditions = [node.test]
        elif isinstance(node, ast.comprehension):
            conditions = node.ifs
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield start(node), start(node) + len("not "), ""
        elif isinstance(node, ast.Constant) and type(node.value) is bool:
            yield start(node), end(node), str(not node.value)
        elif isinstance(node, ast.Constant) and type(node.value) is int:
            yield start(node), end(node), str(node.value + 1)
            if node.value > 0:
                yield start(node), end(node), str(node.value - 1)
        elif isinstance(node, ast.Return) and node.value and ast.unparse(node.value) not in ("None", "True", "False"):
            yield start(node.value), end(node.value), "None"
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield start(node), end(node), "pass"
        for condition in conditions:
            if isinstance(condition, _PLAIN):
                yield start(condition), start(condition), "not "


def _text(lines: bytes) -> str:
    return " ".join(line.strip() for line in lines.decode().splitlines())


def mutants(root: Path, file: str) -> Iterator[Mutant]:
    """Yield every mutant of a file."""
    source = (root / file).read_bytes()
    for start, end, text in changes(source):
        first = source.rfind(b"\n", 0, start) + 1
        last = source.index(b"\n", end)
        new = text.encode()
        after = _text(source[first:start] + new + source[end:last])
        yield Mutant(file, start, end, new, source.count(b"\n", 0, start) + 1, _text(source[first:last]), after)


def sample(every: list[Mutant], count: int, seed: int) -> list[Mutant]:
    """Return count of these mutants, no two at one place: the same ones for the same seed and the same lines."""
    twins: Counter[tuple[str, str, str]] = Counter()  # a line may stand in a file more than once
    ranked = []
    for mutant in every:
        twins[mutant.key] += 1
        ranked.append((hashlib.sha256(repr((seed, *mutant.key, twins[mutant.key])).encode()).digest(), mutant))
    chosen: dict[tuple[str, int], Mutant] = {}
    for _, mutant in sorted(ranked):
        chosen.setdefault((mutant.file, mutant.start), mutant)
    return list(chosen.values())[:count]


def ordered_tests(root: Path, file: str) -> list[str]:
    """Return the names of the test modules: those that name this module first, then its room."""
    name = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    room = name.rpartition(".")[0] if name.count(".") > 1 else name

    def rank(path: Path) -> int:
        text = path.read_text()
        return (
            0 if re.search(rf"\b{re.escape(name)}\b", text) else 1 if re.search(rf"\b{re.escape(room)}\b", text) else 2
        )

    paths = sorted((root / "tests" / "agent").glob("test_*.py"))
    return [f"tests.agent.{path.stem}" for path in sorted(paths, key=rank)]


def run_tests(names: list[str], limit: float) -> None:
    """Run test modules until one raises. Whatever needs more than limit seconds of CPU time ends the process."""
    for name in names:
        signal.setitimer(signal.ITIMER_PROF, limit)
        for test, function in list(vars(importlib.import_module(name)).items()):
            if test.startswith("test_"):
                signal.setitimer(signal.ITIMER_PROF, limit)
                function()


def _in_child(root: Path, mutant: Mutant | None, limit: float) -> int:
    """Run the tests against a mutant (None: against what there is); returns 0 when they pass."""
    sys.path[0] = str(root)  # in place of this file's folder: it has an `agent`, too
    get_code = SourceFileLoader.get_code
    if mutant:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        file = os.path.realpath(root / mutant.file)
        source = Path(file).read_bytes()
        source = source[: mutant.start] + mutant.new + source[mutant.end :]

        def get_faulty_code(loader: SourceFileLoader, name: str) -> object:
            if os.path.realpath(loader.path) == file:  # by whatever name: agent.x or sipmote.agent.x
                return compile(source, file, "exec", dont_inherit=True)
            return get_code(loader, name)

        SourceFileLoader.get_code = get_faulty_code  # type: ignore
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(null, descriptor)
    try:
        run_tests(ordered_tests(root, mutant.file if mutant else ""), limit)
    except BaseException:  # SystemExit, too
        traceback.print_exc()
        return 1
    return 0


def judge(root: Path, todo: list[Mutant | None], limit: float, jobs: int) -> dict[Mutant | None, str]:
    """Return what became of each mutant: killed, hung or survived."""
    waiting = todo[::-1]
    running: dict[int, Mutant | None] = {}
    verdicts = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant = waiting.pop()
            process = os.fork()
            if process == 0:
                os._exit(_in_child(root, mutant, limit))
            running[process] = mutant
        process, status = os.wait()
        hung = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF
        verdicts[running.pop(process)] = "hung" if hung else "killed" if status else "survived"
    return verdicts


def _files(root: Path, room: str) -> list[str]:
    paths = [root / room] if room.endswith(".py") else sorted((root / room).glob("*.py"))
    if not all(path.exists() for path in paths) or not paths:
        sys.exit(f"{room}: no such room or file")
    return [str(path.relative_to(root)) for path in paths]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Which small faults in the core does no portable test notice?")
    parser.add_argument("--rooms", nargs="+", metavar="ROOM", help="folders or files, e.g. agent/cms agent/uri.py")
    parser.add_argument("--count", type=int, default=70, help="mutants a room (70)")
    parser.add_argument("--seed", type=int, default=SEED, help=f"another sample ({SEED})")
    parser.add_argument("--share", type=float, default=0.95, help="end with 1 when fewer are killed (0.95)")
    parser.add_argument("--limit", type=float, default=5, help="seconds of CPU time that one test may take (5)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="mutants at a time (one a CPU)")
    parser.add_argument("--root", type=Path, default=Path(__file__).parent.parent, help="has agent/ and tests/agent/")
    return parser.parse_args()


def _show(room: str, verdicts: dict[Mutant | None, str], equivalent: set[tuple[str, str, str]]) -> Counter[str]:
    """Print what a person has to look at and the room's totals; returns them."""
    totals: Counter[str] = Counter()
    for mutant, verdict in verdicts.items():
        assert mutant
        listed = mutant.key in equivalent
        totals["equivalent" if listed and verdict == "survived" else verdict] += 1
        if verdict == "survived" and not listed:
            print(f"{mutant.file}:{mutant.line}\n    - {mutant.before}\n    + {mutant.after}")
        elif listed and verdict != "survived":
            print(f"{mutant.file}:{mutant.line} is listed as equivalent, but a test notices:\n    + {mutant.after}")
    print(f"{room}: {_sentence(totals)}", flush=True)
    return totals


def _sentence(totals: Counter[str]) -> str:
    noticed = totals["killed"] + totals["hung"]
    return (
        f"{totals.total()} mutants, {noticed} killed ({totals['hung']} of them hung), "
        f"{totals['equivalent']} known as equivalent, {totals['survived']} survived"
    )


def main() -> int:
    """Print survivors and totals; returns the exit code."""
    options = _options()
    root = options.root.resolve()
    listed = root / "tests" / "equivalent_mutants.toml"
    entries = tomllib.loads(listed.read_text())["equivalent"] if listed.exists() else []
    equivalent = {(entry["file"], entry["line"], entry["becomes"]) for entry in entries}
    if judge(root, [None], 60, 1)[None] != "survived":
        print("the tests fail without a fault", file=sys.stderr)
        return 2
    totals: Counter[str] = Counter()
    gone = {key for key in equivalent if not (root / key[0]).exists()}
    for room in options.rooms or sorted({str(path.parent.relative_to(root)) for path in root.glob("agent/**/*.py")}):
        files = _files(root, room)
        every = [mutant for file in files for mutant in mutants(root, file)]
        gone |= {key for key in equivalent if key[0] in files} - {mutant.key for mutant in every}
        chosen = sample(every, options.count, options.seed)
        totals += _show(room, judge(root, list(chosen), options.limit, options.jobs), equivalent)
    for file, line, becomes in sorted(gone):
        print(f"{file}: equivalent_mutants.toml has what can't be made any more:\n    - {line}\n    + {becomes}")
    print(f"in all: {_sentence(totals)}")
    noticed = totals["killed"] + totals["hung"]
    return 0 if noticed >= options.share * (noticed + totals["survived"]) else 1


if __name__ == "__main__":
    sys.exit(main())
