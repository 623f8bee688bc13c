"""`sipmote names`: short names for URIs, for use wherever a command takes a URI."""

import argparse
import difflib
import os

from sipmote.agent.errors import ParseError
from sipmote.agent.uri import parse_uri
from sipmote.console import Output
from sipmote.errors import ToolError
from sipmote.people import normal, read_names, write_name

_SCHEMES = (b"sip", b"sips", b"im", b"tel")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sipmote names`."""
    parser.description = (
        "Keep short names for URIs, in names.json in the data folder. A name can stand wherever send, ask, inbox, "
        "history --from and deploy --set to= take a URI."
    )
    parser.add_argument("action", nargs="?", choices=("list", "add", "remove"), default="list", help="default: list")
    parser.add_argument("name", nargs="?", metavar="NAME")
    parser.add_argument("uri", nargs="?", metavar="URI", help="for add, e.g. sip:desk@192.0.2.1")


def run(args: argparse.Namespace) -> int:
    """List the names, or change one."""
    output = Output(args.json)
    args.name = None if args.name is None else normal(args.name)
    if args.action == "add":
        _check(args.name, args.uri)
        before = write_name(args.name, args.uri)
        done = "added" if before is None else "changed"
        was = f", and not {before} any more" if before not in (None, args.uri) else ""
        output.say({"event": done, "name": args.name, "uri": args.uri}, f"{args.name} is {args.uri}{was}")
    elif args.action == "remove":
        if args.uri is not None:
            raise ToolError(f"remove takes a name alone: leave {args.uri} out")
        _remove(args.name, output)
    else:
        if args.name is not None:
            raise ToolError("list takes no name: sipmote names add NAME URI, or sipmote names remove NAME")
        _list(output)
    return 0


def _check(name: str | None, uri: str | None) -> None:
    """Raise ToolError for what can't be a name, so that it is never taken for something else, or is no URI."""
    if name is None or uri is None:
        raise ToolError("sipmote names add wants a name and a URI, such as desk sip:desk@192.0.2.1")
    if not all(c.isalnum() or c in "-_." for c in name) or not name[:1].isalnum():
        raise ToolError(f"{name!r} is no name: letters, digits, -, _ and . were expected, a letter or digit first")
    try:
        scheme = parse_uri(os.fsencode(uri)).scheme
    except ParseError as error:
        raise ToolError(f"{uri}: {error.detail}, such as sip:desk@192.0.2.1") from None
    if scheme not in _SCHEMES:
        raise ToolError(f"{uri}: messages go to sip:, sips:, im: and tel: URIs")


def _remove(name: str | None, output: Output) -> None:
    names = read_names()
    if name not in names:
        near = difflib.get_close_matches(name or "", names, 1)
        raise ToolError(f"there is no name {name or 'given'}" + (f"; is {near[0]} meant?" if near else ""))
    write_name(name, None)
    output.say({"event": "removed", "name": name, "uri": names[name]}, f"{name} is nobody's name any more")


def _list(output: Output) -> None:
    names = read_names()
    for name, uri in sorted(names.items()):
        output.say({"event": "name", "name": name, "uri": uri}, (name, "bold"), f"  {uri}")
    if not names:
        output.say(None, "there are no names yet; `sipmote names add desk sip:desk@192.0.2.1` makes one")
