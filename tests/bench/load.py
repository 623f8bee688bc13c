"""What UASes carry: SIPp sends MESSAGE at rising rates to each, on loopback, all in the same run."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_BENCH = Path(os.environ.get("SHARED", "../shared"), "bench")
_VENV = Path(".cache/bench-venv")
_PACKAGES = ("sipmessage", "aiosipua", "sippy")
_RATES = (2000, 4000, 6000, 8000, 10000, 12000, 14000, 16000, 20000, 25000, 30000, 40000)  # offered a second
_CALLS = 30_000  # at each rate
_OPEN = 200  # at once; a UAS can't be asked for more than these in the time it takes for one
_SIPP = "SIPp's own UAS"
FLOOR = "a stateless UAS of twenty lines of Python"
INBOX = "sipmote inbox --json --db FILE"
SIPPY = "sippy with its transactions"


def peers_python() -> str:
    """Return a Python that has the packages we are measured against; they are installed when it is first asked for."""
    python = str(_VENV / "bin" / "python")
    if not Path(python).exists():
        subprocess.run([sys.executable, "-m", "venv", _VENV], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *_PACKAGES], check=True)
    return python


def lacking() -> str:
    """Return what measuring takes and isn't here, or nothing."""
    if not shutil.which("sipp"):
        return "SIPp (Debian: sip-tester)"
    return "" if _BENCH.exists() else f"{_BENCH} (or another folder than ../shared in $SHARED)"


def carried(who: str) -> tuple[int, int] | None:
    """Return (transactions a second, offered a second) where who carried most, none of them failed or sent again.

    None when it did not do so at any rate.
    """
    with tempfile.TemporaryDirectory(dir=".cache") as folder:
        command = [sys.executable, str(_BENCH / "sipp/run_sipp.py"), "--calls", str(_CALLS), "--limit", str(_OPEN)]
        command += ["--rates", *map(str, _RATES)]
        if who != _SIPP:
            command += ["--start", _uas(who, folder)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = re.findall(r"^ *(\d+) +(\d+) +(\d+) +0 +0 ", said, re.MULTILINE)
    return max([(int(rate), int(offered)) for offered, rate, ok in rows if int(ok) == _CALLS], default=None)


def _uas(who: str, folder: str) -> str:
    """Return the command that starts a UAS, as run_sipp.py wants it."""
    if who == INBOX:
        command = [sys.executable, "-m", "host_tools", "inbox", "--json", "--db", f"{folder}/inbox.db"]
        return shlex.join([*command, "--bind", "udp:127.0.0.1:{port}"])
    name = {FLOOR: "floor", SIPPY: "sippy"}[who]
    return shlex.join([peers_python(), str(_BENCH / "uas_peers.py"), name, "{port}"])


UASES = (FLOOR, INBOX, SIPPY, _SIPP)
