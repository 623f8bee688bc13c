"""Packages of others that go onto a board with a program."""

import functools
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sipmote.board import mip
from sipmote.board.mip import fetch
from sipmote.errors import ToolError
from tests.host_tools.deploying import NAMES, Deploy, small_packages
from tests.host_tools.virtual import virtual_board

_OURS = {"/lib/agent/__init__.mpy": b"M\x06\x00\x1f"}


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Tests print nothing."""


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder behind an index of packages, as micropython-lib has one."""
    folder = tmp_path / "index"
    for path, text in {
        "package/6/probe/latest.json": json.dumps(
            {"hashes": [["probe/__init__.py", "abc1"]], "deps": [["units", "1.0"]]}
        ),
        "package/6/units/1.0.json": json.dumps({"hashes": [["units.py", "abc2"]]}),
        "file/ab/abc1": "import units\n",
        "file/ab/abc2": "C = 1\n",
        "evil/package.json": json.dumps({"urls": [["../../main.py", "x.py"]]}),
        "evil/x.py": "",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setattr(mip, "_INDEX", f"http://127.0.0.1:{server.server_port}")
        yield folder
        server.shutdown()
        thread.join()


def test_a_package_comes_with_those_that_it_depends_on(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch(["probe"], _OURS) == {"/lib/probe/__init__.py": b"import units\n", "/lib/units.py": b"C = 1\n"}
    assert fetch(["units@1.0"], _OURS) == {"/lib/units.py": b"C = 1\n"}
    assert not capsys.readouterr().out


def test_what_can_not_be_had_is_told_before_a_board_is_touched(index: Path) -> None:
    for name, said in (
        ("prob", "--mip prob: Package not found"),
        (str(index / "none.json"), "--mip .*none.json: Error opening"),
        ("http://127.0.0.1:1/x.json", "--mip http://127.0.0.1:1/x.json: .*refused"),
        (str(index / "evil/package.json"), "wants to be at /lib/../../main.py"),
    ):
        with pytest.raises(ToolError, match=said):
            fetch([name], _OURS)


def test_a_package_is_deployed_with_the_program_that_imports_it(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small_packages(tmp_path / "source", monkeypatch)
    run_deploy = Deploy(capsys)
    (tmp_path / "boiler.py").write_text("import probe\nprint(probe.units.C)\n")
    with virtual_board(tmp_path / "flash") as port:
        actions = run_deploy(port, str(tmp_path / "boiler.py"), *NAMES, "--mip", "probe")
        assert actions["/lib/probe/__init__.py"] == actions["/lib/units.py"] == "sent"
        assert not run_deploy.said
        assert run_deploy(port, str(tmp_path / "boiler.py"))[""]["same"] == 5
        assert not run_deploy.said
        assert (tmp_path / "flash/lib/units.py").exists()
