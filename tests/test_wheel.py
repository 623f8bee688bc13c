"""What `pip install sipmote` leaves on a machine, tried where the clone isn't: the wheel in an environment of its own.

The environment has our wheel and, by a .pth file, the packages of the one that runs the tests, which the wheel needs.
"""

import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.sip_peer import Peer
from tests.tools import Tool
from tests.vm import ROOT, command

_ROOMS = {  # of the clone, and where the wheel has them
    "host_tools": "sipmote",
    "agent": "sipmote/agent",
    "boards": "sipmote/boards",
    "micropython": "sipmote/micropython",
}
_SEND = """
import os, socket, sys
from sipmote.agent.events import Outcome, Transmit
from sipmote.agent.user_agent import UserAgent

ours = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
ours.bind(("127.0.0.1", 0))
ours.settimeout(20)
user_agent = UserAgent(b"sip:boiler@example.org", b"127.0.0.1:%d" % ours.getsockname()[1], os.urandom)
target = b"sip:desk@127.0.0.1:" + sys.argv[1].encode()
for event in user_agent.send(user_agent.new_call_id(), target, b"81 C", 0):
    assert type(event) is Transmit, event
    ours.sendto(event.data, (event.flow[1].decode(), event.flow[2]))
answer, (host, port) = ours.recvfrom(4096)
print([event.name for event in user_agent.receive(answer, (b"UDP", host.encode(), port), 5) if type(event) is Outcome])
"""
_PROGRAM = """
from mote import Mote

mote = Mote()


@mote.every(30)
async def boiler():
    await mote.alert("81 C")


mote.run()
"""


class Installed:
    """An environment with the wheel in it."""

    def __init__(self, folder: Path) -> None:
        source = folder / "source"  # not in the clone: setuptools would leave its folders there, and find old ones
        for room in _ROOMS:
            shutil.copytree(ROOT / room, source / room, ignore=shutil.ignore_patterns("__pycache__"))
        for file in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / file, source)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
        _run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source))
        self.wheel = next(folder.glob("*.whl"))
        environment = folder / "environment"
        venv.create(environment, symlinks=True)
        self.python = environment / "bin" / "python"
        self.sipmote = environment / "bin" / "sipmote"
        _run(*pip, "--python", str(self.python), "install", "--no-deps", "--no-index", str(self.wheel))
        self.packages = next(environment.glob("lib/python*/site-packages"))
        self.names = {path.name for path in self.packages.iterdir()}
        (self.packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def says(self, code: str, *arguments: str) -> str:
        """Run Python code there; -I keeps this folder and $PYTHONPATH out. Returns what it printed."""
        return _run(str(self.python), "-I", "-c", code, *arguments)


def _run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be outside the clone, with the VMs that it has fetched."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "cache" / "sipmote").mkdir(parents=True)
    (tmp_path / "cache" / "sipmote" / "vm").symlink_to(ROOT / ".cache" / "vm")


def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_pyproject_lists_each_folder_of_the_tree() -> None:
    setuptools = _project()["tool"]["setuptools"]
    folders = {path.parent for room in ("agent", "host_tools") for path in (ROOT / room).rglob("*.py")}
    names = {".".join(("sipmote", *path.relative_to(ROOT).parts)) for path in folders}
    names = {name.replace("sipmote.host_tools", "sipmote") for name in names}
    assert sorted(setuptools["packages"]) == sorted(names | {"sipmote.boards", "sipmote.micropython"})


def test_wheel_has_all_files_of_the_rooms_but_what_is_there_to_be_read(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as wheel:
        packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    files = {
        f"{inside}/{path.relative_to(ROOT / room)}"
        for room, inside in _ROOMS.items()
        for path in (ROOT / room).rglob("*")
        if path.is_file() and path.suffix not in (".md", ".pyc")
    }
    assert packed == files


def test_one_name_of_ours_is_at_the_top(installed: Installed) -> None:
    assert installed.names == {"sipmote", f"sipmote-{_project()['project']['version']}.dist-info"}
    where = Path(installed.says("import sipmote.agent.uac; print(sipmote.agent.uac.__file__)"))
    assert where.is_relative_to(installed.packages)


def test_whoever_asks_for_micropython_learns_that_this_is_not_it(installed: Installed) -> None:
    for name in ("micropython", "agent", "boards", "mote", "tests", "host_tools"):
        code = f"try:\n    import {name}\nexcept ImportError:\n    print('none')\nelse:\n    print({name})"
        assert installed.says(code) == "none\n", name


def test_core_sends_a_message(installed: Installed) -> None:
    with Peer() as desk:
        words = [str(installed.python), "-I", "-c", _SEND, str(desk.port)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as sender:
            assert desk.answer(200).body == b"81 C"
            assert sender.stdout and sender.stdout.read() == "['delivered']\n"
    assert sender.returncode == 0


def test_commands_say_what_they_do_and_know_the_boards(installed: Installed) -> None:
    assert "sipmote deploy" in _run(str(installed.sipmote), "deploy", "--help")
    said = _run(str(installed.sipmote), "--help")
    assert "deploy" in said and "inbox" in said
    _run(str(installed.sipmote), "ports")
    keys = installed.says("from sipmote.board.profiles import profiles; print([one.key for one in profiles()])")
    assert keys == f"{sorted(path.stem for path in (ROOT / 'boards').glob('*.toml'))}\n"


@pytest.mark.timeout(120)
def test_deploy_from_the_wheel_makes_a_virtual_board_send(installed: Installed, tmp_path: Path) -> None:
    command(32)
    program = tmp_path / "boiler.py"
    program.write_text(_PROGRAM)
    sipmote = [str(installed.sipmote)]
    with Peer() as desk, Tool("board", "start", "virtual", "--bits", "32", program=sipmote) as board:
        port = board.wait_for(event="ready")["port"]
        values = ("aor=sip:boiler@example.org", f"to=sip:desk@127.0.0.1:{desk.port}", "bind=127.0.0.1:0")
        settings = [word for value in values for word in ("--set", value)]
        with Tool("deploy", str(program), "--port", port, *settings, program=sipmote) as deploy:
            assert deploy.wait() == 0, deploy.transcript()
            assert deploy.lines[-1]["event"] == "deployed"
        assert desk.answer(200).body == b"81 C"
