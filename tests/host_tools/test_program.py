"""A person's program on its way to a board: compiled for a try, and what it imports."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sipmote.board import survey as survey_module
from sipmote.board.program import load_program
from sipmote.board.survey import Survey
from sipmote.errors import ToolError
from tests.host_tools.deploying import NAMES, Deploy, small_packages
from tests.host_tools.virtual import virtual_board


def program(folder: Path, text: str | bytes, **beside: str) -> Path:
    """Write a program and modules beside it."""
    for name, source in beside.items():
        (folder / f"{name}.py").write_text(source)
    path = folder / "boiler.py"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def survey(firmware: tuple[str, ...] = (), at_root: tuple[str, ...] = (), in_lib: tuple[str, ...] = ()) -> Survey:
    return Survey(
        "1.29.0", 6, 4096, 1 << 20, {}, "", frozenset(at_root), frozenset(in_lib), firmware=frozenset(firmware)
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"x = 1\nif True\n    pass\n", "boiler.py:2: SyntaxError: invalid syntax: if True"),
        (b"match 1:\n    case 1:\n        pass\n", "boiler.py:1: SyntaxError"),
        ("x = '\N{DEGREE SIGN}'\n".encode("utf-16"), "boiler.py is not UTF-8 .*: save it as UTF-8"),
    ],
)
def test_what_micropython_does_not_take_is_told_with_its_line(text: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=said):
        load_program(program(tmp_path, text))
    with pytest.raises(ToolError, match=said.replace("boiler", "probe")):
        (tmp_path / "probe.py").write_bytes(text)
        load_program(program(tmp_path, "import probe\n"))


def test_a_byte_order_mark_is_taken_off(tmp_path: Path) -> None:
    assert load_program(program(tmp_path, b"\xef\xbb\xbfx = 1\n")).files == {"/main.py": b"x = 1\n"}


def test_machine_code_of_any_chip_in_a_program_is_no_mistake(tmp_path: Path) -> None:
    for text in (
        "import micropython\n@micropython.native\ndef f(a):\n    return a\n",
        "@micropython.asm_thumb\ndef f(r0):\n    add(r0, r0, r0)\n",
    ):
        assert load_program(program(tmp_path, text)).files == {"/main.py": text.encode()}
        large = text + "#" * 9000
        assert load_program(program(tmp_path, large)).files == {"/main.py": large.encode()}
    with pytest.raises(ToolError, match=r"boiler.py:5: SyntaxError"):
        load_program(program(tmp_path, "@micropython.native\ndef f(a):\n    return a\n\nif True\n"))


def test_modules_beside_a_program_go_with_it_and_those_that_they_import(tmp_path: Path) -> None:
    (tmp_path / "drivers").mkdir()
    (tmp_path / "drivers/__init__.py").write_text("from . import adc\n")
    (tmp_path / "drivers/adc.py").write_text("import units\n")
    path = program(tmp_path, "import probe\nfrom mote import Mote\n", probe="import drivers\n", units="", other="")
    (tmp_path / "mote.py").write_text("# a stand-in for tests on a PC\n")
    assert load_program(path).files.keys() == {
        "/main.py",
        "/probe.py",
        "/drivers/__init__.py",
        "/drivers/adc.py",
        "/units.py",
    }
    (tmp_path / "data").mkdir()
    (tmp_path / "data/limits.csv").write_text("1,2\n")
    more = load_program(path, [tmp_path / "other.py", tmp_path / "data"]).files
    assert more["/data/limits.csv"] == b"1,2\n"
    assert "/other.py" in more


def test_what_nobody_has_is_named_and_what_the_firmware_has_stays_here(tmp_path: Path) -> None:
    text = (
        "import machine, bme280, probe, umqtt.simple, own, network\n"
        "try:\n    import ssd1306\nexcept ImportError:\n    pass\n"
    )
    loaded = load_program(program(tmp_path, text, probe="", machine="# for tests on a PC\n"))
    found = survey(firmware=("machine", "network"), at_root=("/own.py",), in_lib=("/lib/umqtt",))
    assert loaded.wanted(found).keys() == {"/main.py", "/probe.py"}
    first, second = loaded.remarks(found)
    assert "machine beside the program stays here" in first
    assert "imports bme280, which is neither beside it nor on the board" in second
    assert loaded.asked >= {"machine", "bme280", "ssd1306"}
    with_it = load_program(tmp_path / "boiler.py", [tmp_path / "machine.py"])
    assert "/machine.py" in with_it.wanted(found)
    assert [remark for remark in with_it.remarks(found) if "machine" in remark] == []


@pytest.fixture
def run_deploy(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deploy:
    small_packages(tmp_path / "source", monkeypatch)
    return Deploy(capsys)


@pytest.fixture
def board(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    with virtual_board(tmp_path / "flash", "128k") as port:
        yield port, tmp_path / "flash"


def test_a_large_program_goes_as_bytecode_and_runs_as_main(
    board: tuple[str, Path], tmp_path: Path, run_deploy: Deploy
) -> None:
    """Its lines keep their numbers; a small one later takes the bytecode away"""
    port, flash = board
    text = "# a boiler\nimport probe\nprobe.say(__name__)\nraise ValueError(7)\n" + "# words\n" * 1200
    saying = "def say(text):\n    with open('/said', 'w') as file:\n        file.write(text)\n" + "# words\n" * 1200
    actions = run_deploy(port, *NAMES, str(program(tmp_path, text, probe=saying)), code=1)
    assert actions["/main_program.mpy"] == actions["/main.py"] == actions["/probe.mpy"] == "sent"
    assert actions[""] == {"event": "ended", "error": "ValueError: 7 (boiler.py, line 4, in <module>)"}
    assert (flash / "said").read_text() == "__main__"
    small = run_deploy(port, str(program(tmp_path, "import probe\n", probe="X = 1\n")))
    assert small["/main_program.mpy"] == small["/probe.mpy"] == "removed"
    assert sorted(path.name for path in flash.glob("*.*p*")) == ["boot.py", "main.py", "probe.py"]


def test_a_program_that_ends_at_once_is_told_with_its_reason_and_place(
    board: tuple[str, Path], tmp_path: Path, run_deploy: Deploy
) -> None:
    """R0-P13"""
    port, _ = board
    ended = run_deploy(port, *NAMES, str(program(tmp_path, "x = 1\nimport bme280\n")), code=1)
    assert ended[""] == {
        "event": "ended",
        "error": "ImportError: no module named 'bme280' (main.py, line 2, in <module>)",
    }
    assert "imports bme280, which is neither" in run_deploy.said
    assert run_deploy(port, str(program(tmp_path, "print('Traceback (most recent call last):')\n")))[""]["sent"] == 1


def test_files_that_hide_the_packages_or_what_they_import_are_named(
    board: tuple[str, Path], tmp_path: Path, run_deploy: Deploy
) -> None:
    port, flash = board
    (tmp_path / "source/agent/uri.py").write_text("import json\n\n\ndef parse(x):\n    return x\n")
    (flash / "mote.py").write_text("")
    (flash / "agent").mkdir()
    run_deploy(
        port,
        *NAMES,
        "--no-start",
        str(program(tmp_path, "import json\n", json="")),
        "--with",
        str(tmp_path / "json.py"),
    )
    for words in (
        "/mote.py on the board hides the package mote in /lib: mpremote fs rm -r :mote.py",
        "/agent on the board hides the package agent",
        "/json.py on the board hides the firmware's json, which mote needs",
    ):
        assert words in run_deploy.said
    assert json.loads((flash / "mote.json").read_text())["aor"] == "sip:boiler@example.org"


def test_packages_that_the_firmware_has_built_in_are_not_copied(
    board: tuple[str, Path], tmp_path: Path, run_deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder stands in for what is frozen"""
    port, flash = board
    monkeypatch.setattr(
        survey_module,
        "_NAMES",
        survey_module._NAMES.replace("(%r)]", "(('/built_in',%r))]").replace("in path if", "in path+['/built_in'] if"),
    )
    (flash / "built_in/agent").mkdir(parents=True)
    (flash / "built_in/agent/__init__.py").write_text("")
    small = program(tmp_path, "print('hello')\n")
    for _ in range(2):
        actions = run_deploy(port, *NAMES, str(small))
        assert not [path for path in actions if path.startswith("/lib/")]
        assert "the firmware has agent and mote built in: those are used, and none are copied" in run_deploy.said
    assert actions[""]["sent"] == 0


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("print(1)\n")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ToolError, match="pipe is no file and no folder"):
        load_program(tmp_path / "main.py", [tmp_path / "pipe"])
