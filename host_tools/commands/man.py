"""`sipmote man`: the manual page, made of what each command says of its arguments."""

import argparse

from sipmote.console import Lines, Output


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sipmote man`."""
    parser.description = (
        "Print the manual page. `sipmote man | man -l -` shows it; `man sipmote` does, once it is in "
        "~/.local/share/man/man1/sipmote.1."
    )


def run(args: argparse.Namespace) -> int:
    """Print it."""
    from argparse_manpage.manpage import Manpage  # type: ignore[import-untyped]  # with all that follows, for who asks

    from sipmote.__main__ import whole_parser

    page = str(Manpage(whole_parser())).replace("Generated Python Manual", "User Commands")
    Output(args.json).say({"event": "man", "page": page}, Lines(page.rstrip("\n")))
    return 0
