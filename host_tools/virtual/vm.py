"""Finding a MicroPython VM: the one asked for, the one installed, or Debian's, fetched and run from a folder.

`python -m sipmote.virtual.vm` fetches both widths ahead of time and prints where they are.
"""

import argparse
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sipmote.errors import ToolError
from sipmote.files import rooms

OLDEST = (1, 24)
_ARCHITECTURES = {32: "i386", 64: "amd64"}
_SUITES = ("forky", "trixie", "sid")  # the first has 1.26.1, the release our figures are measured on
_KEYRINGS = ("/usr/share/keyrings/debian-archive-keyring.pgp", "/usr/share/keyrings/debian-archive-keyring.gpg")
_REMEDY = "install MicroPython 1.24 or later (macOS: brew install micropython), or name one in $MICROPYTHON"


def cache_dir() -> Path:
    """Return the folder for what can be fetched or made again: .cache of a clone, else the user's own cache."""
    clone = rooms()
    if (clone / "pyproject.toml").exists():
        return clone / ".cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sipmote"


def vm_command(bits: int | None = None) -> list[str]:
    """Return the command that runs a MicroPython VM; the caller appends options and a program.

    bits: 32 or 64, the width of its machine word; None takes $VIRTUAL, else what is installed, else 32.
    Raises ToolError when $MICROPYTHON is no such VM, or when none is found and none can be fetched.
    """
    bits = bits or int(os.environ.get("VIRTUAL") or 0) or None
    named = os.environ.get("MICROPYTHON")
    for path in filter(None, (named, shutil.which("micropython"))):
        version, width = _probe([path])
        if version >= OLDEST and bits in (None, width):
            return [path]
        if path == named and version < OLDEST:
            raise ToolError(f"$MICROPYTHON is {named}, which is no MicroPython 1.24 or later")
    root = _debian_vm(bits or 32)
    loader = next(root.glob("usr/lib/*/ld-linux*.so.2"))
    return [str(loader), "--library-path", str(loader.parent), str(root / "usr/bin/micropython")]


def _probe(command: list[str]) -> tuple[tuple[int, ...], int]:
    """Run a VM and return its version and the width of its machine word; ((), 0) when it isn't one."""
    code = "import json, sys; print(json.dumps([sys.implementation.name, sys.implementation[1][:2], sys.maxsize]))"
    try:
        output = subprocess.run([*command, "-c", code], capture_output=True, timeout=20, check=True).stdout
        name, version, largest = json.loads(output)
    except (OSError, ValueError, subprocess.SubprocessError):
        return (), 0
    return (tuple(version), largest.bit_length() + 1) if name == "micropython" else ((), 0)


def _debian_vm(bits: int) -> Path:
    """Return the folder that Debian's VM of this width is unpacked in, fetching it the first time."""
    if bits not in _ARCHITECTURES:
        raise ToolError(f"a VM has 32 or 64 bits, not {bits}")
    root = cache_dir() / "vm" / _ARCHITECTURES[bits]
    if not root.exists():
        root.parent.mkdir(parents=True, exist_ok=True)
        with _lock(root.parent / "lock"):
            if not root.exists():  # nobody fetched it while we waited
                _fetch(root)
    return root


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch(root: Path) -> None:
    """Fetch Debian's micropython with its libraries through apt, and unpack them as root, whole or not at all.

    apt works in a folder of its own, with the archive and the configuration of this machine but neither its
    package lists nor its state; it checks signatures as ever.
    """
    print(f"fetching the MicroPython VM ({root.name})", file=sys.stderr)
    archive = _debian_archive()
    keyring = next(filter(os.path.exists, _KEYRINGS), None)
    options = f"[target=Packages{f' signed-by={keyring}' if keyring else ''}]"
    with tempfile.TemporaryDirectory(dir=root.parent) as folder:
        work = Path(folder)
        for name in ("lists/partial", "archives/partial", "root"):
            (work / name).mkdir(parents=True)
        (work / "status").touch()
        for suite in _SUITES:
            (work / "sources.list").write_text(f"deb {options} {archive} {suite} main\n")
            problem = _apt(work, root.name, "update") or _apt(
                work, root.name, "install", "--yes", "--download-only", "--no-install-recommends", "micropython"
            )
            if not problem:
                break
        else:
            raise ToolError(f"Debian's micropython could not be fetched ({problem}); {_REMEDY}")
        for package in (work / "archives").glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, work / "root"], check=True)
        (work / "root").rename(root)


def _debian_archive() -> str:
    """Return the URI of the archive this machine has its own release from."""
    release = {}
    if os.path.exists("/etc/os-release"):
        release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().split("\n") if "=" in line)
    if release.get("ID") != "debian" or os.uname().machine != "x86_64" or not shutil.which("apt-get"):
        raise ToolError(f"no MicroPython VM here; {_REMEDY}")
    names = (release.get("VERSION_CODENAME"), "stable", "testing", "unstable", "sid")
    listing = ["apt-get", "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"]
    for line in subprocess.run(listing, capture_output=True, text=True).stdout.splitlines():
        name, component, uri = line.split(" ", 2)
        if name in names and component == "main":
            return uri
    raise ToolError(f"apt knows no Debian archive (is `apt-get update` still to be run?); {_REMEDY}")


def _apt(work: Path, architecture: str, *command: str) -> str:
    """Run apt-get in its own folder; returns its last error line, empty when all went well."""
    settings = {
        "Dir::State": work,
        "Dir::State::lists": work / "lists",
        "Dir::State::status": work / "status",
        "Dir::Cache": work,
        "Dir::Cache::archives": work / "archives",
        "Dir::Etc::sourcelist": work / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Update::Error-Mode": "any",  # a list that could not be fetched is an error, not a warning
        "Acquire::Languages": "none",
    }
    if os.geteuid() == 0:
        settings["APT::Sandbox::User"] = "root"  # the folder may lie where apt's own user can't go
    arguments = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    done = subprocess.run(
        ["apt-get", "-qq", *arguments, *command], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    errors = [line for line in done.stderr.splitlines() if line.startswith("E:")]
    return "" if done.returncode == 0 else (errors or [f"apt-get ended with {done.returncode}"])[0]


def main() -> int:
    """Print the command of each VM, fetching what is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m sipmote.virtual.vm", description="Find or fetch the MicroPython VMs."
    )
    parser.add_argument("--bits", type=int, choices=(32, 64), action="append", help="just this width")
    try:
        for bits in parser.parse_args().bits or (32, 64):
            print(*vm_command(bits))
    except ToolError as error:
        print(f"sipmote: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
