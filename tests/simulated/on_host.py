"""Runs a simulated board from CPython: the other modules of this folder run on the VM alone."""

import json
import os
import subprocess
from typing import Any

from tests.vm import ROOT, command

_PROGRAM = "import json\nfrom tests.simulated.%s import %s as scenario\nprint('\\n' + json.dumps(scenario(*%r)))"


def simulated(scenario: str, *arguments: Any, bits: int = 32, heap: str = "32m", seconds: float = 60) -> Any:
    """Call a function, "module.function", on a VM; returns what it returned. It has to end in so many seconds."""
    done = subprocess.run(
        [*command(bits), "-X", f"heapsize={heap}", "-c", _PROGRAM % (*scenario.split("."), arguments)],
        cwd=ROOT,
        env={**os.environ, "MICROPYPATH": ".:micropython:.frozen"},
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])
