"""`make conformance`: which test covers which row of the requirements, and how it went.

A test names the rows it covers at the beginning of its docstring, "R3428-4.5, R3428-T1.20: ...", a range as
"R3862-1..R3862-4"; a module's docstring speaks for all its tests. not_applicable.toml has the rows that bind nobody
here, each with its reason. Ends with 1 when a test failed, a row has neither test nor reason, or an ID is unknown.
"""

import ast
import re
import subprocess
import sys
import tempfile
import tomllib
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
REQUIREMENTS = ROOT.parent / "shared" / "REQUIREMENTS.md"
_ID = r"R\d+-[A-Z]*\d+(?:[.-]\d+)*"
_NAMED = re.compile(rf"({_ID})(?:\.\.({_ID}))?(?:, |: |$)", re.MULTILINE)


def rows() -> list[str]:
    """Return the IDs of the requirements in their order."""
    return re.findall(rf"^\| ({_ID}) \|", REQUIREMENTS.read_text(), re.MULTILINE)


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
    if not REQUIREMENTS.exists():
        print(f"the requirements are not in {REQUIREMENTS}: clone beside them", file=sys.stderr)
        return 2
    known = rows()
    reasons = tomllib.loads(Path(__file__).with_name("not_applicable.toml").read_text())
    covered = list(coverage(known))
    verdicts = run(sorted({file for _, file, _ in covered}))
    tests: dict[str, list[tuple[str, str]]] = {identifier: [] for identifier in known}
    problems = [f"{file} {test}: no row is called {name}" for name, file, test in covered if name not in tests]
    problems += [f"not_applicable.toml: no row is called {name}" for name in reasons if name not in tests]
    for name, file, test in covered:
        if (file, test) not in tests.setdefault(name, []):
            tests[name].append((file, test))
    print("| ID | test | verdict |\n|---|---|---|")
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
        print(f"| {name} | {where} | {verdict} |")
    print("\n" + ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())))
    print(*problems, sep="\n", end="\n" if problems else "")
    return 1 if problems or {"failed", "not run", "uncovered"} & counts.keys() else 0


if __name__ == "__main__":
    sys.exit(main())
