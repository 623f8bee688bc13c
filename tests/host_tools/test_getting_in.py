"""Deploying to boards whose programs don't want to be stopped."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sipmote.__main__ import main
from sipmote.board.survey import check_firmware
from sipmote.errors import ToolError
from sipmote.link import repl
from sipmote.link.repl import Board
from tests.host_tools.deploying import NAMES, Deploy, small_packages
from tests.host_tools.fake_board import FakeBoard
from tests.host_tools.virtual import virtual_board


@pytest.fixture
def run_deploy(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deploy:
    small_packages(tmp_path / "source", monkeypatch)
    return Deploy(capsys)


def wait_until(is_so: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def with_files(flash: Path, **sources: str) -> None:
    flash.mkdir()
    for name, text in sources.items():
        (flash / f"{name}.py").write_text(text)


HOLDING = (
    "import time\nwhile True:\n    time.sleep(1)\n",
    "while True:\n    pass\n",
    "import time\nwhile True:\n    print('.', end='')\n    time.sleep(0.05)\n",
)


@pytest.mark.parametrize("source", HOLDING)
def test_a_boot_py_that_does_not_return_is_interrupted_kept_and_told_of(
    source: str, tmp_path: Path, run_deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repl, "_BOOT_S", 1)
    flash = tmp_path / "flash"
    with_files(flash, boot=source)
    with virtual_board(flash) as port:
        actions = run_deploy(port, *NAMES, "--no-start")
        assert actions["/lib/mote/__init__.mpy"] == "sent"
        assert "/boot.py" not in actions
        assert (flash / "boot.py").read_text() == source
        assert "boot.py had to be interrupted" in run_deploy.said
        assert run_deploy(port, "--boot", "--no-start")["/boot.py"] == "sent"
        assert run_deploy(port)["/boot.py"] == "same"


def test_a_program_that_resets_the_board_on_ctrl_c_is_stopped_while_the_board_starts(
    tmp_path: Path, run_deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repl, "_ENTER_S", (1, 1))
    flash = tmp_path / "flash"
    source = "import time, machine\ntry:\n    while True:\n        time.sleep(1)\nfinally:\n    machine.reset()\n"
    with_files(flash, main=source)
    with virtual_board(flash) as port:
        assert run_deploy(port, *NAMES, "--no-start")["/lib/mote/__init__.mpy"] == "sent"


def test_a_board_that_starts_again_and_again_is_stopped(tmp_path: Path, run_deploy: Deploy) -> None:
    flash = tmp_path / "flash"
    with_files(flash, boot="import machine, time\ntime.sleep(0.1)\nmachine.reset()\n")
    with virtual_board(flash) as port:
        assert run_deploy(port, *NAMES, "--boot")["/boot.py"] == "sent"
        wait_until((flash / "started").exists)


def test_a_watchdog_of_the_programs_does_not_cut_the_deploy(tmp_path: Path, run_deploy: Deploy) -> None:
    """The stopped program feeds it no more; the board would start anew in mid-deploy"""
    flash = tmp_path / "flash"
    (flash / "lib").mkdir(parents=True)
    (flash / "lib/guard.py").write_text("from machine import WDT\ndog = WDT(timeout=1000)\n")
    (flash / "main.py").write_text(
        "import guard, time\nopen('/guarded', 'a').write('.')\nwhile True:\n    guard.dog.feed()\n    time.sleep(0.2)\n"
    )
    (tmp_path / "program.py").write_text("X = '" + "x" * 8000 + "'\n")
    with virtual_board(flash) as port:
        wait_until((flash / "guarded").exists)
        starts = (flash / "guarded").read_text()
        run_deploy(port, *NAMES, str(tmp_path / "program.py"))
        assert (flash / "guarded").read_text() == starts


def test_a_watchdog_that_nobody_can_find_delays_a_first_deploy_and_does_not_end_it(
    tmp_path: Path, run_deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    flash = tmp_path / "flash"
    with_files(
        flash,
        boot="def guard():\n    from machine import WDT\n    WDT(timeout=2000)\nguard()\n",
        main="import time\nwhile True:\n    guard()\n    print('.', end='')\n    time.sleep(0.2)\n",
    )
    run_script = Board.run
    waits = [3]  # seconds: the watchdog's two are over, and the program runs

    def run_slowly(board: Board, script: str, *rest: float) -> str:
        if "f=open('/lib/mote/" in script and waits:
            time.sleep(waits.pop())
        return run_script(board, script, *rest)

    monkeypatch.setattr(Board, "run", run_slowly)
    with virtual_board(flash) as port:
        assert run_deploy(port, *NAMES, "--no-start")[""]["event"] == "deployed"
        assert "stopped answering" in run_deploy.said and "going on" in run_deploy.said


def test_a_program_that_catches_ctrl_c_is_told_of_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("_ENTER_S", (0.3, 0.3)), ("_PRESSES_S", 0.5), ("_BUTTON_S", 0.5)):
        monkeypatch.setattr(repl, name, seconds)
    flash = tmp_path / "flash"
    with_files(
        flash,
        main="import time\nwhile True:\n    try:\n        time.sleep(1)\n    except BaseException:\n        pass\n",
    )
    with virtual_board(flash) as port:
        assert main(["deploy", "--port", port, *NAMES]) == 1
    said = capsys.readouterr().err
    assert "press the board's reset button (RST, EN) now" in said
    assert "main.py on it catches Ctrl-C as soon as it starts" in said


@pytest.mark.parametrize(
    ("name", "release", "has_asyncio", "said"),
    [
        ("micropython", "1.19.1", 0, "the board runs MicroPython 1.19.1: flash 1.24 or later"),
        ("micropython", "1.23.0", 1, "the board runs MicroPython 1.23.0: flash 1.24 or later"),
        ("circuitpython", "9.2.1", 1, "the board runs circuitpython 9.2.1, and not MicroPython"),
        ("micropython", "1.29.0", 0, "has no asyncio"),
    ],
)
def test_a_firmware_that_can_not_run_mote_is_refused(name: str, release: str, has_asyncio: int, said: str) -> None:
    with pytest.raises(ToolError, match=said):
        check_firmware(name, release, bool(has_asyncio))


def test_a_firmware_is_refused_before_anything_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    """A board whose scripts run in CPython is none"""
    with FakeBoard() as fake:
        assert main(["deploy", "--port", fake.port, *NAMES]) == 1
        assert not any("mkdir" in script or ("open(" in script and "'w" in script) for script in fake.scripts)
    assert "the board runs cpython" in capsys.readouterr().err
