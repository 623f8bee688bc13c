"""tests/README.md and `make help` say what there is."""

import re
import subprocess

from tests.vm import ROOT

_README = (ROOT / "tests" / "README.md").read_text()
_MAKEFILE = (ROOT / "Makefile").read_text()


def _targets() -> list[str]:
    return [name for line in re.findall(r"^\.PHONY: (.*)$", _MAKEFILE, re.MULTILINE) for name in line.split()]


def test_make_help_has_a_line_for_each_target() -> None:
    done = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = [re.fullmatch(r"make (\S+) +(\S.*)", line) for line in done.stdout.splitlines()]
    assert sorted(match[1] for match in lines if match) == sorted(_targets())
    assert all(lines)


def test_readme_names_what_exists() -> None:
    for path in re.findall(r"\btests/[\w/.]+\w", _README):
        assert (ROOT / path).exists(), path
    assert set(re.findall(r"`make ([a-z-]+)", _README)) <= set(_targets())
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/*.py")}
    assert {folder for folder in folders if f"`{folder}/`" not in _README} == set()


def test_example_of_the_readme_is_a_portable_test() -> None:
    example = re.findall(r"```python\n(def test_.*?)```", _README, re.DOTALL)
    tests = "\n".join(path.read_text() for path in (ROOT / "tests" / "agent").glob("test_*.py"))
    assert len(example) == 1
    assert example[0] in tests
