"""`sipmote passwd`: who may send to an inbox, and with which password."""

import argparse

from sipmote.console import Output
from sipmote.people import PASSWORD_VARIABLE, ask_password, check_name
from sipmote.users import read_users, write_user


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sipmote passwd`."""
    parser.description = (
        "Set a user's password in a file for sipmote inbox --users. Only hashes are kept, and the file is readable "
        f"for its owner alone. The password comes from {PASSWORD_VARIABLE} or a prompt. To take a user away, delete "
        "the line."
    )
    parser.add_argument("file", metavar="FILE", help="made if it isn't there")
    parser.add_argument("user", metavar="USER")
    parser.add_argument("--realm", metavar="R", help="what the password is for, e.g. a domain (default: the file's)")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--md5", action="store_true", help="a hash for clients that know nothing better, too")
    choice.add_argument(
        "--md5-only",
        action="store_true",
        help="no other hash: for clients that read the first challenge only, as most of before 2020 do",
    )


def run(args: argparse.Namespace) -> int:
    """Ask for the password and write the file."""
    check_name("user", args.user)
    realm = args.realm
    if realm is None:
        realm, _ = read_users(args.file, None)
    check_name("realm", realm)
    password = ask_password(args.user, twice=True)
    algorithms = (b"MD5",) if args.md5_only else (b"SHA-256", b"MD5") if args.md5 else (b"SHA-256",)
    changed = write_user(args.file, args.user, realm, password, algorithms)
    done = "changed" if changed else "added"
    event = {"event": done, "user": args.user, "realm": realm, "file": args.file}
    Output(args.json).say(event, f"{args.user} of {realm}: {done} in {args.file}")
    return 0
