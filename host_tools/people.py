"""Who somebody is: persons in URIs and their short names, the one at this computer, and passwords."""

import difflib
import getpass
import json
import os
import sys
import unicodedata
from pathlib import Path
from urllib.parse import quote

from sipmote.agent.errors import ParseError, UsageError
from sipmote.agent.escapes import unescape
from sipmote.agent.uri import bracketed, parse_uri
from sipmote.errors import ToolError
from sipmote.files import alone, data_folder, write_whole
from sipmote.sip.places import normal_host

PASSWORD_VARIABLE = "SIPMOTE_PASSWORD"


def person(uri: str) -> str:
    """Return user and host of a URI, whatever its scheme: one person has im: and sip: URIs. Of nobody, the host.

    The host is in its normal form, however it was spelled.
    """
    try:
        parsed = parse_uri(uri.encode())
    except ParseError:
        return uri
    host = normal_host(parsed.host).decode()
    return host if host == "anonymous.invalid" else f"{unescape(parsed.user or b'')!r}@{host}"


def logins(uri: str) -> tuple[str, str]:
    """Return the names by which the person of a URI may log in: his user part, and that with his host."""
    try:
        parsed = parse_uri(uri.encode())
    except ParseError:
        return "", ""
    name = unescape(parsed.user or b"").decode("utf-8", "replace")
    return name, f"{name}@{parsed.host.decode()}"


def user_name() -> bytes:
    """Return the name of the person at this computer as the user part of a URI."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = ""
    return "".join([c for c in name if c.isascii() and (c.isalnum() or c in "-_.")]).encode() or b"sipmote"


def account(login: bytes, target: bytes, proxy: bytes | None) -> bytes:
    """Return the address-of-record of who logs in at the server of target, e.g. sip:alice@example.org.

    login: a name, which may have a domain of its own. target, proxy: URIs; the proxy's host where target has none, as
    a tel: URI.
    """
    user, _, domain = login.rpartition(b"@") if b"@" in login else (login, b"", b"")
    host = domain or parse_uri(target).host or parse_uri(proxy or target).host or b"localhost"
    return b"sip:%s@%s" % (quote(user, "&=+$,;?/!~*'()").encode(), bracketed(host))


def read_names() -> dict[str, str]:
    """Return name -> URI, as `sipmote names` has written them; raises ToolError for a file that holds something else.

    A person writes a name wherever a URI is wanted. Which one is meant is settled here, and no peer ever sees it.
    """
    path = _names_file()
    try:
        names = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ToolError(f"can't read {path}: {error.strerror}") from None
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, dict) or not all(isinstance(uri, str) for uri in names.values()):
        raise ToolError(f"{path} holds no names: mend it, or move it away and add them again")
    return {normal(name): uri for name, uri in names.items()}


def normal(name: str) -> str:
    """Return a name as we keep it: an accented letter is one character, and not a letter and an accent (NFC).

    Both look the same, and which of them comes depends on the keyboard and on the system.
    """
    return unicodedata.normalize("NFC", name)


def write_name(name: str, uri: str | None) -> str | None:
    """Have a name stand for a URI, or, with None, for nothing; returns what it stood for before. Raises ToolError."""
    path = _names_file()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ToolError(f"can't write {path}: {error.strerror}") from None
    with alone(path):
        names = read_names()
        name = normal(name)
        before = names.pop(name, None)
        if uri is not None:
            names[name] = uri
        write_whole(path, json.dumps(names, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    return before


def _names_file() -> Path:
    return data_folder() / "names.json"


def named(text: str) -> str:
    """Return the URI that a name stands for, a URI as it is. Raises UsageError, with a remedy, for what is neither."""
    if ":" in text:
        return text
    names = read_names()
    if normal(text) in names:
        return names[normal(text)]
    near = [f"sip:{text}"] if "@" in text else difflib.get_close_matches(text, names, 1)
    meant = f"; is {near[0]} meant?" if near else ""
    raise UsageError(
        f"{text}: a URI such as sip:desk@192.0.2.1, or a name that `sipmote names add` has made, was expected{meant}"
    )


def is_name(name: str) -> bool:
    """Can this be a user or a realm in a digest?"""
    return name != "" and name.isprintable() and name == name.strip() and not any(c in ':"\\' for c in name)


def check_name(kind: str, name: str) -> None:
    """Raise ToolError for a name that can't stand in a digest; kind: what it names."""
    if not is_name(name):
        raise ToolError(f"{kind} {name!r}: a name without colons, quotes, backslashes and outer blanks was expected")


def ask_password(whose: str, file: str | None = None, variable: str = PASSWORD_VARIABLE, twice: bool = False) -> str:
    """Return a password: the first line of file, else from the environment variable, else from a prompt.

    whose: for the prompt and the error, e.g. "alice". twice: it is a new one, so a prompt asks for it again.
    """
    if file is not None:
        try:
            return Path(file).read_text(encoding="utf-8").partition("\n")[0].removesuffix("\r")
        except (OSError, UnicodeDecodeError) as error:
            raise ToolError(f"can't read a password from {file}: {getattr(error, 'strerror', 'no UTF-8')}") from None
    text = os.environ.get(variable, "")
    if variable not in os.environ:
        if not (sys.stdin.isatty() or sys.stderr.isatty()):
            raise ToolError(f"no password for {whose}: set {variable}")
        text = _typed(f"password of {whose}: ")
        if twice and _typed("the same again: ") != text:
            raise ToolError("the two passwords differ: nothing was changed")
    if twice and not text:
        raise ToolError("an empty password lets everybody in: nothing was changed")
    return text


def _typed(prompt: str) -> str:
    try:
        return getpass.getpass(prompt)
    except EOFError:
        print(file=sys.stderr)
        raise ToolError("no password: nothing was changed") from None
