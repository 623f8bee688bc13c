"""`sipmote history`: what an inbox has stored."""

import argparse
import csv
import os
import sys
from collections.abc import Iterable
from datetime import datetime

from sipmote.agent.uri import parse_uri
from sipmote.console import Output, Part
from sipmote.errors import ToolError
from sipmote.inbox.history import Query, Stored, find, shown
from sipmote.inbox.screen import content_of, sender_of
from sipmote.inbox.sqlite import default_path
from sipmote.inbox.table import COLUMNS, cells
from sipmote.moments import FORMS, check_order, since, until, whole
from sipmote.people import normal, read_names

_MARK = " " * 18 + "| "  # what a message goes on in, and nothing of ours begins with


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sipmote history`."""
    parser.description = "Show what an inbox has stored, the newest last. An inbox may be running meanwhile."
    parser.add_argument(
        "text", metavar="TEXT", nargs="?", default="", help="only messages with this in text or subject"
    )
    parser.add_argument(
        "--from", dest="sender", metavar="WHO", default="", help="only those from whom this is part of, or the name"
    )
    parser.add_argument("--since", type=since, metavar="WHEN", help=f"only what came then or later: {FORMS}")
    parser.add_argument(
        "--until", type=until, metavar="WHEN", help="only what came then or before, a whole day included"
    )
    parser.add_argument(
        "--limit", type=whole(0), default=50, metavar="N", help="the newest N of them, 0 for all (default: %(default)s)"
    )
    parser.add_argument(
        "--csv", action="store_true", help="as a table, with ' before what a spreadsheet would take for a formula"
    )
    parser.add_argument(
        "--db",
        metavar="FILE|URL",
        help="the inbox's file (default: inbox.db in the data folder), or its postgresql://USER@HOST/DATABASE",
    )


def run(args: argparse.Namespace) -> int:
    """Show the messages that are wanted."""
    if args.csv and args.json:
        raise ToolError("--csv and --json: one of the two, please")
    output = Output(args.json, mark=_MARK)
    check_order(args.since, args.until)
    query = Query(args.text, _sender(args.sender), args.since, args.until, args.limit)
    path = args.db or str(default_path())
    found, path = find(path, query), shown(path)
    if args.csv:
        _write_table(found, output)
        return 0
    is_empty = True
    for one in found:
        is_empty = False
        if isinstance(one, str):
            output.warn(one, {"event": "warning", "text": one})
        else:
            output.show((one,), Stored.line, _message)
    if is_empty and not args.json:
        output.warn(f"{path} has no {'message' if query == Query(limit=args.limit) else 'such message'}")
    return 0


def _sender(text: str) -> str:
    """Return user and host of who has this name, any other text as it is."""
    uri = read_names().get(normal(text)) if text else None
    return text if uri is None else parse_uri(os.fsencode(uri)).address_of_record().decode().partition(":")[2]


def _message(one: Stored) -> list[Part]:
    """Return the line of a message for people."""
    message = one.message
    line: list[Part] = [(datetime.fromtimestamp(message.received).strftime("%Y-%m-%d %H:%M:%S "), "dim")]
    if one.signature == "good":
        line.append(("signed ", "green"))
    line += sender_of(message)
    marks = [mark for mark in ("expired", "stale") if getattr(message, mark)]
    if message.disguised:
        marks.append(f"in the name of {message.author}")
    if one.signature not in (None, "good"):
        marks.append(f"signature {one.signature}")
    line += [(f" [{mark}]", "bold red") for mark in marks]
    return [*line, *content_of(message)]


def _write_table(found: Iterable[Stored | str], output: Output) -> None:
    """Write lines of comma-separated values (RFC 4180) to stdout."""
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(COLUMNS)
    for one in found:
        if isinstance(one, str):
            output.warn(one)
            continue
        table.writerow(cells(one.line()))
    sys.stdout.flush()
