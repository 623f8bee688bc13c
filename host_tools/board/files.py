"""What belongs on a board, and where it comes from."""

import base64
import re
from pathlib import Path

from sipmote.errors import ToolError
from sipmote.files import rooms

HOME = rooms()
FOLDERS = ("/lib/agent", "/lib/mote")  # ours on a board, with all that is in them
PACKAGES = tuple(f"{folder}/" for folder in FOLDERS)
LARGE_PROGRAM = "/main_program.mpy"  # what /main.py imports where it is large
ROOT_FILES = ("/boot.py", "/main.py", "/mote.json", "/ca.der", "/client.der", "/client.key.der")
FINISHER = "/main.py.swap"  # what is /main.py for a moment, while files take their places
MARK = "/lib/mote.sha256"  # says which packages deploy has put there; without it deploy hashes all of their files


def packages() -> dict[str, Path]:
    """Return folder on the board -> folder with its sources, sub-packages included."""
    return {"/lib/agent": HOME / "agent", "/lib/mote": HOME / "micropython" / "mote"}


def boot_file() -> bytes:
    """Return /boot.py, which is ours."""
    return read_file(HOME / "micropython" / "boot.py")


def first_program() -> bytes:
    """Return the /main.py for a board that has none."""
    return read_file(HOME / "micropython" / "main.py")


def certificates(ca: Path | None, certificate: Path | None, key: Path | None) -> dict[str, bytes]:
    """Return path on the board -> DER of these PEM files; a key that is not given is in the certificate's file."""
    files = {}
    if ca:
        files["/ca.der"] = _der(ca, "CERTIFICATE")
    if certificate:
        files["/client.der"] = _der(certificate, "CERTIFICATE")
        files["/client.key.der"] = _der(key or certificate, "PRIVATE KEY")
    return files


def read_file(path: Path) -> bytes:
    """Return what is in a file; raises ToolError that names it."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ToolError(f"can't read {path}: {error.strerror}") from None


def _der(path: Path, kind: str) -> bytes:
    """Return the first thing of a kind in a PEM file (RFC 7468)."""
    found = re.search(
        rf"-----BEGIN [A-Z ]*{kind}-----(.*?)-----END", read_file(path).decode("ascii", "replace"), re.DOTALL
    )
    try:
        if found:
            return base64.b64decode("".join(found[1].split()), validate=True)
    except ValueError:
        pass
    raise ToolError(f"{path} holds no {kind} in PEM form, unencrypted")
