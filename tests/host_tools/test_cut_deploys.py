"""R0-P18: a deploy that is cut, or a board that loses its power meanwhile, leaves the old program or the new one."""

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sipmote.__main__ import main
from sipmote.board import deployment, romfs, transfer
from sipmote.link.repl import Board
from tests.host_tools.deploying import NAMES, small_packages
from tests.host_tools.virtual import virtual_board

# The board loses its power at the change of its flash that the file /cut counts down to.
_CUT = """
def cut():
 try:
  with open('/cut') as f:
   n=int(f.read())
 except OSError:
  return
 os.remove('/cut')
 if n==0:
  import machine
  machine.reset()
 with open('/cut','w') as f:
  f.write(str(n-1))
"""


def version(home: Path, number: int) -> Path:
    """Write packages, and a program with a module of its own, that say the same number; returns the program."""
    (home / "agent/uri.py").write_text(f"NUMBER = {number}\n")
    (home / "micropython/mote/__init__.py").write_text(f"from agent.uri import NUMBER\n\nNUMBERS = NUMBER, {number}\n")
    (home / "probe.py").write_text(f"NUMBER = {number}\n")
    program = home / "boiler.py"
    program.write_text(
        "import json, mote, probe\n"
        "with open('/mote.json') as file:\n    config = json.load(file)['register']\n"
        "with open('/said', 'w') as file:\n"
        f"    file.write(repr(list(mote.NUMBERS) + [probe.NUMBER, config, {number}]) + '.')\n"
    )
    return program


class Case:
    """A board that runs version 1, again and again, to which version 2 is deployed."""

    def __init__(self, port: str, flash: Path, home: Path) -> None:
        self.port = port
        self.flash = flash
        self._first = flash.with_name("first")
        self._rom = flash.with_name("flash.romfs")
        self._program = version(home, 1)
        assert self.deploy(1) == 0
        self.was_said()
        shutil.copytree(flash, self._first)
        self._first_rom = self._rom.read_bytes() if self._rom.exists() else b""
        version(home, 2)

    def deploy(self, number: int = 2, *more: str) -> int:
        arguments = [str(self._program), "--port", self.port, "--no-clock", *NAMES, "--set", f"register={number}"]
        return main(["deploy", *arguments, *more])

    @property
    def has_romfs(self) -> bool:
        return bool(self._first_rom)

    def begin_again(self) -> None:
        """Have version 1 on the board's flash, and in its ROMFS, which the VM has mapped."""
        if self._first_rom:
            with self._rom.open("r+b") as file:
                file.write(self._first_rom)
        for path in self.flash.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(self._first, self.flash, dirs_exist_ok=True)

    def was_said(self) -> int:
        """Wait for the board's program, and return the version that runs, whole."""
        deadline = time.monotonic() + 20
        text = ""
        while not text.endswith("."):
            assert time.monotonic() < deadline, "no program ran"
            time.sleep(0.01)
            with contextlib.suppress(OSError):
                text = (self.flash / "said").read_text()
        (self.flash / "said").unlink()
        (number,) = {*text.strip("[].").split(", ")}
        return int(number)

    def completes(self, *more: str) -> None:
        (self.flash / "cut").unlink(missing_ok=True)
        assert self.deploy(2, *more) == 0
        assert self.was_said() == 2
        assert not [path for path in self.flash.rglob("*") if path.suffix in (".new", ".swap")]


@pytest.fixture(params=[(), ("--romfs", "16k")], ids=["files", "romfs"])
def case(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    small_packages(tmp_path / "source", monkeypatch)
    flash = tmp_path / "flash"
    with virtual_board(flash, "64k", *request.param) as port:
        yield Case(port, flash, tmp_path / "source")


def test_power_cut_at_any_change_of_the_swap_leaves_the_old_version_or_the_new_one(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployment, "_TRIES", 1)  # the board itself is to complete it
    swap = transfer._SWAP.replace("  try:\n   do(p)", "  cut()\n  try:\n   do(p)")
    assert swap != transfer._SWAP
    monkeypatch.setattr(transfer, "_SWAP", swap.replace("\nimport os\n", "\nimport os\n" + _CUT, 1))
    monkeypatch.setattr(romfs, "_INVALIDATE", "cut()\n" + romfs._INVALIDATE.replace(" erase(1)", " erase(1)\n cut()"))
    monkeypatch.setattr(transfer, "_LAST", "cut()\n" + transfer._LAST + "cut()\n")
    seen = []
    while True:
        case.begin_again()
        (case.flash / "cut").write_text(str(len(seen)))
        code = case.deploy()
        if (case.flash / "cut").exists():
            assert code == 0
            break
        seen.append(case.was_said())
        case.completes()
    assert len(seen) == (9 if case.has_romfs else 6)  # files, ROMFS, the program; then what is taken away
    assert set(seen) == {2}


@pytest.mark.parametrize("has_run", [False, True])
def test_a_deploy_interrupted_at_any_script_leaves_the_old_version_or_the_new_one(
    has_run: bool, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """has_run: after the script, else before it"""
    run_script = Board.run
    seen: list[int] = []
    left = 0

    def run(board: Board, script: str, *rest: float) -> str:
        nonlocal left
        left -= 1
        if left == 0 and not has_run:
            raise KeyboardInterrupt
        output = run_script(board, script, *rest)
        if left == 0:
            raise KeyboardInterrupt
        return output

    monkeypatch.setattr(Board, "run", run)
    code = 130
    while code == 130:
        case.begin_again()
        left = len(seen) + 1
        code = case.deploy()
        seen.append(case.was_said())
        left = 0
    assert len(seen) > 12
    assert seen == sorted(seen) and set(seen) == {1, 2}
    case.completes()


@pytest.mark.parametrize("case", [("--romfs", "16k")], indirect=True)
def test_power_cut_in_the_midst_of_any_write_to_romfs_leaves_a_board_that_runs(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployment, "_TRIES", 1)
    whole = "  ok(vfs.rom_ioctl(4,0,at,data))\n"
    parts = "range(1,len(data)) if at==0 else [len(data)//2]"
    torn = f"  for n in {parts}:\n   vfs.rom_ioctl(4,0,at,data[:n])\n   cut()\n" + whole + "  cut()\n"
    access = romfs._ACCESS.replace(whole, torn)
    assert access != romfs._ACCESS
    monkeypatch.setattr(romfs, "_ACCESS", "import os\n" + _CUT + access)
    cuts = 0
    while True:
        case.begin_again()
        (case.flash / "cut").write_text(str(cuts))
        code = case.deploy()
        assert case.was_said() == 2  # all of it was in the file system before
        if (case.flash / "cut").exists():
            assert code == 0
            break
        cuts += 1
        case.completes("--romfs")
        assert not [*case.flash.rglob("lib/*/*.mpy")]
    assert cuts == 2 + 4  # in the midst and at the end of the only piece, and at each octet of the head
