"""The acceptance of real boards, on a virtual one: what needs neither Wi-Fi nor a chip."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.vm import ROOT, board


@pytest.mark.timeout(420)
def test_the_field_profile_passes_on_a_virtual_board(tmp_path: Path) -> None:
    """With two resets instead of five, and the patience of a test: what waits in vain says for what"""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-o",
        "addopts=-q",
        "-p",
        "no:cacheprovider",
        "-x",
        "-o",
        "faulthandler_timeout=150",
        "tests/hardware/test_field.py",
    ]
    with board("--dir", str(tmp_path)) as started:
        chosen = {"PORT": started.port, "WIFI": "", "HOST": "", "RESET": "", "KILLS": "2", "SLOW": "60"}
        environment = {**os.environ, **chosen}
        try:
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=400)
        except subprocess.TimeoutExpired as late:
            pytest.fail(f"no end: {late.stdout!r} {late.stderr!r}")
    assert "4 passed, 1 skipped" in done.stdout, done.stdout + done.stderr
