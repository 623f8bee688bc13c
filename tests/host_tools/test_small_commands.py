"""`sipmote reset`, `repl`, `uninstall` and `init`: the small commands of the first hour."""

import contextlib
import io
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from sipmote.__main__ import main
from sipmote.board.config import check_required, check_values
from sipmote.board.transfer import _FINISHES, _LAST
from sipmote.errors import ToolError
from sipmote.files import write_whole
from sipmote.people import write_name
from tests.host_tools.fake_board import FakeBoard
from tests.host_tools.peers import until
from tests.host_tools.virtual import fill, virtual_board
from tests.terminals import Terminal
from tests.tools import Tool

_SETTINGS = {"aor": "sip:boiler@127.0.0.1", "to": "sip:desk@127.0.0.1:9", "bind": "127.0.0.1:0"}
_PROGRAM = """
with open("/starts", "a") as file:
    file.write("x")
print("it runs")
"""


_SWALLOWS = """
import builtins
told = print
def swallow(*words, **more):
    if not (words and str(words[0]).startswith("\\n:: (")):
        told(*words, **more)
builtins.print = swallow
"""


def started(flash: Path) -> int:
    """How often has the program been started?"""
    starts = flash / "starts"
    return len(starts.read_text()) if starts.exists() else 0


def run(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, object]]:
    assert main([*words, "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_reset_starts_the_program_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with virtual_board(tmp_path) as port:
        (tmp_path / "main.py").write_text(_PROGRAM)
        with Tool("monitor", "--port", port, "--reset") as monitor:
            monitor.wait_for(text="it runs")
        before = started(tmp_path)
        assert run(capsys, "reset", "--port", port) == [{"event": "reset", "port": port}]
        with Tool("monitor", "--port", port, "--reset") as monitor:  # what comes before its own restart has run
            monitor.wait_for(text="it runs")
        assert started(tmp_path) >= before + 2


def test_reset_says_what_to_do_where_nobody_answers(capsys: pytest.CaptureFixture[str]) -> None:
    with FakeBoard(deaf=True) as board:
        assert main(["reset", "--port", board.port]) == 1
    assert "press its reset button" in capsys.readouterr().err
    assert main(["reset", "--port", "/dev/no-such-port"]) == 1
    assert "no port /dev/no-such-port" in capsys.readouterr().err


def test_repl_is_the_boards_prompt_until_ctrl_bracket(tmp_path: Path) -> None:
    """Ctrl-C stops the board's program and not the command."""
    flash = tmp_path / "flash"
    with virtual_board(flash) as port:
        (flash / "main.py").write_text("import time\nwhile True:\n    time.sleep(0.01)\n")
        assert main(["reset", "--port", port]) == 0
        with Terminal(f"{sys.executable} -m sipmote repl --port {port}", tmp_path, []) as person:
            person.wait_for("exit this shell")
            press_until(person, "\x03", ">>> ")
            person.type("print(6 * 7000)")
            person.wait_for("42000")
            person.press("\x1d")
            assert person.wait() == 0, person.shown


def press_until(person: Terminal, key: str, shown: str) -> None:
    """Press a key again and again: the first ones may come before anybody reads them."""
    for _ in range(30):
        person.press(key)
        with contextlib.suppress(AssertionError):
            person.wait_for(shown, 1)
            return
    person.wait_for(shown)


def test_repl_without_a_terminal_says_what_runs_a_script(capsys: pytest.CaptureFixture[str]) -> None:
    with FakeBoard() as board:
        assert main(["repl", "--port", board.port]) == 1
    assert "mpremote run" in capsys.readouterr().err


def files(flash: Path) -> set[str]:
    return {path.relative_to(flash).as_posix() for path in flash.rglob("*")}


def test_uninstall_takes_away_what_deploy_and_the_board_have_put_there_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with virtual_board(tmp_path) as port:
        empty = files(tmp_path)
        fill(tmp_path, "print('no mote')\n", _SETTINGS)
        for name in ("lib/mote.sha256", "outbox", "outbox.new", "clock", "mote.json.new", "ca.der"):
            (tmp_path / name).write_text("x")
        for name in ("lib/probe.py", "notes.txt"):
            (tmp_path / name).write_text("the user's")
        *told, last = run(capsys, "uninstall", "--port", port, "--yes")
        assert files(tmp_path) == {*empty, "lib", "lib/probe.py", "notes.txt", "main.py"}
        kept = {"event": "file", "path": "/lib/probe.py", "action": "kept"}
        assert last == {"event": "uninstalled", "removed": len(told) - 1} and told[-1] == kept
        assert {"event": "file", "path": "/mote.json", "action": "removed"} in told
        *told, last = run(capsys, "uninstall", "--port", port, "--yes", "--program")
        assert told == [{"event": "file", "path": "/main.py", "action": "removed"}, kept]
        assert files(tmp_path) == {*empty, "lib", "lib/probe.py", "notes.txt"}


def test_uninstall_leaves_a_boot_file_of_the_users(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with virtual_board(tmp_path) as port:
        (tmp_path / "boot.py").write_text("print('mine')\n")
        told = run(capsys, "uninstall", "--port", port, "--yes")
        assert told == [
            {"event": "file", "path": "/boot.py", "action": "kept"},
            {"event": "uninstalled", "removed": 0},
        ]
        assert (tmp_path / "boot.py").exists()


@pytest.mark.parametrize("answer", ["\n", "n\n", "", "y"])
def test_uninstall_asks_first(answer: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An answer that isn't ended by Return is none."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    with FakeBoard() as board:
        assert main(["uninstall", "--port", board.port]) == 1
        assert board.scripts == [] and not board.received
    assert "nothing was changed" in capsys.readouterr().err


def init(monkeypatch: pytest.MonkeyPatch, folder: Path, *answers: str) -> int:
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{answer}\n" for answer in answers)))
    return main(["init", str(folder)])


def test_init_writes_a_configuration_that_a_board_takes_and_a_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong answers are asked for again, a name stands for its URI, secrets are nobody else's to read."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("SIPMOTE_PASSWORD", "geheim")
    monkeypatch.setenv("SIPMOTE_WIFI_PASSWORD", "geheimnis")
    write_name("desk", "sip:desk@192.0.2.1")
    folder = tmp_path / "boiler"
    assert init(monkeypatch, folder, "boi ler", "", "", "dsk", "desk", "example.org", "201", "HOME") == 0
    settings = json.loads((folder / "mote.json").read_text())
    assert settings == {
        "aor": "sip:boiler@example.org",
        "to": "sip:desk@192.0.2.1",
        "proxy": "sip:example.org",
        "register": 3600,
        "user": "201",
        "password": "geheim",
        "wifi": [["HOME", "geheimnis"]],
    }
    assert (folder / "mote.json").stat().st_mode & 0o077 == 0
    compile((folder / "main.py").read_text(), "main.py", "exec")
    said = capsys.readouterr()
    assert f"sipmote deploy {folder / 'main.py'} --config {folder / 'mote.json'}" in said.out
    assert said.err.count("what is the board called? [boiler]") == 2 and said.err.count("who gets its alerts") == 3
    assert "geheim" not in said.out + said.err


def test_init_without_a_server_needs_an_address_of_the_boards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert init(monkeypatch, tmp_path / "b", "", "sip:desk@192.0.2.1", "", "192.0.2.7", "") == 0
    settings = json.loads((tmp_path / "b" / "mote.json").read_text())
    assert settings == {"aor": "sip:b@192.0.2.7", "to": "sip:desk@192.0.2.1"}
    check_values(settings, "mote.json")
    check_required(settings)


def test_init_asks_again_for_what_no_board_can_be_or_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A no to what need not be is a no, and an IPv6 address needs no brackets."""
    names = ("a:b", "a;b", "a?b", "%41", "ü", "x" * 64, "b")
    servers = ("sip:user@example.org", "192.0.2.300", "exa mple", "no")
    addresses = ("192.0.2.300", "0.0.0.0", "http://x", "x;transport=tcp", "x?y", "a..b", "2001:db8::7")
    assert init(monkeypatch, tmp_path / "b", *names, "sip:desk@192.0.2.1", *servers, *addresses, "") == 0
    assert json.loads((tmp_path / "b" / "mote.json").read_text())["aor"] == "sip:b@[2001:db8::7]"


def test_init_overwrites_nothing_and_writes_nothing_before_the_last_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert init(monkeypatch, tmp_path / "new", "", "sip:desk@192.0.2.1") == 1
    assert not (tmp_path / "new").exists()
    (tmp_path / "main.py").write_text("mine")
    assert init(monkeypatch, tmp_path, "b", "sip:desk@192.0.2.1", "", "192.0.2.7", "") == 0
    assert (tmp_path / "main.py").read_text() == "mine"
    before = (tmp_path / "mote.json").read_bytes()
    assert init(monkeypatch, tmp_path, "c", "sip:desk@192.0.2.2", "", "192.0.2.7", "") == 1
    assert (tmp_path / "mote.json").read_bytes() == before and "is there already" in capsys.readouterr().err


def test_init_that_was_cut_off_can_be_said_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = ("b", "sip:desk@192.0.2.1", "", "192.0.2.7", "")

    def cut(target: Path, text: str) -> None:
        if target.name == "mote.json":
            raise ToolError("power is gone")
        write_whole(target, text)

    with monkeypatch.context() as patched:
        patched.setattr("sipmote.commands.init.write_whole", cut)
        assert init(monkeypatch, tmp_path, *answers) == 1
    assert init(monkeypatch, tmp_path, *answers) == 0
    assert (tmp_path / "mote.json").exists() and (tmp_path / "main.py").exists()


@pytest.mark.parametrize("key", ["\x03", "\x04"])
def test_ctrl_c_and_ctrl_d_at_a_question_leave_the_shells_prompt_a_row_of_its_own(key: str, tmp_path: Path) -> None:
    """Also where a password is asked for, and no traceback is shown."""
    for line, question in (("init x", "called?"), ("passwd users bob --realm r", "password of bob")):
        with Terminal(f"{sys.executable} -m sipmote {line}; echo ended $?", tmp_path, []) as person:
            person.wait_for(question)
            person.press(key)
            person.wait()
        code = 128 + signal.SIGINT if key == "\x03" else 1
        assert f"\nended {code}" in person.shown.replace("\r", "") and "Traceback" not in person.shown, person.shown
        assert os.listdir(tmp_path) == []


def test_uninstall_completes_a_deploy_that_was_cut_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """R0-P18: the only copy of the program stands under another name then."""
    held = "if not globals().get('by_deploy'):\n import time\n time.sleep(600)\nimport os\n"
    fill(tmp_path, _FINISHES + held + _LAST, _SETTINGS)
    (tmp_path / "main.py.new").write_text(_PROGRAM)
    with virtual_board(tmp_path) as port:
        run(capsys, "uninstall", "--yes", "--port", port)
    assert (tmp_path / "main.py").read_text() == _PROGRAM
    assert not (tmp_path / "main.py.new").exists()


def test_a_window_that_is_closed_leaves_no_board_stopped(tmp_path: Path) -> None:
    """R0-P18: as Ctrl-C does"""
    fill(tmp_path, _PROGRAM, _SETTINGS)
    with virtual_board(tmp_path) as port, Tool("doctor", "--no-send", "--port", port) as doctor:
        doctor.wait_for(event="finding", about="board")  # it is stopped
        before = started(tmp_path)
        os.kill(doctor.pid, signal.SIGHUP)
        assert doctor.wait(20) == 128 + signal.SIGHUP
        until(lambda: started(tmp_path) > before)


@pytest.mark.parametrize("words", [("deploy", "--commander", ""), ("flash", "--sha256="), ("bridge", "--users", "")])
def test_an_option_whose_variable_is_not_set_is_refused(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 1
    assert "is empty: leave it out" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "place"), [("mote.json", "/mote.json"), ("boot.py", "/boot.py")])
def test_deploy_takes_no_file_along_that_it_makes_itself(
    name: str, place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text("{}")
    (tmp_path / "main.py").write_text(_PROGRAM)
    with FakeBoard() as fake:
        assert main(["deploy", str(tmp_path / "main.py"), "--with", str(tmp_path / name), "--port", fake.port]) == 1
        assert not fake.received
    assert f"would be {place}, which deploy makes itself" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [("config", "show"), ("uninstall", "--yes"), ("doctor", "--no-send"), ("provision", "--no-try")]
)
def test_answers_that_are_lost_are_told_and_the_program_goes_on(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """R0-P18: noise, or a boot.py that prints in another way"""
    monkeypatch.setenv("SIPMOTE_LOG", "debug")
    fill(tmp_path, _PROGRAM, _SETTINGS)
    (tmp_path / "boot.py").write_text(_SWALLOWS)
    with virtual_board(tmp_path) as port:
        until(lambda: started(tmp_path) == 1)  # boot.py is through
        assert main([*words, "--port", port]) == 1
        said = capsys.readouterr()
        assert "came damaged" in said.out + said.err and "Traceback" not in said.out + said.err
        before = started(tmp_path)
        assert main(["reset", "--port", port]) == 0
        until(lambda: started(tmp_path) > before)
