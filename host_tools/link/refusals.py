"""Why a serial port can't be opened, in words that say what to do: who has it, who may have it, where it is missing."""

import contextlib
import errno
import os
import platform
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

_BUSY = (errno.EWOULDBLOCK, errno.EBUSY)
_MODEM_MANAGER = "ModemManager"
_CONTAINERS = ("/.dockerenv", "/run/.containerenv")  # what Docker and Podman leave in each of theirs


def why_not_open(device: str, error: OSError | ValueError, there: Sequence[str]) -> str:
    """Return a line about a port that could not be opened. there: the ports that there are."""
    if "://" in device:
        return f"{device} can't be opened: {error}"
    number = _number(error)
    is_there = os.path.exists(device) or device in there
    if number == errno.ENOENT and is_there:
        return f"{device} comes or goes just now: try again"
    if not is_there:
        return f"no port {device} (ports there are: {', '.join(there) or f'none; {none_there()}'})"
    if number in _BUSY:
        return f"{device} is in use{_by_whom(device)}"
    if number == errno.EPERM and _is_in_container():
        return f"this container may not use {device}: start it with --device {device}"
    if number in (errno.EACCES, errno.EPERM):
        return f"no permission to open {device}: {_permission_remedy(device)}"
    if os.path.exists(device) and not stat.S_ISCHR(os.stat(device).st_mode):
        return f"{device} is not a serial port"
    return f"{device} can't be opened: {error}; unplug the board and plug it in again"


def none_there() -> str:
    """Return what to do where there is no port at all."""
    if _is_in_container():
        return "a container has the ports that it was started with: --device /dev/ttyUSB0"
    if "microsoft" in platform.release().lower():
        return "Windows has to lend it to WSL: usbipd attach --wsl --busid ..."
    return "plug one in; is the cable a data cable?"


def is_probed(device: str, error: OSError | ValueError) -> bool:
    """Is a port in use because ModemManager looks whether it is a modem, as it does with what was just plugged in?"""
    if _number(error) not in _BUSY or "://" in device:
        return False
    holder = _holder(device)
    return holder[1] == _MODEM_MANAGER if holder else any(_command(pid) == _MODEM_MANAGER for pid in _processes())


def _number(error: OSError | ValueError) -> int | None:
    """Return the errno. pyserial has none on Windows, where "access denied" means that somebody has the port."""
    number = error.errno if isinstance(error, OSError) else None
    if number is None and "PermissionError" in str(error):
        return errno.EBUSY
    if number is None and "FileNotFoundError" in str(error):
        return errno.ENOENT
    return number


def _by_whom(device: str) -> str:
    holder = _holder(device)
    if holder is None:
        outside = ", maybe outside of this container" if _is_in_container() else ""
        return f": end the other program that has it open{outside} (monitor, mpremote, an IDE)"
    pid, command = holder
    if command == _MODEM_MANAGER:
        return (
            " by ModemManager, which takes it for a modem: sudo systemctl disable --now ModemManager, or have udev set "
            "ID_MM_DEVICE_IGNORE=1 for it"
        )
    return f" by {command} (process {pid}): end it first"


def _holder(device: str) -> tuple[int, str] | None:
    """Return (process id, command) of who has a port open; None where that can't be known, as of other users."""
    path = os.path.realpath(device)
    for pid in _processes():
        if pid != os.getpid() and path in _opened(pid):
            return pid, _command(pid)
    return None


def _opened(pid: int) -> Iterator[str]:
    """Yield the files that a process has open, as far as we may know."""
    with contextlib.suppress(OSError):
        for link in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):  # closed just now
                yield os.readlink(link)


def _processes() -> list[int]:
    """Return the ids of all processes, but none where there is no /proc."""
    with contextlib.suppress(OSError):
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return []


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def _is_in_container() -> bool:
    return any(os.path.exists(path) for path in _CONTAINERS)


def _permission_remedy(device: str) -> str:
    try:
        gid = os.stat(device).st_gid
    except OSError:
        return "close the program that has it open, or run as a user who may use serial ports"
    inside = f"; start a container with --group-add {gid}" if _is_in_container() else ""
    try:
        import grp

        group = grp.getgrgid(gid).gr_name
    except (ImportError, KeyError):
        return f"close the program that has it open, or run as a user who may use serial ports{inside}"
    return f"join the group {group} (sudo usermod -aG {group} $USER, then log in again){inside}"
