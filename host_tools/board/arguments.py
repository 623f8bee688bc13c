"""The arguments that change a configuration, and what they stand for: `deploy`, `config` and `provision` have them."""

import argparse
from collections.abc import Sequence

from sipmote.board.config import Changes, add_wifi, check_values, set_keys
from sipmote.people import PASSWORD_VARIABLE, ask_password, check_name

WIFI_VARIABLE = "SIPMOTE_WIFI_PASSWORD"
COMMANDER_VARIABLE = "SIPMOTE_COMMANDER_PASSWORD"


def add_passwords(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of what has a password, which is asked for."""
    parser.add_argument(
        "--wifi", metavar="SSID", help=f"network to join; the password comes from {WIFI_VARIABLE} or a prompt"
    )
    parser.add_argument(
        "--user",
        metavar="NAME",
        help=f"whom the board is to a server that asks; the password comes from {PASSWORD_VARIABLE} or a prompt",
    )
    parser.add_argument(
        "--commander",
        metavar="NAME",
        help="let this user command the board, and nobody without a password; it comes from "
        f"{COMMANDER_VARIABLE} or a prompt",
    )


def changes(args: argparse.Namespace, assignments: Sequence[str]) -> Changes:
    """Return what the arguments do to a configuration, each right by itself. All passwords are asked for here.

    assignments: KEY=VALUE each.
    """
    check_values(set_keys({}, [*assignments]), "--set")
    wifi = user = commander = None
    if args.wifi:
        wifi = args.wifi, ask_password(f"{args.wifi} (nothing for an open network)", variable=WIFI_VARIABLE)
        check_values(add_wifi({}, *wifi), "--wifi")
    if args.user:
        user = args.user, ask_password(args.user)
        check_values(dict(zip(("user", "password"), user, strict=True)), "--user")
    if args.commander:
        check_name("--commander", args.commander)
        commander = args.commander, ask_password(args.commander, variable=COMMANDER_VARIABLE, twice=True)
    return Changes([*assignments], wifi, user, commander)
