"""The READMEs tell the truth: what they print runs, and what they list is what the code has."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sip_peer import Peer
from tests.vm import DEADLINE_S, ROOT, command

_CORE = ROOT / "agent"


def _text(room: str) -> str:
    return (ROOT / room / "README.md").read_text()


def _blocks(text: str, language: str) -> list[str]:
    """Return the fenced blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def _rows(text: str, head: str) -> list[list[str]]:
    """Return the cells of the table whose first row begins with head."""
    lines = text[text.index("| " + head) :].splitlines()
    rows = [
        line.strip("| ").split(" | ") for line in lines[2 : next(i for i, line in enumerate(lines) if line[:1] != "|")]
    ]
    assert rows, f"no table below {head}"
    return rows


def _quoted(cell: str) -> list[str]:
    return re.findall("`([^`]+)`", cell)


# agent/README.md


@pytest.mark.parametrize("bits", [None, 32, 64])
def test_core_is_driven_by_the_lines_that_its_readme_prints(bits: int | None, tmp_path: Path) -> None:
    """On CPython (None) and on both VMs. The peer answers late, so that the core has to repeat itself."""
    program = _blocks(_text("agent"), "python")[0]
    assert len([line for line in program.splitlines() if line]) <= 26
    with Peer() as peer:
        target = f"sip:desk@127.0.0.1:{peer.port}"
        assert program.count("sip:desk@127.0.0.1") == 1
        (tmp_path / "drive.py").write_text(program.replace("sip:desk@127.0.0.1", target))
        start = f"import sys; sys.path.append({str(ROOT)!r}); sys.path.append({str(tmp_path)!r}); import drive"
        running = subprocess.Popen(
            [*([sys.executable] if bits is None else command(bits)), "-c", start],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=tmp_path,
        )
        peer.receive()
        assert peer.answer(200).body == b"Boiler at 85 C"
        assert running.communicate(timeout=DEADLINE_S)[0] == "delivered 200\n"


def test_door_of_the_core_has_what_its_readme_lists() -> None:
    (door,) = (
        node
        for node in ast.parse((_CORE / "user_agent.py").read_text()).body
        if isinstance(node, ast.ClassDef) and node.name == "UserAgent"
    )
    methods = {
        node.name
        for node in door.body
        if isinstance(node, ast.FunctionDef) and node.name[0] != "_" and not node.decorator_list
    }
    listed = {re.split(r"\(", call)[0] for row in _rows(_text("agent"), "call |") for call in _quoted(row[0])}
    assert listed == methods - {"new_call_id"}


def test_events_have_the_fields_that_the_readme_of_the_core_lists() -> None:
    events = {}
    for path in _CORE.rglob("events.py"):
        for name, fields in re.findall(r'^(\w+) = namedtuple\(\s*"\w+", \((.*?)\)\s*\)', path.read_text(), re.M | re.S):
            events[name] = (path.relative_to(_CORE).as_posix(), re.findall(r'"(\w+)"', fields))
    listed = {}
    for event, place, _ in _rows(_text("agent"), "event |"):
        name, fields = re.fullmatch(r"`(\w+)\((.*)\)`", event).groups()  # type: ignore[union-attr]
        listed[name] = (place, fields.split(", "))
        if listed[name][1][-1] == "...":
            listed[name] = (place, listed[name][1][:-1] + events[name][1][len(listed[name][1]) - 1 :])
    assert listed == events


def test_each_file_of_the_core_is_in_the_table_of_who_loads_it() -> None:
    cells = " ".join(row[0] for row in _rows(_text("agent"), "file | loaded by"))
    named = set(re.findall(r"[a-z_]+/?", cells))
    assert {path.stem for path in _CORE.glob("*.py")} - {"__init__"} <= named
    folders = {path.name for path in _CORE.iterdir() if path.is_dir() and path.name[0] != "_"}
    assert folders <= {name.rstrip("/") for name in named if name[-1] == "/"}
    stems = {path.stem for path in _CORE.rglob("*.py")}
    assert {name for name in named if name[-1] != "/"} <= stems
