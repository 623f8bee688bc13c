"""The file of users that an inbox knows, and hashes of their passwords.

A line of it is user:realm:algorithm:H(user:realm:password), the hash in hexadecimal, as htdigest has it but for
the algorithm's name. Who can read the hash can do all that the password allows: the file is its owner's alone.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sipmote.agent.auth.digest import is_supported, secret
from sipmote.errors import ToolError
from sipmote.files import alone, write_whole
from sipmote.people import check_name

Users = dict[bytes, dict[bytes, bytes]]  # as agent.auth.server takes them


def algorithm_of(ha1: Any) -> str | None:
    """Return the algorithm whose lower-case hexadecimal hash this may be, None when it is none."""
    if not isinstance(ha1, str) or set(ha1) - set("0123456789abcdef"):
        return None
    return {64: "sha-256", 32: "md5"}.get(len(ha1))


def read_users(path: str, realm: str | None) -> tuple[str, Users]:
    """Return the realm and its users; realm None takes the only one that the file has."""
    lines = [(number, line.rstrip("\r")) for number, line in enumerate(_lines(Path(path)), 1)]
    found: dict[str, Users] = {}
    for number, line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        fields = line.split(":")
        if len(fields) != 4:
            raise ToolError(f"{path}, line {number}: user:realm:algorithm:hash was expected")
        user, of, algorithm, ha1 = fields
        algorithm, ha1 = algorithm.lower(), ha1.rstrip().lower()
        if algorithm_of(ha1) != algorithm:
            raise ToolError(f"{path}, line {number}: SHA-256 or MD5 and such a hash in hexadecimal were expected")
        check_name(f"{path}, line {number}: user", user)
        found.setdefault(of, {}).setdefault(user.encode(), {})[algorithm.encode()] = ha1.encode()
    if realm is None and len(found) == 1:
        (realm,) = found
    if realm is None:
        raise ToolError(f"{path} has users of {len(found)} realms: choose with --realm {' or '.join(found) or 'R'}")
    if realm not in found:
        raise ToolError(f"{path} has no user of realm {realm}: add one with sipmote passwd {path} NAME --realm {realm}")
    check_name("realm", realm)
    return realm, found[realm]


def close_to_others(path: str) -> str:
    """Take from a file of passwords what is not its owner's or group's; returns what was done, or nothing.

    Raises ToolError where only its owner can do that.
    """
    mode = os.stat(path).st_mode & 0o777
    if not mode & 0o027 or os.name == "nt":
        return ""
    try:
        os.chmod(path, mode & ~0o027)
    except OSError:
        raise ToolError(f"{path} can be read or changed by others: say chmod g-w,o-rwx {path}") from None
    return f"{path} could be read or changed by others, and can't any more"


def write_user(path: str, user: str, realm: str, password: str, algorithms: Sequence[bytes]) -> bool:
    """Put a user into the file, in place of all lines it has for the user and the realm; True when there were any.

    algorithms: one hash for each. The file is made if missing, and swapped in whole. Raises ToolError.
    """
    if user.startswith("#"):
        raise ToolError(f"user {user!r}: a line that begins with # is a comment, so choose another name")
    target = Path(path).resolve()  # where a link leads
    with alone(target):
        return _write_user(target, user, realm, password, algorithms)


def _write_user(target: Path, user: str, realm: str, password: str, algorithms: Sequence[bytes]) -> bool:
    old = _lines(target) if target.exists() else []
    kept = [line for line in old if line and line.split(":")[:2] != [user, realm]]
    octets = (user.encode(), realm.encode(), os.fsencode(password))
    new = [
        f"{user}:{realm}:{name.decode()}:{secret(name.lower(), *octets).decode()}"
        for name in algorithms
        if is_supported(name)
    ]
    write_whole(target, "\n".join([*kept, *new, ""]))
    return len(kept) < len(old)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")  # and at nothing else a name may hold
    except FileNotFoundError:
        raise ToolError(f"there is no file {path}: sipmote passwd {path} NAME --realm R makes it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ToolError(f"can't read users from {path}: {getattr(error, 'strerror', 'no UTF-8')}") from None
