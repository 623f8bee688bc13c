"""Saving a board's files before it is flashed."""

import os
import stat
from pathlib import Path

import pytest

from sipmote.board import backup
from sipmote.board.backup import save_files
from sipmote.console import Output
from sipmote.errors import ToolError
from sipmote.link.repl import Board
from tests.host_tools.fake_board import FakeBoard
from tests.host_tools.virtual import virtual_board


def test_all_files_of_a_board_are_saved_for_its_owner_alone(tmp_path: Path) -> None:
    files = {"boot.py": b"import gc\n", "data/2025/readings.csv": bytes(range(256)) * 40, "empty": b"", "größe": b"1"}
    for path, data in files.items():
        (tmp_path / "flash" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "flash" / path).write_bytes(data)
    saved = tmp_path / "saved"
    with virtual_board(tmp_path / "flash") as port:
        assert save_files(port, saved, Output(as_json=True)) == len(files)
        assert {path: (saved / path).read_bytes() for path in files} == files
        assert stat.S_IMODE(saved.stat().st_mode) == 0o700
        assert {stat.S_IMODE((saved / path).stat().st_mode) for path in files} == {0o600}
        with pytest.raises(ToolError, match="isn't empty"):
            save_files(port, saved, Output(as_json=True))


@pytest.mark.parametrize("name", ("/../../.bashrc", "/a/../../b", "/..", "/a\\..\\b", "/\x1b[31m", "/C:x"))
def test_a_name_that_leads_elsewhere_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is behind a port may be anybody's."""
    monkeypatch.setattr(Board, "reset", lambda board: None)
    monkeypatch.setattr(Board, "run", lambda board, script: f"\n:: {(name, 5)!r}\n")
    with FakeBoard() as board, pytest.raises(ToolError, match="can't be saved"):
        save_files(board.port, tmp_path / "saved", Output(as_json=True))
    assert os.listdir(tmp_path) == []


def test_a_file_that_came_damaged_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "flash").mkdir()
    (tmp_path / "flash" / "data").write_bytes(b"1234")
    monkeypatch.setattr(backup, "_READ", backup._READ.replace("h.update(d)", "h.update(b'x')"))
    with virtual_board(tmp_path / "flash") as port, pytest.raises(ToolError, match="did not arrive"):
        save_files(port, tmp_path / "saved", Output(as_json=True))
    assert os.listdir(tmp_path / "saved") == []


def test_a_board_without_micropython_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("_ENTER_S", (0.1,)), ("_PRESSES_S", 0.5), ("_BUTTON_S", 0.5)):
        monkeypatch.setattr(f"sipmote.link.repl.{name}", seconds)
    with FakeBoard(deaf=True) as board, pytest.raises(ToolError, match="leave --backup out"):
        save_files(board.port, tmp_path / "saved", Output(as_json=True))
    assert os.listdir(tmp_path) == []
