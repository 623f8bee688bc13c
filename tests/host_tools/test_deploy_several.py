"""Deploying to several boards at once, and again whenever a file is saved."""

import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from sipmote.__main__ import main
from sipmote.board import deployment
from sipmote.board.watching import seen, wait_for_change
from sipmote.commands import deploy
from tests.host_tools.deploying import NAMES, small_packages
from tests.host_tools.virtual import virtual_board
from tests.tools import Tool


def test_several_boards_get_the_same_at_once_and_one_that_fails_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small_packages(tmp_path / "source", monkeypatch)
    (tmp_path / "boiler.py").write_text("print('boiler')\n")
    arguments = ["deploy", str(tmp_path / "boiler.py"), *NAMES]
    with virtual_board(tmp_path / "a") as first, virtual_board(tmp_path / "b") as second:
        ports = ["--port", first, "--port", second, "--port", first]
        assert main([*arguments, *ports]) == 0
        lines = sorted(capsys.readouterr().out.splitlines())
        assert [line.split(": ")[:2] for line in lines] == sorted([[first, "deployed"], [second, "deployed"]])
        for flash in ("a", "b"):
            assert (tmp_path / flash / "main.py").read_text() == "print('boiler')\n"
        assert main([*arguments, *ports, "--port", str(tmp_path / "gone"), "--json"]) == 1
        said = capsys.readouterr().out
        assert said.count('"event": "deployed"') == 2
        assert f'"event": "failed", "error": "no port {tmp_path}/gone' in said
        for wrong, words in (
            (["--all", "--port", first], "exclude each other"),
            (["--monitor", *ports], "--monitor is for one board"),
        ):
            assert main([*arguments, *wrong]) == 1
            assert words in capsys.readouterr().err
    assert main(["deploy", "--watch", "--port", "/dev/null"]) == 1
    assert "--watch needs MAIN.py" in capsys.readouterr().err


def interrupt(*_: object) -> None:
    """Press Ctrl-C."""
    raise KeyboardInterrupt


def watch_on(*_: object) -> None:
    """Fail in place of watching."""
    raise AssertionError("it goes on watching")


def test_ctrl_c_while_the_program_starts_ends_watching_too_and_leaves_the_board_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small_packages(tmp_path / "source", monkeypatch)
    (tmp_path / "boiler.py").write_text("print('boiler')\n")
    monkeypatch.setattr(deployment, "reason_of_end", interrupt)
    monkeypatch.setattr(deploy, "wait_for_change", watch_on)
    with virtual_board(tmp_path / "flash") as port:
        assert main(["deploy", str(tmp_path / "boiler.py"), "--port", port, *NAMES, "--watch"]) == 128 + signal.SIGINT
    said = capsys.readouterr()
    assert "deployed" in said.out
    assert "say it again to complete" not in said.err


def test_who_ends_watching_waits_for_no_file_that_has_gone(tmp_path: Path) -> None:
    file, ended = tmp_path / "probe.py", threading.Event()
    file.touch()
    before = seen([file])
    file.unlink()
    waiter = threading.Thread(target=wait_for_change, args=(before, ended), daemon=True)
    waiter.start()
    ended.set()
    waiter.join(10)
    assert not waiter.is_alive()


@pytest.mark.parametrize("monitors", [False, True])
def test_a_saved_file_is_deployed_again_and_a_mistake_in_it_is_waited_out(monitors: bool, tmp_path: Path) -> None:
    """With --monitor it ignores SIGINT, as a shell's background has it: that a file changes is no signal."""
    program, probe, flash = tmp_path / "boiler.py", tmp_path / "probe.py", tmp_path / "flash"
    program.write_text("import probe\nprint('probe', probe.N)\n")
    probe.write_text("N = 1\n")
    python = ("env", "--ignore-signal=INT", sys.executable) if monitors else (sys.executable,)
    arguments = ["deploy", str(program), *NAMES, "--watch", *["--monitor"] * monitors]
    with (
        virtual_board(flash, "128k") as port,
        Tool(*arguments, "--port", port, program=(*python, "-m", "sipmote")) as tool,
    ):
        tool.wait_for(60, event="watching", files=lambda files: str(probe) in files)
        probe.write_text("N = \n")
        tool.wait_for(event="failed", error=lambda error: "probe.py:1: SyntaxError" in error)
        probe.write_text("N = 22\n")
        tool.wait_for(event="file", path="/probe.py", bytes=7)
        if monitors:
            tool.wait_for(event="console", text="probe 22")
        else:
            tool.wait_for(event="deployed", sent=1)
        os.kill(tool.pid, signal.SIGTERM if monitors else signal.SIGINT)
        assert tool.wait() == 128 + signal.SIGINT
    assert (flash / "probe.py").read_text() == "N = 22\n"
