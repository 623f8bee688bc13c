"""`make conformance`: which test covers which rule of rules.toml, and how it went.

A test names the rules it covers at the beginning of its docstring, "R3428-4.5, R3428-T1.20: ...", a range as
"R3862-1..R3862-4"; a module's docstring speaks for all its tests. Ends with 1 when a test failed or was not run, a test
names a rule that there is not, or a rule and its tests disagree: a rule that is neither planned nor not_applicable has
a test, and one that is has none. A rule that is planned is counted as "to come" and fails nothing.
"""

import ast
import re
import subprocess
import sys
import tempfile
import tomllib
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
ID = r"R\d+-[A-Z]*\d+(?:[.-]\d+)*"
_NAMED = re.compile(rf"({ID})(?:\.\.({ID}))?(?:, |: |$)", re.MULTILINE)

_WORST_FIRST = ["failed", "not run", "passed", "skipped"]  # of a rule's tests, those that were not skipped count

Test = tuple[str, str]  # file, relative to ROOT, and function


def sections() -> dict[str, dict[str, dict[str, Any]]]:
    """Return rules.toml: section -> ID -> the rule's keys."""
    return tomllib.loads(Path(__file__).with_name("rules.toml").read_text())


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


def docstrings() -> Iterator[tuple[Test, str, str]]:
    """Yield ((file, test), the module's docstring, the test's own) for each test that there is."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        module = ast.parse(path.read_text())
        of_all = ast.get_docstring(module) or ""
        for node in module.body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield (str(path.relative_to(ROOT)), node.name), of_all, ast.get_docstring(node) or ""


def coverage(known: list[str]) -> dict[str, list[Test]]:
    """Return the tests of each ID that a test names, IDs that are not known included."""
    tests: dict[str, list[Test]] = {}
    for test, of_all, own in docstrings():
        for identifier in dict.fromkeys(named(of_all, known) + named(own, known)):
            tests.setdefault(identifier, []).append(test)
    return tests


def run(files: list[str]) -> dict[Test, str]:
    """Run test files and the portable ones on MicroPython; return passed, failed or skipped by (file, test)."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "--junit-xml", str(report), "tests/test_on_vm.py", *files]
        subprocess.run(command, cwd=ROOT, stdout=sys.stderr)
        cases = list(ElementTree.parse(report).iter("testcase"))
    verdicts: dict[Test, str] = {}
    for case in cases:
        file = case.get("classname", "").replace(".", "/") + ".py"
        name, _, parameters = case.get("name", "").partition("[")
        on_vm = file == "tests/test_on_vm.py"
        key = (f"tests/agent/{parameters.split('-')[0]}.py", "") if on_vm else (file, name)
        kinds = {child.tag for child in case}
        verdict = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        verdicts[key] = min(verdict, verdicts.get(key, verdict), key=["failed", "skipped", "passed"].index)
    return verdicts


def judge(rule: dict[str, Any], tests: list[Test], verdicts: dict[Test, str]) -> tuple[str, str]:
    """Return a rule's verdict and the cell beside it: its first tests, or why it has none."""
    if not tests:
        if "not_applicable" in rule:
            return "not applicable", rule["not_applicable"]
        return ("to come" if "planned" in rule else "uncovered"), ""
    how = [verdicts.get(test, "not run") for test in tests]
    how += [verdicts[file, ""] for file, _ in tests if (file, "") in verdicts]  # the file on MicroPython
    where = ", ".join(f"{Path(file).stem}: {test[5:].replace('_', ' ')}" for file, test in tests[:3])
    more = f" and {len(tests) - 3} more" if len(tests) > 3 else ""
    return min(how, key=_WORST_FIRST.index), where + more


def problems(rules: dict[str, dict[str, Any]], tests: dict[str, list[Test]]) -> Iterator[str]:
    """Yield a line for each ID where rules.toml and the tests disagree."""
    for identifier, of_it in tests.items():
        if identifier not in rules:
            yield f"{' '.join(of_it[0])}: no rule is called {identifier}"
    for identifier, rule in rules.items():
        excused = [word for word in ("planned", "not_applicable") if word in rule]
        if identifier in tests and excused:
            yield f"{identifier} has a test: take {excused[0]} out of rules.toml"
        elif identifier not in tests and not excused:
            yield f"{identifier} ({rule['level']}) has no test, and rules.toml doesn't say why"


def main() -> int:
    """Print the table; returns the exit code."""
    rules = {identifier: rule for section in sections().values() for identifier, rule in section.items()}
    tests = coverage(list(rules))
    verdicts = run(sorted({file for of_it in tests.values() for file, _ in of_it}))
    counts: Counter[str] = Counter()
    print("| ID | level | test | verdict |\n|---|---|---|---|")
    for identifier, rule in rules.items():
        verdict, cell = judge(rule, tests.get(identifier, []), verdicts)
        counts[verdict] += 1
        print(f"| {identifier} | {rule['level']} | {cell} | {verdict} |")
    to_come = counts.pop("to come", 0)
    print("\n" + ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())) + f"; {to_come} to come")
    wrong = list(problems(rules, tests))
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return 1 if wrong or counts.keys() & {"failed", "not run"} else 0


if __name__ == "__main__":
    sys.exit(main())
