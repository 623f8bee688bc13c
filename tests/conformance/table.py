"""`make conformance`: which test covers which row of the requirements, and how it went.

A test names the rows it covers at the beginning of its docstring, "R3428-4.5, R3428-T1.20: ...", a range as
"R3862-1..R3862-4"; a module's docstring speaks for all its tests. not_applicable.toml has the rows that bind nobody
here, each with its reason. Ends with 1 when a test failed, a row has neither test nor reason, or an ID is unknown.
"""

import ast
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PLACES = [ROOT.parent / "shared", *(Path(place) for place in [os.environ.get("SHARED")] if place)]
_ID = r"R\d+-[A-Z]*\d+(?:[.-]\d+)*"
_NAMED = re.compile(rf"({_ID})(?:\.\.({_ID}))?(?:, |: |$)", re.MULTILINE)


def rows(text: str) -> dict[str, str]:
    """Return the requirements in their order: ID -> level or code, "" where a table has neither."""
    found: dict[str, str] = {}
    columns: list[str] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("| ") else []
        if cells[:1] == ["ID"]:
            columns = cells
        elif cells and re.fullmatch(_ID, cells[0]):
            found[cells[0]] = next((cells[columns.index(name)] for name in ("Level", "code") if name in columns), "")
    return found


def named(docstring: str | None, known: list[str]) -> list[str]:
    """Return the IDs at the beginning of a docstring, ranges written out."""
    text = docstring or ""
    found: list[str] = []
    at = 0
    while match := _NAMED.match(text, at):
        first, last = match.groups()
        found += known[known.index(first) : known.index(last) + 1] if last in known and first in known else [first]
        at = match.end()
    return found


def coverage(known: list[str]) -> Iterator[tuple[str, str, str]]:
    """Yield (ID, file, test) for each row that a test says it covers."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        module = ast.parse(path.read_text())
        of_all = named(ast.get_docstring(module), known)
        for node in module.body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for identifier in of_all + named(ast.get_docstring(node), known):
                    yield identifier, str(path.relative_to(ROOT)), node.name


def run(files: list[str]) -> dict[tuple[str, str], str]:
    """Run test files and the portable ones on MicroPython; return passed, failed or skipped by (file, test)."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "--junit-xml", str(report), "tests/test_on_vm.py", *files]
        subprocess.run(command, cwd=ROOT, stdout=sys.stderr)
        cases = list(ElementTree.parse(report).iter("testcase"))
    verdicts: dict[tuple[str, str], str] = {}
    for case in cases:
        file = case.get("classname", "").replace(".", "/") + ".py"
        name, _, parameters = case.get("name", "").partition("[")
        on_vm = file == "tests/test_on_vm.py"
        key = (f"tests/agent/{parameters.split('-')[0]}.py", "") if on_vm else (file, name)
        kinds = {child.tag for child in case}
        verdict = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        verdicts[key] = min(verdict, verdicts.get(key, verdict), key=["failed", "skipped", "passed"].index)
    return verdicts


def main() -> int:
    """Print the table; returns the exit code."""
    requirements = next((place / "REQUIREMENTS.md" for place in PLACES if (place / "REQUIREMENTS.md").exists()), None)
    if requirements is None:
        print("REQUIREMENTS.md is neither in ../shared nor in $SHARED: set SHARED to its folder", file=sys.stderr)
        return 2
    levels = rows(requirements.read_text())
    known = list(levels)
    reasons = tomllib.loads(Path(__file__).with_name("not_applicable.toml").read_text())
    covered = list(coverage(known))
    verdicts = run(sorted({file for _, file, _ in covered}))
    tests: dict[str, list[tuple[str, str]]] = {identifier: [] for identifier in known}
    problems = [f"{file} {test}: no row is called {name}" for name, file, test in covered if name not in tests]
    problems += [f"not_applicable.toml: no row is called {name}" for name in reasons if name not in tests]
    for name, file, test in covered:
        if (file, test) not in tests.setdefault(name, []):
            tests[name].append((file, test))
    problems += [f"not_applicable.toml: {name} has a test" for name in reasons if tests.get(name)]
    print("| ID | level | test | verdict |\n|---|---|---|---|")
    counts: dict[str, int] = {}
    for name in known:
        how = [min(verdicts.get(key, "not run"), verdicts.get((key[0], ""), "passed")) for key in tests[name]]
        if how:
            verdict = next((word for word in ("failed", "not run", "skipped") if word in how), "passed")
            where = ", ".join(f"{Path(file).stem}: {test[5:].replace('_', ' ')}" for file, test in tests[name][:3])
            more = len(tests[name]) - 3
            where += f" and {more} more" if more > 0 else ""
        else:
            verdict, where = ("not applicable", reasons[name]) if name in reasons else ("uncovered", "")
        counts[verdict] = counts.get(verdict, 0) + 1
        print(f"| {name} | {levels[name]} | {where} | {verdict} |")
    print("\n" + ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())))
    for name in known:
        if not tests[name] and name not in reasons:
            problems.append(f"{name} ({levels[name]}) has neither a test nor a reason in not_applicable.toml")
    print(*problems, sep="\n", end="\n" if problems else "")
    return 1 if problems or {"failed", "not run"} & counts.keys() else 0


if __name__ == "__main__":
    sys.exit(main())
