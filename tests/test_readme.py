"""The READMEs tell the truth: what they print runs, and what they list is what the code has."""

import argparse
import ast
import contextlib
import dataclasses
import importlib
import os
import re
import shlex
import socket
import subprocess
import sys
import textwrap
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from sipmote.__main__ import _COMMANDS
from sipmote.board.config import _CHECKS as CHECKS
from sipmote.board.profiles import Profile, profiles
from sipmote.board.schema import KEYS, manual
from tests.demo.main_job import BOILER
from tests.sip_peer import Peer
from tests.terminals import Terminal, own_network
from tests.vm import DEADLINE_S, ROOT, command

_CORE = ROOT / "agent"


def _text(room: str) -> str:
    return _file(room).read_text()


def _file(room: str) -> Path:
    """Return the README of a room, or a file that is named itself."""
    return ROOT / room if room.endswith(".md") else ROOT / room / "README.md"


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


def _program(name: str) -> str:
    return (ROOT / "micropython" / "examples" / name).read_text()


def _quoted(cell: str) -> list[str]:
    return re.findall("`([^`]+)`", cell)


# README.md


def test_program_of_the_readme_is_the_example_that_the_demo_deploys() -> None:
    assert _blocks(_text(""), "python")[0] == _program("boiler.py") == BOILER.read_text()


def _by_hand() -> list[str]:
    """Return the commands of chapter 2, as they are printed; an installation apart."""
    (chapter,) = re.findall(r"^## 2 .*?^## 3", _text(""), re.MULTILINE | re.DOTALL)
    return re.findall(r"^    (sipmote .*)", chapter, re.MULTILINE)


def test_commands_of_the_readme_run_one_after_the_other_on_one_machine(tmp_path: Path) -> None:
    """As printed, in terminals, from the first alert to the board's answer."""
    inbox_line, board_line, deploy_line, monitor_line, history_line = _by_hand()
    (tmp_path / "micropython").symlink_to(ROOT / "micropython")
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "XDG_DATA_HOME": str(tmp_path),
    }
    command(32)
    with own_network() as network, contextlib.ExitStack() as terminals:
        if not network:
            need_port_5060()

        def terminal(line: str) -> Terminal:
            return terminals.enter_context(Terminal(line, tmp_path, network, **environment))

        inbox = terminal(inbox_line)
        inbox.wait_for("listening")
        terminal(board_line).wait_for("virtual board at")
        deploy = terminal(deploy_line)
        assert deploy.wait() == 0, deploy.shown
        monitor = terminal(monitor_line)
        monitor.wait_for("listening on boiler")
        for text in ("Boiler at 81 C", "Boiler at 85 C"):
            inbox.wait_for(text)
        inbox.type("status")
        inbox.wait_for("ok, up ")
        monitor.wait_for(" info command ")
        monitor.wait_for('word="status"')
        history = terminal(history_line)
        assert history.wait() == 0, history.shown
        assert re.findall("Boiler|ok, up", history.shown) == ["Boiler", "Boiler", "ok, up"]


def need_port_5060() -> None:
    """Skip where the system has no networks for the test alone and somebody has the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind(("0.0.0.0", 5060))
        except OSError:
            pytest.skip("another program has port 5060")


def test_boards_are_described_as_their_profiles_say() -> None:
    """Where firmware goes, the heap, and how long a watchdog waits."""
    known = {profile.key: profile for profile in profiles()}
    text, manual = " ".join(_text("").split()), " ".join(_text("micropython").split())
    offset, image = re.findall(r"write-flash (0x\w+) (\S+\.bin)", text)[0]
    (flashed,) = (each for each in known.values() if each.firmware and fnmatch(image, each.firmware))
    assert flashed.flash_offset == int(offset, 16)
    (far, zero), *_ = re.findall(r"The offset is 0x1000 for an ([^,]*), 0 for an (.*?)\. ", text)
    for chips, there in ((far, 0x1000), (zero, 0)):
        named = {f"esp32_generic_{chip.lower()}".removesuffix("_esp32") for chip in re.findall(r"ESP32|[SC]\d", chips)}
        assert named == {key for key, each in known.items() if each.flash_offset == there and "esp32" in key}
    (heap,) = re.findall(r"without PSRAM has about ([\d,]+) octets with Wi-Fi up", manual)
    assert f"{heap.replace(',', '')} with Wi-Fi up" in (ROOT / "boards/esp32_generic.toml").read_text()
    ((old, new),) = re.findall(r"(\d+) seconds are the most that a Pico W can wait for, (\d+) a Pico 2 W", manual)
    for seconds, key in ((old, "rpi_pico_w"), (new, "rpi_pico2_w")):
        assert f"a watchdog waits for {seconds}." in " ".join(known[key].notes)


def test_transport_is_taken_for_what_the_manual_measures() -> None:
    ((udp, tcp),) = re.findall(r"over UDP needs (\d+) KB of heap .*?, over TCP (\d+) KB", " ".join(_text("").split()))
    for what, told in (("one alert over UDP", udp), ("over TCP", tcp)):
        (octets,) = re.findall(rf"^\| {what}.*? ([\d,]{{5,}}) \|", _text("micropython"), re.MULTILINE)
        assert round(int(octets.replace(",", "")) / 1000) == int(told)


def test_each_key_of_the_configuration_is_named() -> None:
    (chapter,) = re.findall(r"^## 10 .*?^## 11", _text(""), re.MULTILINE | re.DOTALL)
    assert set(CHECKS) <= set(_quoted(chapter))


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


def _methods(path: Path, name: str) -> set[str]:
    """Return the public methods of a class, without properties."""
    (found,) = (
        node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef) and node.name == name
    )
    functions = [node for node in found.body if isinstance(node, ast.FunctionDef) and not node.decorator_list]
    return {node.name for node in functions if node.name[0] != "_"}


def test_door_of_the_core_has_what_its_readme_lists() -> None:
    methods = _methods(_CORE / "user_agent.py", "UserAgent") | _methods(_CORE / "more.py", "More")
    listed = {call.partition("(")[0] for row in _rows(_text("agent"), "call |") for call in _quoted(row[0])}
    assert listed == methods - {"new_call_id", "more"}


def test_events_have_the_fields_that_the_readme_of_the_core_lists() -> None:
    events = {}
    for path in _CORE.rglob("*.py"):
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


# micropython/README.md


def test_manual_begins_with_an_example_as_it_is() -> None:
    assert _blocks(_text("micropython"), "python")[0] == _program("hello.py")


def test_manual_names_each_example() -> None:
    listed = [re.findall(r"\((.*?)\)", row[0])[0] for row in _rows(_text("micropython"), "file | what it shows")]
    assert sorted([*listed, "examples/hello.py"]) == sorted(
        path.relative_to(ROOT / "micropython").as_posix() for path in (ROOT / "micropython/examples").glob("*.py")
    )


def test_manual_lists_what_a_program_uses() -> None:
    """The stub has the same names, and tests/mote/test_stub.py holds it to the code."""
    stub = ast.parse((ROOT / "micropython/mote/__init__.pyi").read_text())
    members: dict[str, set[str]] = {}
    for node in stub.body:
        if isinstance(node, ast.ClassDef):
            names = [each.name for each in node.body if isinstance(each, ast.FunctionDef)]
            names += [each.target.id for each in node.body if isinstance(each, ast.AnnAssign)]  # type: ignore[union-attr]
            members[node.name] = {name for name in names if name[:2] != "__"}
    text = _text("micropython")
    calls = {_quoted(row[0])[0] for row in _rows(text, "name | what it is")}
    assert {re.findall(r"mote\.(\w+)", call)[0] for call in calls - {"Mote()"}} == members["Mote"]
    attributes = {_quoted(row[0])[0] for row in _rows(text, "attribute |")}
    assert {name.removeprefix("message.") for name in attributes} == members["Command"]
    outcomes = re.findall(
        r'"(\w+)"', ast.unparse(next(node for node in stub.body if isinstance(node, ast.Assign))).replace("'", '"')
    )
    assert [_quoted(row[0])[0].strip('"') for row in _rows(text, "outcome |")] == outcomes


def test_manual_explains_each_word_of_the_log() -> None:
    """Each call of log() in mote, with its level and its fields."""
    written = set()
    for path in (ROOT / "micropython/mote").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "log" and len(node.args) == 2:
                level, event = (ast.unparse(each).strip("'") for each in node.args)
                fields = {keyword.arg for keyword in node.keywords if keyword.arg is not None}
                if any(ast.unparse(keyword.value).startswith(("told(", "fields")) for keyword in node.keywords):
                    fields |= {"error", "at"}  # as mote.failure.told() returns them
                written.add((event, level.lower(), frozenset(fields)))
    written.add(("outcome", "info", frozenset(("name", "status", "call_id"))))  # mote.log.sent()
    listed = {
        (_quoted(row[0])[0], row[1], frozenset(row[2].split(", ")) - {"-"})
        for row in _rows(_text("micropython"), "event | level")
    }
    assert listed == written


def test_manual_explains_each_key_of_the_configuration_and_its_default() -> None:
    """A default is where mote asks for its key: given("bind", "0.0.0.0:5060")."""
    defaults = {}
    for path in (ROOT / "micropython/mote").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("settings.get", "given")):
                key, *default = map(ast.literal_eval, node.args)
                if default:
                    assert defaults.setdefault(key, default[0]) == default[0]
    rows = {tuple(_quoted(row[0])): row[2] for row in _rows(_text("micropython"), "key | meaning")}
    keys = [key for pair in rows for key in pair]
    assert sorted(keys) == sorted(CHECKS) and {"bind", "log"} <= set(defaults) < set(keys)
    for pair, shown in rows.items():
        if pair[0] in defaults:
            assert shown == f"`{defaults[pair[0]]}`"
        else:
            assert shown == "`0`" or "`" not in shown or pair[0] == "allow", pair


def test_keys_of_the_configuration_mean_on_the_command_line_what_the_manual_says() -> None:
    assert manual() in _text("micropython")
    assert set(KEYS) == set(CHECKS)


# What all of them print


_ROOMS = ("", "agent", "boards", "host_tools", "micropython", "tests")
_READMES = [room for room in (*_ROOMS, "host_tools/MANUAL.md") if _file(room).exists()]


def _parser(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(exit_on_error=False)
    importlib.import_module(f"sipmote.commands.{name}").add_arguments(parser)
    return parser


@pytest.mark.parametrize("room", _READMES)
def test_commands_are_such_as_sipmote_takes(room: str) -> None:
    lines = re.sub(r"\\\n\s+", "", _text(room)).splitlines()
    for line in lines:
        found = re.match(r"    sipmote (\w+)(?!\w*:)(.*)", line)
        if found:
            own = re.split(r" [>|] ", found[2])[0]
            _parser(found[1]).parse_args(shlex.split(own, comments=True))
    for span in re.findall(rf"`((?:sipmote )?(?:{'|'.join(_COMMANDS)}) [^`]*--[^`]*)`", _text(room)):
        words = shlex.split(span.removeprefix("sipmote "))
        known = _parser(words[0]).format_help()
        for option in words:
            assert not option.startswith("--") or re.search(rf"{option}\b", known), span


@pytest.mark.parametrize("room", _READMES)
def test_links_lead_somewhere(room: str) -> None:
    text = _text(room)
    titles = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    for target in re.findall(r"\]\(([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        if not path:
            assert anchor in anchors, target
        elif "://" not in path:
            there = (_file(room).parent / path).resolve()
            assert there.exists() or there.parent.name in ("host_tools", "tests"), target


@pytest.mark.parametrize("room", _READMES)
def test_python_that_is_printed_is_python(room: str) -> None:
    for block in _blocks(_text(room), "python"):
        text = textwrap.dedent(block)
        for beginning, before in (("elif", "if True:\n    pass\n"), ("except", "try:\n    pass\n")):
            if text.startswith(beginning):  # only the case that matters is printed
                text = before + text
        compile(text, room, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


# boards/README.md


def test_boards_are_listed_with_their_chips() -> None:
    listed = {_quoted(row[0])[0]: row[1] for row in _rows(_text("boards"), "profile |")}
    assert listed == {profile.key: profile.chip for profile in profiles()}


def test_keys_of_a_profile_are_those_that_are_read() -> None:
    keys = {_quoted(row[0])[0] for row in _rows(_text("boards"), "key | meaning")}
    assert keys == {field.name for field in dataclasses.fields(Profile)} - {"key"}
    printed = tomllib.loads(textwrap.dedent(re.findall(r"```toml\n(.*?)```", _text("boards"), re.DOTALL)[0]))
    assert set(printed) < keys


def test_files_of_the_virtual_board_are_listed() -> None:
    listed = {_quoted(row[0])[0].rstrip("/") for row in _rows(_text("boards"), "file | what it is")}
    there = {path.relative_to(ROOT / "boards").as_posix() for path in (ROOT / "boards/virtual").glob("[a-z]*")}
    assert listed == there
