"""The portable tests once more, on MicroPython: each module of tests/agent, on both widths."""

import subprocess

import pytest

from tests.vm import ROOT, command

_MODULES = sorted(path.stem for path in (ROOT / "tests" / "agent").glob("test_*.py"))
_HEAP = {32: "208k", 64: "384k"}  # sources are compiled on the VM, and the tests themselves take their share


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("module", _MODULES)
def test_module_passes_on_micropython(module: str, bits: int) -> None:
    done = subprocess.run(
        [*command(bits), "-X", f"heapsize={_HEAP[bits]}", "tests/run_on_vm.py", f"tests.agent.{module}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed, 0 failed" in done.stdout and not done.stdout.startswith("0 passed"), done.stdout
