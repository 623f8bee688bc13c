"""`make mutants`, tried on two small functions whose mutants are all known."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants import mutants, sample

_TOOL = Path(__file__).with_name("mutants.py")
_MODULE = """def larger(a: int, b: int) -> int:
    return a if a > b else b

def counted_down(n: int = 0) -> int:
    while n > 0:
        n -= 1
    return n
"""
_TEST = """from %s.thing import counted_down, larger

def test_the_larger_one_is_returned():
    assert larger(1, 2) == 2 and larger(2, 1) == 2

def test_counting_ends():
    assert counted_down(3) == 0
"""
_EQUAL = ("return a if a > b else b", "return a if a >= b else b")
_UNSEEN = ("def counted_down(n: int = 0) -> int:", "def counted_down(n: int = 1) -> int:")
_NOTICED = ("while n > 0:", "while n > 1:")


def _project(folder: Path, package: str = "agent", test: str = _TEST) -> Path:
    for name in ("agent", "tests/agent", "sipmote"):
        (folder / name).mkdir(parents=True)
    (folder / "agent" / "thing.py").write_text(_MODULE)
    (folder / "sipmote" / "__init__.py").write_text(f"__path__ = [{str(folder)!r}]\n")
    (folder / "tests" / "agent" / "test_thing.py").write_text(test % package)
    return folder


def _list(project: Path, *entries: tuple[str, str]) -> None:
    text = "".join(
        f'[[equivalent]]\nfile = "agent/thing.py"\nline = "{line}"\nbecomes = "{becomes}"\nreason = "none"\n'
        for line, becomes in entries
    )
    (project / "tests" / "equivalent_mutants.toml").write_text(text)


def _run(project: Path, *arguments: str) -> tuple[int, list[str]]:
    command = [sys.executable, str(_TOOL), "--root", str(project), "--limit", "0.2", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize("package", ["agent", "sipmote.agent"])
def test_survivors_are_shown_and_whatever_fails_or_hangs_is_counted_as_killed(tmp_path: Path, package: str) -> None:
    code, lines = _run(_project(tmp_path, package))
    assert lines[0:3] == ["agent/thing.py:2", "    - " + _EQUAL[0], "    + " + _EQUAL[1]]
    assert lines[3:6] == ["agent/thing.py:4", "    - " + _UNSEEN[0], "    + " + _UNSEEN[1]]
    totals = "7 mutants, 5 killed (1 of them hung), 0 known as equivalent, 2 survived"
    assert lines[6:] == ["agent: " + totals, "in all: " + totals]
    assert code == 1


def test_the_share_decides_on_the_exit_code(tmp_path: Path) -> None:
    project = _project(tmp_path)
    assert [_run(project, "--share", share)[0] for share in ("0.71", "0.72")] == [0, 1]


def test_known_equivalents_are_neither_shown_nor_held_against_the_tests(tmp_path: Path) -> None:
    project = _project(tmp_path)
    _list(project, _EQUAL, _UNSEEN)
    code, lines = _run(project, "--share", "1")
    assert lines[0] == "agent: 7 mutants, 5 killed (1 of them hung), 2 known as equivalent, 0 survived"
    assert code == 0


def test_entries_that_a_test_refutes_or_that_no_longer_apply_are_named(tmp_path: Path) -> None:
    project = _project(tmp_path)
    _list(project, _NOTICED, ("while n > 9:", "while n > 8:"))
    shown = "\n".join(_run(project, "--count", "100")[1])
    assert "listed as equivalent, but a test notices:\n    + while n > 1:" in shown
    assert "equivalent_mutants.toml has what can't be made any more:\n    - while n > 9:\n    + while n > 8:" in shown


def test_tests_that_fail_without_a_fault_end_it(tmp_path: Path) -> None:
    assert _run(_project(tmp_path, test=_TEST + "    assert '%%s' == 0\n")) == (2, [])


def test_an_edit_changes_the_draw_of_the_lines_that_it_touches_alone(tmp_path: Path) -> None:
    project = _project(tmp_path)
    before = sample(list(mutants(project, "agent/thing.py")), 100, 1)
    (project / "agent" / "thing.py").write_text("A = 1\n" + _MODULE)
    after = sample(list(mutants(project, "agent/thing.py")), 100, 1)
    assert [mutant.key for mutant in before] == [mutant.key for mutant in after if mutant.before != "A = 1"]


def test_another_seed_draws_another_sample() -> None:
    every = list(mutants(_TOOL.parent.parent, "agent/clock.py"))
    assert sample(every, 5, 1) == sample(every, 9, 1)[:5] != sample(every, 5, 2)
