"""manifest.py and package.json name what is on the tree: lists kept by hand drift."""

import json
import tomllib
from pathlib import Path

import pytest

from tests.vm import ROOT, board

_BOARD = ROOT / "micropython"


def _modules(folder: Path) -> set[str]:
    return {f"{folder.name}/{path.relative_to(folder)}" for path in folder.rglob("*.py")}


def test_package_json_lists_each_module_and_the_version_of_the_project() -> None:
    package = json.loads((_BOARD / "package.json").read_text())
    assert {target for target, _ in package["urls"]} == _modules(ROOT / "agent") | _modules(_BOARD / "mote")
    for target, source in package["urls"]:
        assert (_BOARD / source).resolve() == (ROOT / target if target.startswith("agent/") else _BOARD / target)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert package["version"] == project["version"]


def test_manifest_freezes_both_packages() -> None:
    frozen = []
    names = {
        "package": lambda name, base_path=".", opt=0: frozen.append((name, (_BOARD / base_path / name).resolve(), opt))
    }
    exec((_BOARD / "manifest.py").read_text(), names)
    assert frozen == [("agent", ROOT / "agent", 2), ("mote", _BOARD / "mote", 2)]


@pytest.mark.timeout(120)
def test_mip_installs_from_a_clone() -> None:
    with board("--heap", "256k") as running:
        running.mpremote("mip", "install", "--no-mpy", str(_BOARD / "package.json"))
        installed = running.mpremote(
            "exec", "import os; print(sorted(os.listdir('/lib/agent') + os.listdir('/lib/mote')))"
        )
        assert "user_agent.py" in installed and "log.py" in installed
        assert "ok" in running.mpremote("exec", "import agent.user_agent; print('ok')")
