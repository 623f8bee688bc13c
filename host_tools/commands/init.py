"""`sipmote init`: a folder with a board's configuration and a first program, from the answers to a few questions."""

import argparse
import os
import re
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar

from sipmote.agent.errors import ParseError
from sipmote.agent.uri import bracketed, parse_host_port, parse_uri
from sipmote.board.config import Changes, Config, add_wifi, check_values, encode_config, set_keys
from sipmote.console import Output, ask_person, complain
from sipmote.errors import ToolError
from sipmote.files import rooms, write_whole
from sipmote.people import ask_password

_WIFI_VARIABLE = "SIPMOTE_WIFI_PASSWORD"
_REGISTER_S = 3600
_Answer = TypeVar("_Answer")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sipmote init`."""
    parser.description = (
        "Ask who a board is, who gets its alerts and how it gets there, and write mote.json and main.py into a folder. "
        f"Files that are there stay. Passwords come from SIPMOTE_PASSWORD and {_WIFI_VARIABLE}, or prompts."
    )
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path(), metavar="DIR", help="made if missing (default: .)"
    )


def run(args: argparse.Namespace) -> int:
    """Ask, check each answer, write."""
    output = Output(args.json)
    settings, program = args.folder / "mote.json", args.folder / "main.py"
    if settings.exists():
        raise ToolError(f"{settings} is there already: choose another folder, or change it with `sipmote deploy --set`")
    config = _config(args.folder.resolve().name)
    try:
        args.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ToolError(f"can't make the folder {args.folder}: {error.strerror}") from None
    if program.exists():
        output.say({"event": "kept", "file": str(program)}, f"kept {program}")
    else:
        write_whole(program, (rooms() / "micropython" / "examples" / "boiler.py").read_text())
        output.say({"event": "made", "file": str(program)}, f"made {program}, an example: put your own sensor there")
    write_whole(settings, encode_config(config).decode())  # the last: where it is, all is there
    output.say({"event": "made", "file": str(settings)}, f"made {settings}")
    output.say(None, f"next: sipmote deploy {program} --config {settings}")
    return 0


def _config(name: str) -> Config:
    """Ask until all is right; returns the configuration. name: of the board, where none is given."""
    name = _asked(f"what is the board called? [{name}]", lambda text: _user(text or name))
    config = _asked("who gets its alerts, e.g. sip:desk@192.0.2.1, or a name?", lambda text: _set({}, f"to={text}"))
    server = _asked("at which SIP server does it log in, if at any?", _server)
    login = None
    if server:
        host = bracketed(parse_uri(os.fsencode(server)).host).decode()
        config = _set(config, f"proxy={server}", f"register={_REGISTER_S}", f"aor=sip:{name}@{host}")
        user = _asked(f"by which name? [{name}]", lambda text: _set({}, f"user={text or name}")["user"])
        login = user, ask_password(user)
    else:
        config = _asked(
            f"which address or host name has it, as others see it? [{name}.local]",
            lambda text: _set(config, f"aor=sip:{name}@{_host(text or f'{name}.local')}"),
        )
    wifi = _asked("which Wi-Fi does it join, if any?", _wifi)
    return Changes([], wifi, login).apply(config, "mote.json")


def _asked(question: str, read: Callable[[str], _Answer]) -> _Answer:
    """Ask until the answer can be read; what is wrong with it comes as a ToolError."""
    while True:
        text = ask_person(question)
        try:
            return read(text)
        except ToolError as error:
            complain(str(error))


def _set(config: Config, *assignments: str) -> Config:
    """Return config with each KEY=VALUE put in; raises ToolError for a value that won't do, or none."""
    changed = set_keys(config, list(assignments))
    check_values(changed, "that won't do")
    if len(changed) == len(config):
        raise ToolError("an answer was expected")
    return changed


def _user(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,62}", name):
        raise ToolError(f"{name}: letters, digits, -, _, + and . were expected, 63 at most, as in boiler-3")
    return name


def _host(text: str) -> str:
    """Return a host, with its port if it has one; an IPv6 address gets its brackets."""
    text = f"[{text}]" if text.count(":") > 1 and "[" not in text else text
    try:
        host = parse_host_port(text.encode())[0].decode()
        if host.startswith("-") or ".." in host:
            raise ValueError
        if (":" in host or host.rpartition(".")[2].isdigit()) and ip_address(host.strip("[]")).is_unspecified:
            raise ValueError
    except (ParseError, ValueError):
        raise ToolError(f"{text}: an address such as 192.0.2.7 or a name such as boiler.local was expected") from None
    return text


def _server(text: str) -> str:
    """Return the URI of a server, "" for none."""
    if text.lower() in ("", "-", "n", "no", "none"):
        return ""
    scheme, colon, rest = text.partition(":")
    uri = f"{scheme.lower()}:{rest}" if colon and scheme.lower() in ("sip", "sips") else f"sip:{text}"
    _set({}, f"proxy={uri}")
    parsed = parse_uri(os.fsencode(uri))
    if parsed.user:
        raise ToolError(f"{text}: the server alone was expected, such as example.org; the name is asked for next")
    _host(bracketed(parsed.host).decode())
    return uri


def _wifi(ssid: str) -> tuple[str, str] | None:
    """Return name and password of a network, None for none."""
    if not ssid:
        return None
    password = ask_password(f"{ssid} (nothing for an open network)", variable=_WIFI_VARIABLE)
    check_values(add_wifi({}, ssid, password), "that won't do")
    return ssid, password
