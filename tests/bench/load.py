"""What UASes carry: SIPp sends MESSAGE at rising rates to each, on loopback, all in the same run.

SIPp itself stops at some 30,000 a second of a core, so the lightest UASes can do more than is seen here. CPU time tells
how much, and moves less with what else the machine does.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.interop.peers import free_port, wait_until

_BENCH = Path(os.environ.get("SHARED", "../shared"), "bench")
_VENV = Path(".cache/bench-venv")
_PACKAGES = ("sipmessage", "aiosipua", "sippy")
_RATES = (2000, 4000, 6000, 8000, 10000, 12000, 14000, 16000, 20000, 25000, 30000, 40000)  # offered a second
_CALLS = 30_000  # at each rate
_OPEN = 200  # at once; a UAS can't be asked for more than these in the time it takes for one
SIPP = "SIPp's own UAS"
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


class Carried(NamedTuple):
    """What one UAS did."""

    most: int | None  # transactions a second where it carried most, none failed and none sent again
    offered: int | None  # a second, then
    cpu_ns: int  # of its process, the kernel's for it included, for a transaction, all rates together


def carried(who: str) -> Carried:
    """Run SIPp against a UAS at rising rates."""
    port = str(free_port())
    with tempfile.TemporaryDirectory(dir=".cache") as folder:
        command = [argument.replace("{port}", port) for argument in _uas(who, folder)]
        uas = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            listening = f":{int(port):04X} "
            wait_until(lambda: listening in Path("/proc/net/udp").read_text())
            begun = _cpu_ns(uas.pid)
            said = _run_sipp("--uas", f"127.0.0.1:{port}")
            spent = _cpu_ns(uas.pid) - begun
        finally:
            uas.terminate()
            uas.wait()
    rows = re.findall(r"^ *(\d+) +(\d+) +(\d+) +(\d+) +(\d+) ", said, re.MULTILINE)
    good = [(int(rate), int(offered)) for offered, rate, ok, *bad in rows if int(ok) == _CALLS and bad == ["0", "0"]]
    most, offered = max(good, default=(None, None))
    return Carried(most, offered, spent // sum(int(row[2]) for row in rows))


def _run_sipp(*more: str) -> str:
    command = [sys.executable, str(_BENCH / "sipp/run_sipp.py"), "--calls", str(_CALLS), "--limit", str(_OPEN), *more]
    command += ["--rates", *map(str, _RATES)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _cpu_ns(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def _uas(who: str, folder: str) -> list[str]:
    """Return the command that starts a UAS at {port}."""
    if who == INBOX:
        command = [sys.executable, "-m", "sipmote", "inbox", "--json", "--db", f"{folder}/inbox.db"]
        return [*command, "--bind", "udp:127.0.0.1:{port}"]
    if who == SIPP:
        scenario = str((_BENCH / "sipp/uas_message.xml").resolve())
        return ["sipp", "-sf", scenario, "-i", "127.0.0.1", "-p", "{port}", "-nostdin", "-buff_size", "2000000"]
    return [peers_python(), str(_BENCH / "uas_peers.py"), {FLOOR: "floor", SIPPY: "sippy"}[who], "{port}"]


UASES = (FLOOR, INBOX, SIPPY, SIPP)
