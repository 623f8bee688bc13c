"""`sipmote config`: the mote.json of a board, shown and changed key by key."""

import argparse
import difflib
import json
import shutil
import textwrap
from typing import Any

from sipmote.board.arguments import add_passwords, changes
from sipmote.board.config import Config
from sipmote.board.schema import KEYS, plain
from sipmote.board.stored import ON_BOARD, read_stored, shown, with_bind, write_stored
from sipmote.board.transfer import stopped_board
from sipmote.console import Output
from sipmote.errors import ToolError
from sipmote.link.arguments import add_port, port_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sipmote config`."""
    parser.description = (
        "Show or change mote.json on a board, which stops for it and starts again. show: all that it says, get: one "
        "key, set: KEY=VALUE, and passwords by the options below, unset: KEY, keys: what there is, without a board. "
        "Exit code 1 where get finds nothing."
    )
    parser.add_argument("action", choices=("show", "get", "set", "unset", "keys"))
    parser.add_argument("what", nargs="*", metavar="KEY[=VALUE]")
    add_port(parser)
    add_passwords(parser)


def run(args: argparse.Namespace) -> int:
    """Do one of the actions."""
    output = Output(args.json)
    _check(args)
    if args.action == "keys":
        _say_keys(output, args.what)
        return 0
    if args.action in ("show", "get"):
        return _show(output, port_of(args), args.what)
    return _change(output, args)


def _check(args: argparse.Namespace) -> None:
    """Raise ToolError for what can't be meant, before a board is disturbed."""
    passwords = args.wifi or args.user or args.commander
    if args.action != "set" and passwords:
        raise ToolError(f"--wifi, --user and --commander change a configuration: sipmote config set, not {args.action}")
    if args.action in ("get", "unset") and not args.what:
        raise ToolError(f"config {args.action}: which key? sipmote config keys lists them")
    if args.action == "set" and not (args.what or passwords):
        raise ToolError("config set: KEY=VALUE was expected, such as register=600")
    for word in args.what:
        key = word.partition("=")[0] if args.action == "set" else word
        if key not in KEYS and args.action != "unset":  # a board may have one that nobody knows
            close = difflib.get_close_matches(key, KEYS, 1)
            raise ToolError(
                f"unknown key {key!r}; " + (f"is {close[0]} meant?" if close else "sipmote config keys lists them")
            )


def _say_keys(output: Output, wanted: list[str]) -> None:
    """Say what keys there are, or these."""
    columns = min(shutil.get_terminal_size().columns, 120)
    for name, key in KEYS.items():
        if wanted and name not in wanted:
            continue
        event = {"event": "key", "key": name, "meaning": plain(key.meaning), "default": plain(key.default)}
        output.say(event, (f"{name:16}", "bold"), f"default: {plain(key.default)}")
        for line in textwrap.wrap(plain(key.meaning), columns - 18):
            output.say(None, " " * 16 + line)


def _show(output: Output, device: str, wanted: list[str]) -> int:
    with stopped_board(device, output.warn) as board:
        config = read_stored(board)
        board.restart()
    if config is None:
        raise ToolError("the board has no mote.json yet: sipmote provision, or sipmote deploy --set KEY=VALUE")
    for key in wanted or sorted(config):
        if key in config:
            value = shown(key, config[key])
            line = [_text(value)] if wanted else [(f"{key:16}", "bold"), _text(value)]
            output.say({"event": "setting", "key": key, "value": value}, *line)
        else:
            default = plain(KEYS[key].default)
            event = {"event": "setting", "key": key, "value": None, "default": default}
            output.warn(f"{key} is not set (default: {default})", event)
    return 0 if set(wanted) <= set(config) else 1


def _change(output: Output, args: argparse.Namespace) -> int:
    assignments = args.what if args.action == "set" else [f"{key}=" for key in args.what]
    changed = changes(args, assignments)
    device = port_of(args)
    with stopped_board(device, output.warn) as board:
        old = read_stored(board) or {}
        new = with_bind(changed.apply(_rest(old, args), ON_BOARD), device)
        if new != old:
            write_stored(board, new)
        board.restart()
    _say_changes(output, old, new)
    return 0


def _rest(old: Config, args: argparse.Namespace) -> Config:
    """Return what stays: what is replaced may be wrong. The aor does stay: it is what commanders' passwords are for."""
    named = {word.partition("=")[0] for word in args.what} - ({"aor"} if args.action == "set" else set())
    return {key: value for key, value in old.items() if key not in named}


def _say_changes(output: Output, old: Config, new: Config) -> None:
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            before, after = _part(key, old), _part(key, new)
            event = {"event": "changed", "key": key, "old": before, "new": after}
            output.say(event, (f"{key:16}", "bold"), f"{_text(before)} -> {_text(after)}")
    if old == new:
        output.say({"event": "unchanged"}, "nothing to change: the board has all of that already")
    text = _who_may_command(old, new)
    if text:
        output.warn(text, {"event": "warning", "text": text})


def _who_may_command(old: Config, new: Config) -> str | None:
    """Return who may command a board from now on, where that has become wider by what was taken out."""
    if "commanders" in old and "commanders" not in new:
        who = "allow" if "allow" in new else "to"
        return f"without commanders no password is asked for: who writes in a name of {who} commands the board"
    if "allow" in old and "allow" not in new and "commanders" not in new:
        return 'without allow, those in to command the board; "allow": [] in mote.json is for nobody'
    return None


def _part(key: str, config: Config) -> Any:
    return shown(key, config[key]) if key in config else None


def _text(value: Any) -> str:
    """Return a value as a person writes it."""
    return value if isinstance(value, str) else "(not set)" if value is None else json.dumps(value, ensure_ascii=False)
